"""Drives a strategy step by step on a small problem, as the runner does, without the final training."""

import copy
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pvnas_bench import SearchFinished, Strategy, seeding
from pvnas_bench.ledger import BudgetExhausted
from pvnas_bench.records import Record
from pvnas_bench.run.observer import Observer
from pvnas_bench.run.request import Request
from pvnas_bench.run.runner import run
from pvnas_bench.run.search import Search
from pvnas_bench.run.setup import Setup
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
        self.finished = False
        with process.configured(1, True), seeding.torch_seeded(seed, "setup"):
            self.strategy.setup(self.problem)
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
        incumbent = self.strategy.incumbent()
        assert self.problem.feasible(incumbent)
        self.trajectory.append((str(incumbent), self.problem.ledger.spent))

    def to_the_end(self, most: int = 500) -> "Driven":
        while not self.finished:
            assert self.steps < most
            self.step()
        return self

    def saved(self) -> tuple[Any, bytes, int]:
        """The state, the strategy's as a file would hold it: tensors, numbers, strings, lists and dicts only."""
        buffer = io.BytesIO()
        torch.save(self.strategy.state_dict(), buffer)
        return copy.deepcopy(self.problem.state_dict()), buffer.getvalue(), self.steps

    def load(self, saved: tuple[Any, bytes, int]) -> "Driven":
        problem, strategy, self.steps = saved
        self.problem.load_state_dict(problem)
        self.strategy.load_state_dict(torch.load(io.BytesIO(strategy), weights_only=True))
        return self


def check_continuation(
    strategy: str, dataset: Path, budget: float, until: Callable[[Any], bool], **settings: Any
) -> None:
    """The same seed gives the same trajectory, and so does a new object that is loaded in the middle.

    Args:
        until: whether a strategy is where its state is to be taken.
    """
    whole, begun = (Driven(strategy, dataset, budget, **settings) for _ in range(2))
    whole.to_the_end()
    while not until(begun.strategy):
        assert not begun.finished
        begun.step()
    assert not begun.finished
    taken = begun.steps
    continued = Driven(strategy, dataset, budget, **settings).load(begun.saved()).to_the_end()
    begun.to_the_end()
    assert begun.trajectory == whole.trajectory
    assert continued.trajectory == whole.trajectory[taken:]
    same(continued.strategy.state_dict(), whole.strategy.state_dict())
    assert {**continued.strategy.diagnostics(), "seconds": 0} == {**whole.strategy.diagnostics(), "seconds": 0}


def same(one: Any, other: Any) -> None:
    """States equal to the last bit, times aside."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            if key != "seconds":
                same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == other


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
