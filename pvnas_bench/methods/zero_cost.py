"""Search by a score of untrained networks: what zero-cost strategies share.

Random architectures are scored, then mutations of the best; the highest score is returned. It spends next to nothing of
the budget. With `finalists` the best of them are trained for a short time, and the most accurate is returned.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture
from pvnas_bench.strategy import SearchFinished, Strategy, StrategyConfig


class ZeroCostConfig(StrategyConfig):
    """Hyper-parameters of the search; a strategy overrides what its paper sets otherwise."""

    samples: int = Field(200, ge=1, description="random architectures scored (R)")
    evolved: int = Field(0, ge=0, description="mutations of the best scored after them (R)")
    population: int = Field(16, ge=1, description="of the best that are mutated (R)")
    generation: int = Field(50, ge=1, description="scores per step (R)")
    finalists: int = Field(0, ge=0, description="of the best that are trained and compared at the end; 0: none (R)")


class ZeroCost(Strategy):
    """A strategy says what the score of an architecture is."""

    Config: ClassVar[type[StrategyConfig]] = ZeroCostConfig

    def setup(self, problem: Problem) -> None:
        self.problem = problem
        self.scores: dict[str, float] = {}
        self.trained: list[list[Any]] = []
        self.fallback = problem.sample(problem.rng("fallback"))
        self.history: dict[str, list[float]] = {"best_score": []}

    def score(self, architecture: Architecture) -> float:
        """Higher is better; passes go through the problem, which charges them."""
        raise NotImplementedError

    def step(self) -> None:
        """One generation of scores, or the training of one finalist.

        Raises:
            ValueError: a score is not a number.
        """
        if len(self.scores) < self.config.samples + self.config.evolved:
            for _ in range(self.config.generation):
                if len(self.scores) == self.config.samples + self.config.evolved:
                    break
                architecture = self._candidate()
                value = self.score(architecture)
                if not math.isfinite(value):
                    raise ValueError(f"the score of {architecture} is {value}")
                self.scores[str(architecture)] = value
            self.history["best_score"].append(max(self.scores.values()))
            self.problem.log(best_score=self.history["best_score"][-1])
        elif len(self.trained) < min(self.config.finalists, len(self.scores)):
            name, *more = self._ranking()[len(self.trained) : self.config.finalists]
            self.problem.prefetch(map(self.problem.space.parse, [name, *more]))
            self.trained.append([name, self.problem.evaluate(self.problem.space.parse(name)).top1])
            self.problem.log(val_top1=max(top1 for _, top1 in self.trained))
        else:
            raise SearchFinished

    def _candidate(self) -> Architecture:
        """A new architecture under the cap: random, then near one of the best."""
        rng, space = self.problem.rng("candidates"), self.problem.space
        best = self._ranking()[: self.config.population] if len(self.scores) >= self.config.samples else []
        for _ in range(1000):
            if best:
                child = space.mutate(space.parse(best[int(rng.integers(len(best)))]), rng)
            else:
                child = self.problem.sample(rng)
            if str(child) not in self.scores and self.problem.feasible(child):
                return child
        raise SearchFinished

    def _ranking(self) -> list[str]:
        return sorted(self.scores, key=lambda name: -self.scores[name])

    def incumbent(self) -> Architecture:
        if self.trained:
            return self.problem.space.parse(max(self.trained, key=lambda pair: pair[1])[0])
        return self.problem.space.parse(self._ranking()[0]) if self.scores else self.fallback

    def diagnostics(self) -> Mapping[str, Any]:
        return self.history | {"scored": len(self.scores), "finalists": [list(pair) for pair in self.trained]}

    def state_dict(self) -> dict[str, Any]:
        return {
            "scores": dict(self.scores),
            "trained": [list(pair) for pair in self.trained],
            "history": {name: list(values) for name, values in self.history.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scores = dict(state["scores"])
        self.trained = [list(pair) for pair in state["trained"]]
        self.history = {name: list(values) for name, values in state["history"].items()}
