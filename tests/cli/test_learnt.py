"""The command `learnt`, and null searches in the other commands that read records."""

import json
from pathlib import Path

import pytest
from record_factory import record

from pvnas_bench import records
from pvnas_bench.cli import OK, USAGE

from .conftest import Cli


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A folder with real and null runs of one strategy on one board."""
    folder = tmp_path / "runs"
    for null in (False, True):
        for seed in range(6):
            one = record("alpha", seed, 0.3 + 0.01 * seed if null else 0.6 + 0.01 * seed, null=null)
            records.save(one, folder / f"{'null' if null else 'real'}{seed}" / records.FILE_NAME)
    return folder


def test_the_page_states_the_verdict(cli: Cli, both: Path, tmp_path: Path) -> None:
    ended = cli("learnt", both)
    assert ended.code == OK
    assert "| alpha | **learnt** | 6 / 6 |" in ended.out
    (board,) = json.loads(cli("learnt", both, "--format", "json").out)
    assert [(row["entry"], row["verdict"]) for row in board["rows"]] == [("alpha", "learnt")]
    page = tmp_path / "page.md"
    assert cli("learnt", both, "--output", page).code == OK
    assert page.read_text(encoding="utf-8") == ended.out


def test_real_and_null_runs_may_be_in_different_folders(cli: Cli, both: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    for path in both.glob("null*"):
        path.rename(apart / path.name)
    assert "**learnt**" in cli("learnt", both, apart).out
    ended = cli("learnt", both)
    assert ended.code == USAGE and ended.errors == [f"error: no null searches in {both}: run some with --null"]


def test_null_boards_are_shown_only_if_asked(cli: Cli, both: Path) -> None:
    real = cli("leaderboard", "--results", both, "--no-reference")
    null = cli("leaderboard", "--results", both, "--no-reference", "--null")
    assert "alpha" in real.out and "null" not in real.out
    assert "alpha (null)" in null.out and "null searches" in null.out


@pytest.mark.parametrize("command", ["leaderboard", "report", "plot"])
def test_a_folder_with_nulls_only_has_no_real_records(cli: Cli, both: Path, command: str) -> None:
    for path in both.glob("real*/*"):
        path.unlink()
    ended = cli(command, "--results", both, "--no-reference")
    assert ended.code == USAGE
    assert ended.errors == [
        f"error: no records of real searches in {both}: run a search without --null, or name another folder"
    ]
