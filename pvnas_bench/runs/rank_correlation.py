"""Rank correlation of a search's scores with the true accuracies of a table, over the whole space."""

import math
from typing import Any

from pvnas_bench import seeding
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.runs.search import Search
from pvnas_bench.table import Table


def ranking(search: Search, table: Table) -> dict[str, Any]:
    """Score a table's architectures under the caps with a finished search: all, or a random sample (`Table.ranked`).

    The budget no longer applies; the cost of scoring is reported separately.

    Returns:
        Entries of `diagnostics`: `rank_pairs`, a list of [score, mean test top-1]; `rank_tau`, Kendall's τ-b between
        them, None if either is constant; `rank_cost`, in reference trainings. Empty if the strategy has no scores.
        Only `rank_error`, the message, if scoring failed; the search still counts.
    """
    try:
        return _ranked(search, table)
    except KeyboardInterrupt:
        return {"rank_error": "interrupted"}
    except Exception as error:
        return {"rank_error": f"{type(error).__name__}: {error}"}


def _ranked(search: Search, table: Table) -> dict[str, Any]:
    strategy, problem, ledger = search.strategy, search.problem, search.ledger
    before, ledger.budget = ledger.spent, float("inf")
    pairs = []
    with seeding.torch_seeded(problem.seed, "ranking"):
        for string in table.ranked(problem.seed):
            architecture = problem.space.parse(string)
            if problem.feasible(architecture):
                score = strategy.score(architecture)
                if score is None:
                    return {}
                pairs.append([score, table.top1(string)])
    tau = kendall_tau(*zip(*pairs, strict=True))
    return {"rank_pairs": pairs, "rank_tau": None if math.isnan(tau) else tau, "rank_cost": ledger.spent - before}
