"""Prefetched trials in other processes: equal searches, and no training beyond the budget.

The other processes are a stand-in here: another problem of the same seed, at once. `test_ray.py` has real ones.
"""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench import Architecture, BudgetExhausted, Problem
from pvnas_bench.problem import TrialResult
from pvnas_bench.runs.meters import Elsewhere
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup


class StandIn:
    """Trains submitted trials when their results are taken; records what was submitted."""

    used = Elsewhere()

    def __init__(self, setup: Setup, lost: int = -1) -> None:
        self.setup, self.lost, self.most = setup, lost, 4
        self.submitted: list[Architecture] = []
        self.waiting: set[tuple[Architecture, int]] = set()
        self.together = 0

    @property
    def room(self) -> bool:
        return len(self.waiting) < self.most

    def __contains__(self, trial: tuple[Architecture, int]) -> bool:
        return trial in self.waiting

    def submit(self, architecture: Architecture, epochs: int) -> None:
        self.submitted.append(architecture)
        self.waiting.add((architecture, epochs))
        self.together = max(self.together, len(self.waiting))

    def take(self, architecture: Architecture, epochs: int) -> TrialResult | None:
        self.waiting.remove((architecture, epochs))
        if self.submitted.index(architecture) == self.lost:
            return None
        search = Search(self.setup, Observer())
        search.ledger.budget = float("inf")
        found = search.problem.evaluate(architecture, epochs)
        ledger, failures = search.ledger, dict(search.problem.failures)
        return TrialResult(found.top1, found.loss, found.curve, ledger.macs, ledger.samples, failures)

    def drop(self) -> None:
        self.waiting.clear()


def setup(strategy: str, tiny_dataset: Path, tmp_path: Path, budget: float, **settings: str) -> Setup:
    request = Request(
        strategy,
        space="st_micro",
        settings=settings,
        dataset=str(tiny_dataset),
        budget=budget,
        results=tmp_path,
        threads=1,
    )
    return Setup(request, Observer())


def outcome(search: Search) -> dict[str, Any]:
    """Results of a search without its duration."""
    status = search.run()
    steps = [replace(step, wall=0.0) for step in search.trajectory]
    ledger = search.ledger
    meters = ledger.macs, ledger.samples, ledger.evaluations
    return {"status": status, "steps": steps, "ledger": meters, "problem": str(search.problem._state())}


@pytest.mark.parametrize(
    "strategy", ["random_search", "successive_halving", "regularized_evolution", "naswot", "local_search"]
)
def test_a_search_is_the_same_with_and_without_prefetching(strategy: str, tiny_dataset: Path, tmp_path: Path) -> None:
    few = {"samples": "10", "evolved": "0", "finalists": "3"} if strategy == "naswot" else {}
    ready = setup(strategy, tiny_dataset, tmp_path, budget=4.0, **few)
    trials = StandIn(ready)
    expected, found = outcome(Search(ready, Observer())), outcome(Search(ready, Observer(), None, trials))
    assert found == expected
    assert trials.together > 1 or strategy == "local_search"
    assert not trials.waiting, "all that was trained was asked for"


def problems(tiny_dataset: Path, tmp_path: Path, lost: int = -1) -> tuple[Problem, Problem, StandIn]:
    ready = setup("random_search", tiny_dataset, tmp_path, budget=1.0)
    trials = StandIn(ready, lost)
    return Search(ready, Observer()).problem, Search(ready, Observer(), None, trials).problem, trials


def test_a_batch_is_trained_in_parallel_and_charged_in_sequence(tiny_dataset: Path, tmp_path: Path) -> None:
    serial, parallel, trials = problems(tiny_dataset, tmp_path)
    batch = [serial.sample(serial.rng("x")) for _ in range(6)]
    assert parallel.evaluate_many([*batch, batch[0]], 1) == serial.evaluate_many([*batch, batch[0]], 1)
    assert trials.submitted == [serial.space.canonical(one) for one in batch] and trials.together == 4
    assert vars(parallel.ledger) == vars(serial.ledger)


def test_a_batch_beyond_the_budget_is_not_submitted(tiny_dataset: Path, tmp_path: Path) -> None:
    _, problem, trials = problems(tiny_dataset, tmp_path)
    with pytest.raises(BudgetExhausted):
        problem.evaluate_many([problem.sample(problem.rng("x")) for _ in range(100)])
    assert not trials.submitted and problem.ledger.macs == 0


def test_trainings_beyond_the_budget_are_not_submitted(tiny_dataset: Path, tmp_path: Path) -> None:
    _, problem, trials = problems(tiny_dataset, tmp_path)
    trials.most = 1000
    problem.prefetch(problem.sample(problem.rng("x")) for _ in count())
    spent = sum(problem.evaluation_cost(architecture) for architecture in trials.submitted)
    assert 0.5 < spent <= problem.ledger.left == 1.0


def test_only_a_lost_trial_fails(tiny_dataset: Path, tmp_path: Path) -> None:
    serial, problem, _ = problems(tiny_dataset, tmp_path, lost=1)
    batch = [problem.sample(problem.rng("x")) for _ in range(3)]
    first, second, third = problem.evaluate_many(batch, 1)
    assert [first, third] == serial.evaluate_many([batch[0], batch[2]], 1)
    assert (second.top1, second.loss, problem.failures) == (0.0, float("inf"), {"WorkerLost": 1})
    assert problem.ledger.spent == pytest.approx(sum(problem.evaluation_cost(a, 1) for a in batch))
