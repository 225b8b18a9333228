"""Headroom and blindness to time, against planted tables whose truth is known."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import made_up
import numpy as np
import planted
import pytest
from record_factory import record

from pvnas_bench import records, registry
from pvnas_bench.boards import leaderboard, reliability, render, table_lessons
from pvnas_bench.boards.report import table_page
from pvnas_bench.records import Record
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.surrogates import surrogate_of
from pvnas_bench.space import Architecture
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Table
from pvnas_bench.table.frame_order import blind_share, frame_order
from pvnas_bench.table.headroom import Headroom, headroom, shrunk, training_noise
from pvnas_bench.table.store import Files, to_parquet

SPACE = registry.get_space("st_micro")
NOISE, SPREAD = 0.05, 0.05


def anything(_: Architecture) -> bool:
    return True


def test_the_raw_maximum_overstates_the_selected_network_and_the_shrunken_one_does_not_on_average() -> None:
    rng, networks = np.random.default_rng(0), 200
    raw, corrected = [], []
    for _ in range(400):
        counts = rng.choice([1, 1, 1, 3], networks).astype(float)
        true = rng.normal(0.6, SPREAD, networks)
        means = true + NOISE / np.sqrt(counts) * rng.normal(size=networks)
        scores = shrunk(means, counts, NOISE)
        raw.append(means.max() - true[means.argmax()])
        corrected.append(scores.max() - true[scores.argmax()])
    error = float(np.std(corrected)) / math.sqrt(len(corrected))
    assert np.mean(raw) > 0.05, "single trainings: luck is selected"
    assert abs(float(np.mean(corrected))) < 3 * error < 0.01


def test_shrinking_is_the_posterior_mean_and_vanishes_without_noise() -> None:
    means, counts = np.array([0.2, 0.5, 0.8]), np.array([1.0, 1.0, 1.0])
    assert shrunk(means, counts, 0.0) == pytest.approx(means)
    reliability = (0.09 - 0.04) / 0.09  # the variance of the means is 0.09
    assert shrunk(means, counts, 0.2) == pytest.approx(0.5 + reliability * (means - 0.5))
    assert shrunk(means, counts, 0.5) == pytest.approx([0.5, 0.5, 0.5]), "all is noise"


def table(of: Mapping[str, float], seeds: int, noise: float = 0.0) -> Table:
    """A table of st_micro with these accuracies, and 0.4 for all others."""
    content, rng = made_up.content(SPACE, seeds), np.random.default_rng(0)
    trainings = [t._replace(test_top1=of.get(t.architecture, 0.4) + noise * rng.normal()) for t in content.trainings]
    assert content.about is not None
    return Table(content.about, content.sessions, trainings, SPACE)


def canonical(expert: str) -> str:
    return str(SPACE.canonical(SPACE.experts[expert]))


def test_the_noise_is_that_of_the_table_page() -> None:
    noisy = table({}, 3, NOISE)
    told = table_lessons.noise(noisy.matrix("test_top1"))
    assert told is not None
    assert training_noise(noisy) == pytest.approx(told.seed_deviation) == pytest.approx(NOISE, rel=0.1)


def test_the_headroom_is_the_difference_to_the_best_hand_designed_network_under_the_cap() -> None:
    expert = next(iter(SPACE.experts))
    best = next(name for name in table({}, 1).architectures if name not in map(canonical, SPACE.experts))
    exact = table({canonical(expert): 0.5, best: 0.6}, 2)
    found = headroom(exact, SPACE, anything)
    assert found is not None
    assert (found.expert, found.best, found.expert_top1) == (expert, pytest.approx(0.6), pytest.approx(0.5))
    assert found.difference == pytest.approx(0.1) and found.standard_error == 0 and found.suffices
    below = headroom(exact, SPACE, lambda one: str(SPACE.canonical(one)) != best)
    assert below is not None and below.difference == pytest.approx(0)
    assert headroom(exact, SPACE, lambda one: str(SPACE.canonical(one)) == best) is None, (
        "no hand-designed one is under"
    )


def test_single_trainings_are_not_corrected_and_say_so() -> None:
    found = headroom(table({}, 1, NOISE), SPACE, anything)
    assert found is not None and found.standard_error is None and found.best == found.highest
    assert "no training was repeated to correct the luck" in str(found) and "standard error of" not in str(found)


def test_equal_networks_have_no_headroom_however_noisy_their_trainings() -> None:
    found = headroom(table({}, 2, NOISE), SPACE, anything)
    assert found is not None and found.highest is not None and found.standard_error is not None
    assert found.highest > 0.5 and found.difference < 0.02 and not found.suffices
    assert found.standard_error == pytest.approx(NOISE / math.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("difference", "error", "suffices"),
    [(0.04, None, True), (0.02, None, False), (0.02, 0.003, True), (0.02, 0.01, False), (0.0, 0.0, False)],
)
def test_three_points_or_five_standard_errors_suffice(difference: float, error: float | None, suffices: bool) -> None:
    found = Headroom(0.5 + difference, "tsm", 0.5, 0.6, error)
    assert found.suffices == suffices
    assert ("as many as a board needs" in str(found)) == suffices


def test_the_headroom_of_a_surrogate_is_predicted() -> None:
    space = registry.get_space(planted.SPACE)
    sample = planted.table(60)
    surrogate = surrogate_of(sample, space)
    found = headroom(surrogate, space, anything)
    assert found is not None and found.highest is None and "both are predicted" in str(found)
    assert found.expert_top1 == max(surrogate.top1(str(one)) for one in space.experts.values())
    assert found.best == surrogate.best(anything) >= found.expert_top1
    assert found.standard_error == surrogate.noise


# --- blind to time ----------------------------------------------------------------------------------------------------


def shuffled(noise: float | None = NOISE) -> tuple[Table, set[str]]:
    """A table in which shuffling costs every second network 0.3, and the others nothing; and these others."""
    content = table({}, 2, NOISE)
    blind = set(content.architectures[::2])
    trainings = [
        t._replace(test_top1_shuffled=None if noise is None else t.test_top1 - 0.3 * (name not in blind))
        for name in content.architectures
        for t in content.trainings(name)
    ]
    return Table(content.about, content.sessions, trainings, SPACE), blind


def test_networks_are_blind_to_time_if_shuffling_costs_no_more_than_the_noise() -> None:
    made, blind = shuffled()
    noise = training_noise(made)
    for name in made.architectures:
        order = frame_order(made, name, noise)
        assert order is not None and order.blind == (name in blind)
    assert blind_share(made) == pytest.approx(len(blind) / len(made))
    assert blind_share(shuffled(None)[0]) is None
    assert frame_order(made, made.architectures[0], None) is None


# --- on boards --------------------------------------------------------------------------------------------------------


def searched(made: Table, folder: Path) -> list[Record]:
    trainings = [t for name in made.architectures for t in made.trainings(name)]
    content = made_up.Content(made.about, list(made.sessions), trainings)
    write_atomically(Files(folder, made.about.stem).parquet, to_parquet(content))
    request = Request(
        "random_search",
        space=SPACE.name,
        dataset="made_up",
        results=folder / "runs",
        tables=folder,
        tabular=True,
        protocol="micro",
        budget=2.0,
        threads=1,
    )
    return [run(replace(request, seed=seed))[0] for seed in range(4)]


def test_a_board_of_searches_on_a_table_states_headroom_and_blindness(tmp_path: Path) -> None:
    made, blind = shuffled()
    listed = searched(made, tmp_path)
    (board,) = leaderboard.build([records.slim(one) for one in listed])
    (note,) = [note for note in board.notes if note.startswith("headroom: ")]
    expected = headroom(made, SPACE, anything)
    assert expected is not None and listed[0].diagnostics["headroom"] == pytest.approx(asdict(expected), abs=1e-6)
    assert f"{100 * expected.best:.1f} %" in note and f"({expected.expert})" in note
    known = reliability.of_table(made, lambda _: True)
    assert known is not None and listed[0].diagnostics["reliability"] == pytest.approx(asdict(known), abs=1e-6)
    assert reliability.sentence(known, "networks") in board.notes
    ended = [made.network(one.outcome.architecture) in blind for one in listed if one.outcome is not None]
    assert board.rows[0].blind_to_time == pytest.approx(np.mean(ended))
    for text in (render.render_terminal([board], 300), render.to_markdown([board])):
        assert "blind to time" in text and "headroom: " in text
    assert "blind_to_time" in render.to_csv([board]).splitlines()[0]
    (old,) = leaderboard.build([one.model_copy(update={"diagnostics": {}}) for one in listed])
    assert not any(note.startswith("headroom") for note in old.notes)
    for text in (render.render_terminal([old], 300), render.to_markdown([old]), render.to_csv([old])):
        assert "blind" not in text, "absent where the table has no such figures"


def test_a_run_that_trained_states_no_headroom_whatever_its_strategy_says() -> None:
    told = asdict(Headroom(0.9, "tsm", 0.5, 0.9, 0.1))
    (board,) = leaderboard.build([record("alpha", 0, 0.5, diagnostics={"headroom": told})])
    assert not any("headroom" in note for note in board.notes)


def test_the_page_of_a_table_tells_the_share_of_blind_networks(tmp_path: Path) -> None:
    made, _ = shuffled()
    table_page.write(SPACE, [made], {}, None, tmp_path / "page.md", "random_search")
    assert "noise of one training): 50% on made_up." in (tmp_path / "page.md").read_text(encoding="utf-8")
