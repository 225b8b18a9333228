"""The checklist: what records fill in, and what is left to the author."""

import pytest
from record_factory import record

from pvnas_bench.submission import checklist
from pvnas_bench.submission.checklist import Item, changed, items, open_items, to_markdown


def named(listed: list[Item]) -> dict[str, Item]:
    return {item.name: item for item in listed}


def test_it_has_the_items_of_the_three_sections() -> None:
    listed = items([record(seed=seed) for seed in range(3)])
    assert [sum(item.section == section for item in listed) for section in (2, 3, 4)] == [5, 8, 3]
    text = to_markdown(listed)
    assert all(str(item) in text.splitlines() for item in listed)
    assert "JMLR 21(243)" in text


def test_one_seed_is_too_few_and_two_are_not() -> None:
    assert named(items([record()]))["Several seeds"].wanted
    assert not named(items([record(), record(seed=1)]))["Several seeds"].wanted


def test_controls_count_on_every_board_only() -> None:
    mine = record()
    control = record("random_sampling", role="random_control")
    search = record("random_search")
    elsewhere = record("random_search", data="other")
    name = "Random sampling and random search"
    assert named(items([mine]))[name].wanted == "runs of random sampling and random search on every board"
    assert named(items([mine], [control, elsewhere]))[name].wanted == "runs of random search on every board"
    assert not named(items([mine], [control, search]))[name].wanted


def test_two_machines_ask_for_an_explanation() -> None:
    one, other = record(), record(seed=1)
    provenance = other.provenance.model_copy(update={"hardware": {"processor": "another", "cores": 64}})
    other = other.model_copy(update={"provenance": provenance})
    item = named(items([one, other]))["Confounding factors"]
    assert "2 machines" in item.answer and item.wanted


def test_ablations_and_tuning_are_always_the_authors() -> None:
    found = named(items([record(seed=seed) for seed in range(20)]))
    assert found["Ablations"].wanted and found["Tuning of hyper-parameters"].wanted


def test_the_time_is_that_of_search_and_final_training() -> None:
    found = [record(seed=seed) for seed in range(2)]
    search = sum(one.search.wall_seconds for one in found)
    final = sum(one.outcome.cost.wall_seconds for one in found if one.outcome)
    answer = named(items(found))["Time from beginning to end"].answer
    assert f"search {search / 3600:.2f} h" in answer and f"in all {(search + final) / 3600:.2f} h of 2 runs" in answer


def test_a_completed_checklist_is_unchanged_and_an_edited_answer_is_not() -> None:
    listed = items([record(seed=seed) for seed in range(3)])
    text = to_markdown(listed)
    asked = [item for item in listed if item.wanted]
    assert open_items(text) == len(asked) > 0
    done = text
    for item in asked:
        done = done.replace(str(item), f"- [x] {item.head}: done")
    assert open_items(done) == 0
    assert list(changed(listed, done)) == []
    assert list(changed(listed, done.replace("at least 3 seeds", "at least 9 seeds"))) == [
        "has another answer to 'Several seeds' than the records give"
    ]


@pytest.mark.parametrize("section", checklist.TITLES)
def test_an_item_that_is_left_out_is_missed(section: int) -> None:
    listed = items([record()])
    first = next(item for item in listed if item.section == section)
    text = "\n".join(line for line in to_markdown(listed).splitlines() if first.head not in line)
    assert f"lacks the item {first.name!r}" in list(changed(listed, text))
