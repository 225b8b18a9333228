"""Strategies that each break one rule of the contract, and one that keeps all rules."""

import copy
import itertools
import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from pvnas_bench import (
    Architecture,
    BlockSpace,
    BudgetExhausted,
    Info,
    SearchFinished,
    Strategy,
    StrategyConfig,
    path_plan,
)

STEPS = 4


class Sound(Strategy):
    """A short random search that keeps to the contract."""

    info = Info("sound", "Sound", "-", 2024, ("structural", "modular"), "-")

    def setup(self) -> None:
        self.steps = 0
        self.best = self.problem.sample(self.problem.rng("start"))
        self.top1 = -1.0

    def step(self) -> None:
        if self.steps == STEPS:
            raise SearchFinished
        self.steps += 1
        self.train(self.draw())

    def draw(self) -> Architecture:
        return self.problem.sample(self.problem.rng("draw"))

    def train(self, architecture: Architecture) -> None:
        found = self.problem.evaluate(architecture, 1)
        if found.top1 > self.top1:
            self.best, self.top1 = architecture, found.top1

    def incumbent(self) -> Architecture:
        return self.best


class Learns(Sound):
    """Also keeps to the contract, with a trained tensor, a deque, a set and numpy numbers."""

    def setup(self) -> None:
        super().setup()
        self.alphas = torch.zeros(3, requires_grad=True)
        self.optimiser = torch.optim.Adam([self.alphas], lr=0.1)
        self.recent: deque[tuple[Architecture, np.float64]] = deque(maxlen=2)
        self.seen: set[Architecture] = set()

    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        self.seen.add(architecture)
        self.recent.append((architecture, np.float64(self.top1)))
        self.optimiser.zero_grad()
        (self.alphas - len(self.seen)).square().sum().backward()
        self.optimiser.step()

    def diagnostics(self) -> Mapping[str, Any]:
        return {"alphas": self.alphas.tolist(), "recent": [top1 for _, top1 in self.recent], "seen": len(self.seen)}


class SeedsNumpy(Sound):
    def draw(self) -> Architecture:
        np.random.seed(0)  # noqa: NPY002
        return self.problem.sample(np.random.default_rng(np.random.randint(100)))  # noqa: NPY002


class SeedsTorch(Sound):
    def draw(self) -> Architecture:
        torch.manual_seed(0)
        return super().draw()


class DrawsFromPython(Sound):
    def draw(self) -> Architecture:
        return self.problem.sample(np.random.default_rng(random.randrange(2**32)))


class Undetermined(Sound):
    def draw(self) -> Architecture:
        return self.problem.sample(np.random.default_rng(int.from_bytes(os.urandom(4), "big")))


