import os
from pathlib import Path

import made_up
import numpy as np
import pytest

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.leases import claimed
from pvnas_bench.table import find, journal
from pvnas_bench.table.store import Files, load, read_parquet, to_parquet

SPACE = registry.get_space("st_micro")


def test_a_table_round_trips_through_parquet(tmp_path: Path) -> None:
    content = made_up.content(SPACE, seeds=2, sample=20)
    write_atomically(tmp_path / "t.parquet", to_parquet(content))
    back = read_parquet(tmp_path / "t.parquet")
    assert (back.about, back.sessions) == (content.about, content.sessions)
    for one, other in zip(sorted(content.trainings), back.trainings, strict=True):
        assert one.key == other.key
        for name, value in one._asdict().items():
            if name not in ("architecture",):
                np.testing.assert_array_equal(np.float32(getattr(other, name)), np.float32(value), err_msg=name)
    assert back.trainings == sorted(content.trainings)  # all of the numbers above are float32 already


def test_a_table_of_three_seeds_is_below_three_megabytes_and_quick_to_open() -> None:
    assert len(to_parquet(made_up.content(SPACE, seeds=3))) < 3 * 2**20


def test_a_table_in_two_files_is_one_and_stays_so_when_it_is_compacted(tmp_path: Path) -> None:
    content, files = made_up.content(SPACE, seeds=2, sample=4), Files(tmp_path, "st_micro-made_up")
    first, rest = content.trainings[:5], content.trainings[5:]
    write_atomically(files.parquet, to_parquet(journal.Content(content.about, content.sessions, first)))
    with journal.opened(files.journal()) as entries:
        assert content.about is not None
        for entry in (content.about, made_up.session(), *rest):
            entries.append(entry)
    both = load(files)
    files.compact()
    assert not files.journal().exists()
    compacted = load(files)
    assert both.fingerprint == compacted.fingerprint
    assert len(compacted.sessions) == 2
    assert sum(len(compacted.trainings(a)) for a in compacted.architectures) == len(content.trainings)


def test_files_of_two_recipes_are_not_mixed(tmp_path: Path) -> None:
    content, files = made_up.content(SPACE, sample=2), Files(tmp_path, "st_micro-made_up")
    write_atomically(files.parquet, to_parquet(content))
    about = made_up.about(SPACE)
    settings = {**about.protocol.settings, "learning_rate": 1.0}
    protocol = about.protocol.model_copy(update={"settings": settings})
    with journal.opened(files.journal()) as entries:
        entries.append(about.model_copy(update={"protocol": protocol}))
    with pytest.raises(UsageError, match="another recipe"):
        load(files)


def test_the_budget_is_not_part_of_the_recipe() -> None:
    about = made_up.about(SPACE)
    settings = {**about.protocol.settings, "budget": 1.0}
    other = about.model_copy(update={"protocol": about.protocol.model_copy(update={"settings": settings})})
    assert about.recipe == other.recipe


def test_find_reads_a_file_once_and_again_when_it_changed(tmp_path: Path) -> None:
    files = Files(tmp_path, "st_micro-made_up")
    write_atomically(files.parquet, to_parquet(made_up.content(SPACE, sample=2)))
    first = find(SPACE, "some/where/made_up.csv", tmp_path)
    assert find(SPACE, "made_up", tmp_path) is first
    write_atomically(files.parquet, to_parquet(made_up.content(SPACE, sample=3)))
    os.utime(files.parquet, ns=(1, 1))
    assert len(find(SPACE, "made_up", tmp_path)) == 3


def test_a_missing_table_is_an_error_that_names_the_existing_ones(tmp_path: Path) -> None:
    write_atomically(tmp_path / "st_micro-made_up.parquet", b"")
    with pytest.raises(UsageError, match="--dataset can be made_up"):
        find(SPACE, "other", tmp_path)
    with pytest.raises(UsageError, match="not a table of this version"):
        find(SPACE, "made_up", tmp_path)


def test_compaction_leaves_the_journal_of_a_running_build_and_loses_nothing(tmp_path: Path) -> None:
    content, files = made_up.content(SPACE, seeds=2, sample=4), Files(tmp_path, "st_micro-made_up")
    assert content.about is not None
    halves = {1: content.trainings[:4], 2: content.trainings[4:]}
    for number, trainings in halves.items():
        with journal.opened(files.journal(number)) as entries:
            for entry in (content.about, made_up.session(), *trainings):
                entries.append(entry)
    assert files.journals == [files.journal(1), files.journal(2)]
    assert sorted(files.read().trainings)[0].key == sorted(content.trainings)[0].key
    with journal.opened(files.journal(2)):
        files.compact()
        assert files.journals == [files.journal(2)]
        assert len(read_parquet(files.parquet).trainings) == 4
        assert {t.key for t in files.read().trainings} == {t.key for t in content.trainings}
    files.compact()
    assert files.journals == []
    stored = read_parquet(files.parquet)
    assert {t.key for t in stored.trainings} == {t.key for t in content.trainings}
    assert len(stored.sessions) == 2
    assert {t.session for t in stored.trainings if t.key in {u.key for u in halves[2]}} == {1}


def test_a_second_compaction_at_the_same_time_does_nothing(tmp_path: Path) -> None:
    content, files = made_up.content(SPACE, sample=2), Files(tmp_path, "st_micro-made_up")
    assert content.about is not None
    with journal.opened(files.journal()) as entries:
        for entry in (content.about, made_up.session(), *content.trainings):
            entries.append(entry)
    with claimed(files.parquet):
        files.compact()
        assert files.journals and not files.parquet.exists()


def test_files_of_tables_with_longer_names_are_not_journals_of_this_one(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.2.jsonl", "a.b.jsonl", "a-b.jsonl", "a.2.3.jsonl", "ab.jsonl", "a.10.jsonl"):
        (tmp_path / name).touch()
    assert [path.name for path in Files(tmp_path, "a").journals] == ["a.jsonl", "a.2.jsonl", "a.10.jsonl"]
