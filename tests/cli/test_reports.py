"""Public bug reports of other benchmarks' command lines, tried on the published tables: see tests/reports.md."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from pvnas_bench import records
from pvnas_bench.cli import OK, USAGE

from .conftest import Cli

TABLE = ("--space", "st_micro", "--dataset", "synthetic_motion", "--tabular", "--budget", "4", "--no-reference")
NOTED = """
from pvnas_bench import Architecture, Info, StrategyConfig
from pvnas_bench.methods import AskTell


class Config(StrategyConfig):
    note: str = "none"


class Noted(AskTell[Config]):
    info = Info("noted", "Random architectures with a note", "-", 2024, ("modular",), "-")

    def ask(self) -> Architecture:
        return self.problem.sample()
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_results_in_the_current_folder_are_seen_and_join_one_row(cli: Cli) -> None:
    for seed in (0, 1):
        ended = cli("run", "--strategy", "random_search", *TABLE, "--seed", seed, "--results", ".")
        assert ended.code == OK and Path(ended.last_line).is_file()
    hidden = [name for _, folders, files in os.walk(".") for name in (*folders, *files) if name.startswith(".")]
    assert not hidden
    found, unreadable = records.load_folder(Path())
    assert [record.seed for record in found] == [0, 1] and not unreadable
    board = cli("leaderboard", "--results", ".", "--no-reference", "--format", "csv").out.splitlines()
    assert len(board) == 2 and ",random_search," in board[1]


def test_strategies_in_another_order_or_named_twice_run_once(cli: Cli) -> None:
    words = (*TABLE, "--seeds", "2", "--results", "runs")
    one, other = ("--strategy", "random_search"), ("--strategy", "local_search[restart=false]")
    assert cli("compare", *one, *other, *words).code == OK
    first = {path: lines(path) for path in records.find(Path("runs"))}
    assert sum(map(len, first.values())) == 4
    assert cli("compare", *other, *one, *words).code == OK
    assert cli("compare", *one, *other, *one, *words).code == OK
    assert {path: lines(path) for path in records.find(Path("runs"))} == first


def test_hyper_parameters_that_would_be_ignored_are_an_error(cli: Cli) -> None:
    Path("noted.py").write_text(
        NOTED.replace("(StrategyConfig)", "(BaseModel)").replace("\n\n\n", "\nfrom pydantic import BaseModel\n\n\n", 1)
    )
    ended = cli("run", "--strategy", "noted.py", *TABLE, "--results", "runs")
    assert ended.code == USAGE
    assert "noted.py" in ended.errors[0] and "derive Config from StrategyConfig" in ended.errors[0]


@pytest.mark.parametrize("note", ["path/to/stuff", r"C:\data", "../../up", "a,b", "[x=1]", "-", "a=b"])
def test_a_setting_may_be_any_text(cli: Cli, note: str) -> None:
    Path("noted.py").write_text(NOTED)
    ended = cli("run", "--strategy", "noted.py", "--set", f"note={note}", *TABLE, "--results", "runs")
    assert ended.code == OK, ended.err
    path = Path(ended.last_line)
    assert path.parent.parent == Path("runs") and path.is_file()
    assert records.load(path).strategy.config == {"note": note}
    assert sorted(entry.name for entry in Path().iterdir() if entry.name != "__pycache__") == ["noted.py", "runs"]


def test_a_search_that_outlasts_its_space_ends(cli: Cli) -> None:
    words = [*TABLE]
    words[words.index("--budget") + 1] = "400"
    ended = cli("run", "--strategy", "local_search", *words, "--results", "runs")
    assert ended.code == OK
    record = records.load(Path(ended.last_line))
    assert record.status == "ok" and record.search.reference_trainings <= 400 * (1 + 1e-9)


def test_a_tables_clock_and_budget_are_the_sums_of_what_was_evaluated(cli: Cli) -> None:
    ended = cli("run", "--strategy", "local_search", *TABLE, "--results", "runs")
    search = records.load(Path(ended.last_line))
    costs = [0.0, *(step.cost for step in search.trajectory)]
    walls = [0.0, *(step.wall for step in search.trajectory)]
    paid = [after - before for before, after in pairwise(costs)]
    assert costs == sorted(costs) and walls == sorted(walls)
    # Cumulated twice, the last steps would cost many times what the first ones did.
    assert max(paid) < 4 * min(one for one in paid if one > 0)
    assert search.search.reference_trainings == pytest.approx(costs[-1])
    assert sum(search.search.seconds.values()) == pytest.approx(search.search.wall_seconds, rel=0.2)