class ComputesInSecret(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        nn.Conv2d(8, 64, 3)(torch.zeros(64, 8, 64, 64)).sum().backward()


class RaisesItsBudget(Sound):
    def train(self, architecture: Architecture) -> None:
        self.problem.ledger.budget = 100.0
        super().train(architecture)


class PaysItselfBack(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        self.problem.ledger._macs = 0


class Overspends(Sound):
    def step(self) -> None:
        self.problem.ledger.charge(int(0.7 * self.problem.ledger.budget * self.problem.ledger.reference))


class GoesOn(Sound):
    def step(self) -> None:
        try:
            self.problem.evaluate(self.draw(), 100)
        except BudgetExhausted:
            self.train(self.draw())


class Endless(Sound):
    def step(self) -> None:
        self.steps += 1


class Unaffordable(Sound):
    def step(self) -> None:
        self.problem.evaluate(self.draw(), 1000)


class AsksForTest(Sound):
    def step(self) -> None:
        self.problem._bench.store.indices("test")
        super().step()


class OpensFiles(Sound):
    def step(self) -> None:
        self.problem._bench.store.dataset.path(0)
        super().step()


class ReadsPastTheStore(Sound):
    def step(self) -> None:
        self.problem._bench.store._pixels[0].mean()
        super().step()


class HasNoStep(Sound):
    step = Strategy.step


class HasNoIncumbent(Sound):
    incumbent = Strategy.incumbent


class LeavesTheSpace(Sound):
    def incumbent(self) -> Architecture:
        return Architecture(tuple(99 for _ in self.best.choices), "99")


class AboveTheCap(Sound):
    def incumbent(self) -> Architecture:
        if self.steps != 2:
            return self.best
        rng, space = np.random.default_rng(0), self.problem.space
        return next(a for a in iter(lambda: space.sample(rng), None) if not self.problem.feasible(a))


class StaysAboveTheCap(Sound):
    def incumbent(self) -> Architecture:
        rng, space = np.random.default_rng(self.steps), self.problem.space
        return next(a for a in iter(lambda: space.sample(rng), None) if not self.problem.feasible(a))


class ForgetsEverything(Sound):
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""


class ForgetsItsBest(Sound):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({"steps": state["steps"]})


class KeepsObjects(Sound):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"seen": {1, 2}}


# --- state where it cannot be kept ------------------------------------------------------------------------------------


def counting() -> Callable[[], int]:
    made = [0]

    def count() -> int:
        made[0] += 1
        return made[0]

    return count


class HidesInAClosure(Sound):
    def setup(self) -> None:
        super().setup()
        self.count = counting()

    def draw(self) -> Architecture:
        return [super(HidesInAClosure, self).draw() for _ in range(self.count())][-1]


TRIED: list[Architecture] = []


class HidesInAGlobal(Sound):
    def draw(self) -> Architecture:
        TRIED.append(super().draw())
        return TRIED[-1]


class HidesInItsClass(Sound):
    tried: ClassVar[dict[str, int]] = {}

    def draw(self) -> Architecture:
        self.tried[str(len(self.tried))] = 1
        return super().draw()


class Memory:
    def __init__(self) -> None:
        self.tried: list[Architecture] = []


class HidesInAnObject(Sound):
    def setup(self) -> None:
        super().setup()
        self.memory = Memory()

    def draw(self) -> Architecture:
        self.memory.tried.append(super().draw())
        return self.memory.tried[-1]


class ReplacesAnObject(Sound):
    def setup(self) -> None:
        super().setup()
        self.memory = Memory()

    def draw(self) -> Architecture:
        self.memory = Memory()
        return super().draw()


class KeepsAnIterator(Sound):
    def setup(self) -> None:
        super().setup()
        self.drawn = (self.problem.sample(self.problem.rng("draw")) for _ in range(100))

    def draw(self) -> Architecture:
        return next(self.drawn)


class Counts(Sound):
    def setup(self) -> None:
        super().setup()
        self.numbers = itertools.count()

    def draw(self) -> Architecture:
        return self.problem.sample(np.random.default_rng(next(self.numbers)))


# --- computing unpaid, or being refunded ------------------------------------------------------------------------------


class AsksForNothing(Sound):
    epochs: ClassVar[Any] = -1

    def train(self, architecture: Architecture) -> None:
        self.problem.evaluate(architecture, self.epochs)


class AsksForHalfAnEpoch(AsksForNothing):
    epochs = 0.5


class AsksForTrue(AsksForNothing):
    epochs = True


class AsksForZero(AsksForNothing):
    epochs = 0


class ChargesLessThanNothing(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        self.problem.ledger.charge(-5)


class PassesBackwards(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        self.problem.ledger.forward(-5, 1, 0)


class Resumes(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        self.problem.ledger.resume(0, 0, 0)


class LoadsAnOldState(Sound):
    def train(self, architecture: Architecture) -> None:
        before = self.problem._state()
        super().train(architecture)
        self.problem._load_state(before)


class DropsTheMeter(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        network = copy.deepcopy(self.problem.metered.network(architecture))
        network._forward_pre_hooks.clear()
        network._forward_hooks.clear()
        for _ in range(20):
            network(network.blank().expand(8, -1, -1, -1, -1)).sum().backward()


class CallsTheBareSupernet(Sound):
    def train(self, architecture: Architecture) -> None:
        super().train(architecture)
        if not isinstance(self.problem.space, BlockSpace):
            return
        network = self.problem.supernet("bare").network
        plan = path_plan(self.problem.space, architecture)
        for _ in range(20):
            network(torch.zeros(8, plan.frames, 3, plan.size, plan.size), plan).sum().backward()


class Crashes(Sound):
    def draw(self) -> Architecture:
        if self.steps == 2:
            raise ZeroDivisionError("lost its way")
        return super().draw()


class OnlyOneLevel(Sound):
    def setup(self) -> None:
        if len(self.problem.space.frames) == 1:  # type: ignore[attr-defined]
            raise ValueError("needs frames to choose from")
        super().setup()


class UndescribedConfig(StrategyConfig):
    rate: float = Field(0.1)


class Undescribed(Sound):
    Config = UndescribedConfig


class SearchesBlocks(Strategy[StrategyConfig, BlockSpace]):
    info = Sound.info
    setup, step, incumbent = Sound.setup, Sound.step, Sound.incumbent
    draw, train = Sound.draw, Sound.train


class NoJson(Sound):
    def diagnostics(self) -> Mapping[str, Any]:
        return {"best": self.best}
