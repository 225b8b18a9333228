"""How well the scores of a search rank the whole space: on a table the truth is known."""

import math
from typing import Any

from pvnas_bench import seeding
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.run.search import Search
from pvnas_bench.table import Table


def ranking(search: Search, table: Table) -> dict[str, Any]:
    """Ask a search that is over what each architecture of a table is worth, as far as it is under the cap.

    Its budget does not matter any more: passes that scores take are counted apart from the search.

    Returns:
        for `diagnostics`: `rank_pairs`, of [score, mean test top-1]; `rank_tau`, Kendall's τ-b between them, None where
        either does not vary; `rank_cost`, in reference trainings. Empty where the strategy has no scores; what became
        of them where they ended before the last one: the search counts all the same.
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
        for string in table.architectures:
            architecture = problem.space.parse(string)
            if problem.feasible(architecture):
                score = strategy.score(architecture)
                if score is None:
                    return {}
                pairs.append([score, table.top1(string)])
    tau = kendall_tau(*zip(*pairs, strict=True))
    return {"rank_pairs": pairs, "rank_tau": None if math.isnan(tau) else tau, "rank_cost": ledger.spent - before}
