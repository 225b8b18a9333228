import os
from pathlib import Path

import made_up
import pytest

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.table import journal

CONTENT = made_up.content(registry.get_space("st_micro"), sample=3)


def written(path: Path) -> None:
    with journal.opened(path) as entries:
        assert CONTENT.about is not None
        for entry in (CONTENT.about, *CONTENT.sessions, *CONTENT.trainings):
            entries.append(entry)


def test_appended_trainings_are_read(tmp_path: Path) -> None:
    written(tmp_path / "j")
    assert journal.read(tmp_path / "j") == CONTENT
    assert journal.read(tmp_path / "absent") == journal.Content()


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_truncated_line_is_left_out_and_the_next_starts_on_a_new_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    written(path)
    os.truncate(path, path.stat().st_size - cut)
    assert journal.read(path).trainings == CONTENT.trainings[:2]
    with journal.opened(path) as entries:
        entries.append(CONTENT.trainings[2])
    assert journal.read(path) == CONTENT


def test_a_whole_line_that_is_damaged_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "j"
    written(path)
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":"x"', 1))
    with pytest.raises(UsageError, match="j, line 3 is damaged"):
        journal.read(path)


def test_only_one_process_writes(tmp_path: Path) -> None:
    with (
        journal.opened(tmp_path / "j"),
        pytest.raises(UsageError, match=r"j is in use by process \d+ on"),
        journal.opened(tmp_path / "j"),
    ):
        pass
    with journal.opened(tmp_path / "j"):
        pass


def test_the_earlier_of_two_trainings_with_one_key_stays() -> None:
    both, later = journal.Content(), made_up.content(registry.get_space("st_micro"), seeds=2, sample=3)
    both.add(CONTENT)
    both.add(later)
    assert [training.key for training in both.trainings] == [training.key for training in later.trainings]
    assert [training.session for training in both.trainings] == [0, 0, 0, 1, 1, 1]
    assert len(both.sessions) == 2
