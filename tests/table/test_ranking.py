"""On a table the scores of a search are compared with the truth, once it is over and at no cost."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from pvnas_bench import records
from pvnas_bench.plots import plot
from pvnas_bench.request import Request
from pvnas_bench.runner import run
from pvnas_bench.table.regret import regrets

from .conftest import SPACE, Built

FAILING = """
from pvnas_bench.strategies.naswot import NASWOT


class Failing(NASWOT):
    info = NASWOT.info

    def score(self, architecture):
        if len(self.scores) >= self.config.samples:
            raise RuntimeError("no idea")
        return super().score(architecture)
"""


def searched(built: Built, strategy: str, results: Path, tabular: bool = True) -> records.Record:
    """A record as its file tells."""
    settings = {"samples": "4"} if strategy in ("naswot", "synflow") or strategy.endswith(".py") else {}
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
def test_every_architecture_is_scored_and_the_search_pays_nothing(built: Built, strategy: str, tmp_path: Path) -> None:
    record, table = searched(built, strategy, tmp_path), built.table
    assert "rank_error" not in record.diagnostics, record.diagnostics["rank_error"]
    pairs = record.diagnostics["rank_pairs"]
    assert [top1 for _, top1 in pairs] == [table.top1(a) for a in table.architectures]
    tau = kendalltau(*zip(*pairs, strict=True)).statistic
    found = record.diagnostics["rank_tau"]
    assert found is None if tau != tau else found == pytest.approx(tau)
    assert (record.diagnostics["rank_cost"] > 0) == (strategy != "bn_nas")
    assert record.search.reference_trainings == record.trajectory[-1].cost <= 3.0
    assert record.trajectory[-1].metrics["regret"] == pytest.approx(table.regret(record.trajectory[-1].incumbent))


def test_scores_are_asked_for_on_tables_alone_and_of_those_that_have_them(built: Built, tmp_path: Path) -> None:
    assert "rank_pairs" not in searched(built, "random_search", tmp_path).diagnostics
    trained = searched(built, "naswot", tmp_path, tabular=False)
    assert "rank_pairs" not in trained.diagnostics


def test_scores_that_fail_leave_the_run_as_it_is(built: Built, tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    record = searched(built, str(path), tmp_path)
    assert record.outcome is not None and record.outcome.trained
    assert record.diagnostics["rank_error"] == "RuntimeError: no idea"


def test_the_plot_and_the_page_show_them(built: Built, tmp_path: Path) -> None:
    record = searched(built, "naswot", tmp_path)
    (drawn,) = plot([record], "ranking", tmp_path / "plots", formats=("png",))
    assert drawn.reason is None and drawn.files[0].stat().st_size > 0
    (found,) = regrets(tmp_path, built.table)
    tau = record.diagnostics["rank_tau"]
    assert np.isnan(found.tau) if tau is None else found.tau == pytest.approx(tau)
