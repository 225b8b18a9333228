"""Driver of a strategy on a small problem, step by step like the runner, without the final training."""

from pathlib import Path
from typing import Any

from pvnas_bench import SearchFinished, Strategy, seeding
from pvnas_bench.ledger import BudgetExhausted
from pvnas_bench.records import Record
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.training import process


class Driven:
    """A strategy after `setup`, and the trajectory of its incumbents."""

    def __init__(
        self,
        strategy: str,
        dataset: Path,
        budget: float,
        seed: int = 0,
        space: str = "st_default",
        **settings: object,
    ) -> None:
        words = {key: str(value) for key, value in settings.items()}
        request = Request(
            strategy, space=space, dataset=str(dataset), budget=budget, seed=seed, settings=words, threads=1
        )
        self.search = Search(Setup(request, Observer()), Observer())
        self.problem, self.seed, self.steps = self.search.problem, seed, 0
        self.trajectory: list[tuple[str, float]] = []
        self.metrics: list[dict[str, float]] = []
        """Logged metrics of each step."""
        self.finished = False
        with process.configured(1, True), seeding.torch_seeded(seed, "setup"):
            self.strategy.setup()
        assert self.problem.feasible(self.strategy.incumbent())

    @property
    def strategy(self) -> Any:
        return self.search.strategy

    def step(self) -> None:
        with process.configured(1, True), seeding.torch_seeded(self.seed, "step", self.steps):
            try:
                self.strategy.step()
            except (BudgetExhausted, SearchFinished):
                self.finished = True
        self.steps += 1
        self.metrics.append(self.problem.take_logged())
        incumbent = self.strategy.incumbent()
        assert self.problem.feasible(incumbent)
        self.trajectory.append((str(incumbent), self.problem.ledger.spent))

    def series(self, name: str) -> list[float]:
        """Values of a logged metric, over the steps that logged it."""
        return [step[name] for step in self.metrics if name in step]

    def to_the_end(self, most: int = 500) -> "Driven":
        while not self.finished:
            assert self.steps < most
            self.step()
        return self


def completed(kind: type[Strategy], dataset: Path, results: Path, budget: float, **settings: object) -> Record:
    """The record of a whole run, final training included."""
    words = {key: str(value) for key, value in settings.items()}
    record, _ = run(
        Request(kind.info.name, dataset=str(dataset), budget=budget, settings=words, threads=1, results=results)
    )
    assert record.status == "ok", record.error
    assert record.search.overshoot == 0
    assert all(step.macs <= record.space.cap_macs for step in record.trajectory)
    return record


def series(record: Record, name: str) -> list[float]:
    """Values of a logged metric, over the steps of a record that have it."""
    return [step.metrics[name] for step in record.trajectory if name in step.metrics]
