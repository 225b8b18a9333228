"""Strategies that each break one rule of the contract, on top of one that keeps to all."""

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from pvnas_bench import Architecture, BudgetExhausted, Info, Problem, SearchFinished, Strategy, StrategyConfig

STEPS = 4


class Sound(Strategy):
    """A short random search that keeps to the contract."""

    info = Info("sound", "Sound", "-", 2024, ("structural", "modular"), "-")

    def setup(self, problem: Problem) -> None:
        self.problem, self.steps = problem, 0
        self.best = problem.sample(problem.rng("start"))
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

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "best": str(self.best), "top1": self.top1}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps, self.top1 = state["steps"], state["top1"]
        self.best = self.problem.space.parse(state["best"])


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
        self.problem.ledger.macs = 0


class Overspends(Sound):
    def step(self) -> None:
        self.problem.ledger.macs += int(0.7 * self.problem.ledger.budget * self.problem.ledger.reference)


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


class LeavesTheSpace(Sound):
    def incumbent(self) -> Architecture:
        return Architecture(tuple(99 for _ in self.best.choices), "99")


class AboveTheCap(Sound):
    def incumbent(self) -> Architecture:
        if self.steps != 2:
            return self.best
        rng, space = np.random.default_rng(0), self.problem.space
        return next(a for a in iter(lambda: space.sample(rng), None) if not self.problem.feasible(a))


class ForgetsEverything(Sound):
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""


class ForgetsItsBest(Sound):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]


class KeepsObjects(Sound):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"seen": {1, 2}}


class Crashes(Sound):
    def draw(self) -> Architecture:
        if self.steps == 2:
            raise ZeroDivisionError("lost its way")
        return super().draw()


class OnlyOneLevel(Sound):
    def setup(self, problem: Problem) -> None:
        if len(problem.space.frames) == 1:
            raise ValueError("needs frames to choose from")
        super().setup(problem)


class Undescribed(Sound):
    class Config(StrategyConfig):
        rate: float = Field(0.1)


class NoJson(Sound):
    def diagnostics(self) -> Mapping[str, Any]:
        return {"best": self.best}
