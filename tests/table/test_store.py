import os
from pathlib import Path

import made_up
import numpy as np
import pytest

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import write_atomically
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
    with journal.opened(files.journal) as entries:
        assert content.about is not None
        for entry in (content.about, made_up.session(), *rest):
            entries.append(entry)
    both = load(files)
    files.compact()
    assert not files.journal.exists()
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
    with journal.opened(files.journal) as entries:
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
    first = find("st_micro", "some/where/made_up.csv", tmp_path)
    assert find("st_micro", "made_up", tmp_path) is first
    write_atomically(files.parquet, to_parquet(made_up.content(SPACE, sample=3)))
    os.utime(files.parquet, ns=(1, 1))
    assert len(find("st_micro", "made_up", tmp_path)) == 3


def test_a_missing_table_is_an_error_that_names_the_existing_ones(tmp_path: Path) -> None:
    write_atomically(tmp_path / "st_micro-made_up.parquet", b"")
    with pytest.raises(UsageError, match="--dataset can be made_up"):
        find("st_micro", "other", tmp_path)
    with pytest.raises(UsageError, match="is not a table of this version"):
        find("st_micro", "made_up", tmp_path)
