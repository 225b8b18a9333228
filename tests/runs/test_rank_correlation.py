"""Rank correlation of a search's scores with the table, computed after the search at no cost."""

from pathlib import Path

import made_up
import pytest
from scipy.stats import kendalltau
from tables import SPACE, Built

from pvnas_bench import records
from pvnas_bench.boards.plots import plot
from pvnas_bench.boards.table_regret import regrets
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.rank_correlation import ranking
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Table
from pvnas_bench.table.store import Files, to_parquet

FAILING = """
from dataclasses import replace

from pvnas_bench.strategies.naswot import NASWOT


class Failing(NASWOT):
    info = replace(NASWOT.info, name="failing")

    def score(self, architecture):
        if len(self.scores) >= self.config.samples:
            raise RuntimeError("no idea")
        return super().score(architecture)
"""


@pytest.fixture(scope="module")
def varied(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The table with different test accuracies; those of such small networks are equal."""
    folder, table = tmp_path_factory.mktemp("varied"), built.table
    changed = [
        training._replace(test_top1=(3 * i % 7) / 8 + training.seed / 64)
        for i, architecture in enumerate(table.architectures)
        for training in table.trainings(architecture)
    ]
    content = made_up.Content(table.about, list(table.sessions), changed)
    write_atomically(Files(folder, table.about.stem).parquet, to_parquet(content))
    return Built(Table(table.about, table.sessions, changed), folder, built.recipe)


def searched(built: Built, strategy: str, results: Path, tabular: bool = True) -> records.Record:
    """A record as loaded from its file."""
    few = {"samples": "4", "evolved": "0"}
    settings = few if strategy in ("naswot", "synflow") or strategy.endswith(".py") else {}
    request = Request(
        strategy,
        space=str(SPACE),
        dataset=built.recipe.dataset,
        protocol="micro",
        budget=3.0,
        settings=settings,
        results=results,
        threads=1,
        tabular=tabular,
        tables=built.folder,
    )
    record = records.load(run(request)[1])
    assert record.status == "ok", record.error
    return record


@pytest.mark.parametrize(
    "strategy", ["pvnas", "spos", "bn_nas", "darts", "fp_nas", "enas", "da_nas", "naswot", "synflow"]
)
def test_every_architecture_is_scored_and_the_search_pays_nothing(varied: Built, strategy: str, tmp_path: Path) -> None:
    record, table = searched(varied, strategy, tmp_path), varied.table
    assert "rank_error" not in record.diagnostics, record.diagnostics["rank_error"]
    pairs = record.diagnostics["rank_pairs"]
    assert [top1 for _, top1 in pairs] == [table.top1(a) for a in table.architectures]
    if len({score for score, _ in pairs}) == 1:  # a supernet at chance
        assert record.diagnostics["rank_tau"] is None
    else:
        assert record.diagnostics["rank_tau"] == pytest.approx(kendalltau(*zip(*pairs, strict=True)).statistic)
    assert (record.diagnostics["rank_cost"] > 0) == (strategy != "bn_nas")
    assert record.search.reference_trainings == record.trajectory[-1].cost <= 3.0
    assert record.trajectory[-1].metrics["regret"] == pytest.approx(table.regret(record.trajectory[-1].incumbent))


def test_a_budget_that_is_spent_does_not_matter(varied: Built, tmp_path: Path) -> None:
    request = Request(
        "naswot",
        space=str(SPACE),
        dataset=varied.recipe.dataset,
        settings={"samples": "2", "evolved": "0"},
        results=tmp_path,
        threads=1,
        tabular=True,
        tables=varied.folder,
    )
    search = Search(Setup(request, Observer()), Observer())
    search.strategy.setup()
    search.ledger.charge(round(search.ledger.budget * search.ledger.reference) - search.ledger.macs)
    found = ranking(search, varied.table)
    assert len(found["rank_pairs"]) == len(varied.table)
    assert 0 < found["rank_cost"] < 1


def test_scores_are_requested_only_on_tables_and_only_from_strategies_with_scores(
    varied: Built, tmp_path: Path
) -> None:
    assert "rank_pairs" not in searched(varied, "random_search", tmp_path).diagnostics
    trained = searched(varied, "naswot", tmp_path, tabular=False)
    assert "rank_pairs" not in trained.diagnostics


def test_scores_that_fail_leave_the_run_as_it_is(varied: Built, tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    record = searched(varied, str(path), tmp_path)
    assert record.outcome is not None and record.outcome.trained
    assert record.diagnostics["rank_error"] == "RuntimeError: no idea"


def test_the_plot_and_the_page_show_them(varied: Built, tmp_path: Path) -> None:
    record = searched(varied, "synflow", tmp_path)
    (drawn,) = plot([record], "ranking", tmp_path / "plots", formats=("png",))
    assert drawn.reason is None and drawn.files[0].stat().st_size > 0
    (found,) = regrets(tmp_path, varied.table)
    assert found.tau == pytest.approx(record.diagnostics["rank_tau"])
