"""Imports of commands: those that only read do not import torch, so they start in well under a second."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pvnas_bench import __version__

from .conftest import Cli, Finished

HEAVY = ("torch", "pandas", "matplotlib", "scipy", "nni", "optuna", "av", "decord", "pyarrow")
PROBE = """
import json, sys
from pvnas_bench.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*words: object) -> set[str]:
    """Top-level modules that a command has imported by its end."""
    command = [sys.executable, "-c", PROBE, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    code, modules = json.loads(ended.stdout.splitlines()[-1])
    assert code == 0, ended.stderr
    return set(modules)


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["leaderboard", "--help"], ["claims", "run", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert imported(*words).isdisjoint({*HEAVY, "numpy", "rich"})


@pytest.mark.parametrize("format", ["terminal", "markdown", "csv", "json"])
def test_leaderboard_imports_nothing_heavy(finished: Finished, format: str) -> None:
    assert imported("leaderboard", "--results", finished.results, "--format", format).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["list", "page"])
def test_claims_are_listed_and_shown_without_torch(tmp_path: Path, command: str) -> None:
    assert "torch" not in imported("claims", command, "--output", tmp_path / "claims.md")


@pytest.mark.parametrize("what", ["spaces", "datasets"])
def test_lists_do_not_import_torch(what: str) -> None:
    assert imported("list", what).isdisjoint(HEAVY)


def test_preparing_clips_does_not_import_torch(tiny_dataset: Path) -> None:
    assert "torch" not in imported("data", "prepare", "--dataset", tiny_dataset)


def test_every_command_has_help(cli: Cli) -> None:
    overview = cli("--help")
    commands = re.findall(r"^  ([a-z]+)  +[A-Z]", overview.out.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) == 25
    for command in commands:
        shown = cli(command, "--help").out
        assert "Usage: pvnas-bench" in shown
        summary = re.findall(rf"^  {command}  +(.*?)(?:\.\.\.)?$", overview.out, re.MULTILINE)[0]
        assert summary in " ".join(shown.split()), "the list says what the command's own help begins with"


@pytest.mark.parametrize("words", [(), ("table",)])
def test_a_group_without_a_command_shows_its_help(cli: Cli, words: tuple[str, ...]) -> None:
    ended = cli(*words)
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith("Usage: pvnas-bench") and "\nCommands:\n" in ended.err and "error:" not in ended.err


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"{__version__}\n"
