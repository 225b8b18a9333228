"""The commands `submit`, `verify` and `checklist`."""

from pathlib import Path

import pytest

from .conftest import Cli, Finished


def test_from_a_run_to_a_verified_submission(cli: Cli, tmp_path: Path) -> None:
    words = ("--space", "st_micro", "--dataset", "words", "--tabular", "--budget", 2, "--results", tmp_path / "runs")
    assert cli("run", "--strategy", "random_search", *words, "--no-reference").code == 0
    made = cli("submit", tmp_path / "runs", "--strategy", "random_search", "--output", tmp_path / "made")
    assert (made.code, made.last_line) == (0, str(tmp_path / "made"))
    assert "1 record of random_search" in made.out
    static = cli("verify", tmp_path / "made", "--cells", 0)
    assert (static.code, static.last_line) == (0, "agrees")
    assert "note: no run was repeated" in static.out
    repeated = cli("verify", tmp_path / "made")
    assert (repeated.code, repeated.last_line) == (0, "agrees")
    assert "repeating records/" in repeated.err
    (tmp_path / "made" / "extra, here.txt").write_text("x")
    (tmp_path / "made" / "README.md").write_text("x")
    refused = cli("verify", tmp_path / "made", "--github")
    assert (refused.code, refused.last_line) == (1, "REJECTED: 2 disagreements")
    assert "README.md: has another content than the manifest says (SHA-256 or size)\n" in refused.out
    assert f"::error file={tmp_path}/made/extra%2C here.txt::extra, here.txt: has a name" in refused.out


def test_a_run_without_its_clips_cannot_be_verified_here(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    made = cli("submit", finished.results, "--strategy", "random_search", "--output", tmp_path / "made")
    assert made.code == 0, made.err
    ended = cli("verify", tmp_path / "made")
    assert ended.code == 2
    (line,) = ended.errors
    assert "are needed: give --dataset" in line


def test_a_checklist_of_a_folder(cli: Cli, finished: Finished) -> None:
    ended = cli("checklist", finished.results)
    assert ended.code == 0
    assert ended.out.startswith("# Checklist of best practices\n")
    assert "- [ ] **Several seeds** (§3): at least 1 seed of each entry" in ended.out


@pytest.mark.parametrize("command", [("verify",), ("checklist",), ("submit", "--strategy", "pvnas")])
def test_a_path_that_does_not_exist_is_one_line(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = cli(command[0], tmp_path / "nowhere", *command[1:])
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert str(tmp_path / "nowhere") in ended.errors[0]
    assert list(tmp_path.iterdir()) == []
