"""Zero-cost scores of every architecture of a table."""

from pathlib import Path

from pvnas_bench import registry, seeding
from pvnas_bench.methods.zero_cost import ZeroCost
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.table.table import Table
from pvnas_bench.training import process

BUDGET = 1e6
"""Budget in reference trainings, large enough to score a whole space."""


def score_all(table: Table, space: str, dataset: str, tables: Path | None) -> dict[str, list[float]]:
    """Score all architectures of a table with each zero-cost strategy.

    Returns:
        Scores by strategy, in the order of the table's architectures.

    Raises:
        UsageError: the clips of the table are not available.
    """
    scores: dict[str, list[float]] = {}
    for kind in registry.all_strategies():
        if issubclass(kind, ZeroCost):
            request = Request(
                kind.info.name,
                space=space,
                dataset=dataset,
                tabular=True,
                tables=tables,
                partial=True,
                budget=BUDGET,
                threads=1,
            )
            search = Search(Setup(request, Observer()), Observer())
            with process.configured(1, deterministic=True), seeding.torch_seeded(0, "scores"):
                search.strategy.setup()
                assert isinstance(search.strategy, ZeroCost)
                scores[kind.info.name] = [
                    search.strategy.score(search.problem.space.parse(a)) for a in table.architectures
                ]
    return scores
