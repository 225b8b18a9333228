"""Search with a score of untrained networks: base class of zero-cost strategies.

It scores random architectures, then mutations of the best, and returns the architecture with the highest score, at
almost no cost. With `finalists`, the best are trained for the protocol's proxy epochs and the most accurate one is
returned.
"""

import math
from collections.abc import Mapping

from pydantic import Field
from typing_extensions import TypeVar

from pvnas_bench.problem import Evaluation, Json, S
from pvnas_bench.space import Architecture
from pvnas_bench.strategy import SearchFinished, Strategy, StrategyConfig


class ZeroCostConfig(StrategyConfig):
    """Hyper-parameters of the search; a strategy overrides defaults that differ in its paper."""

    samples: int = Field(200, ge=1, description="random architectures scored (R)")
    evolved: int = Field(0, ge=0, description="mutations of the best scored after them (R)")
    population: int = Field(16, ge=1, description="best architectures to mutate (R)")
    generation: int = Field(50, ge=1, description="scores per step (R)")
    finalists: int = Field(0, ge=0, description="best architectures to train and compare at the end; 0: none (R)")


ZC = TypeVar("ZC", bound=ZeroCostConfig, default=ZeroCostConfig)


class ZeroCost(Strategy[ZC, S]):
    """Zero-cost search; a strategy defines the score."""

    def setup(self) -> None:
        """Start without scores."""
        self.scores: dict[Architecture, float] = {}
        self.trained: list[Evaluation] = []
        self.fallback = self.problem.sample(self.problem.rng("fallback"))

    def score(self, architecture: Architecture) -> float:
        """Score an architecture; higher is better. Passes must go through the problem, which charges them."""
        raise NotImplementedError

    def step(self) -> None:
        """Score one generation, or train one finalist.

        Raises:
            ValueError: a score is not a number.
        """
        problem, config = self.problem, self.config
        wanted = config.samples + config.evolved
        if len(self.scores) < wanted:
            for _ in range(min(config.generation, wanted - len(self.scores))):
                architecture = self._candidate()
                value = self.score(architecture)
                if not math.isfinite(value):
                    raise ValueError(f"the score of {architecture} is {value}")
                self._keep(architecture, value)
            problem.log(best_score=max(self.scores.values()))
        elif finalists := self._ranking()[len(self.trained) : config.finalists]:
            problem.prefetch(finalists)
            self.trained.append(problem.evaluate(finalists[0]))
            problem.log(val_top1=max(evaluation.top1 for evaluation in self.trained))
        else:
            raise SearchFinished

    def _candidate(self) -> Architecture:
        """Draw a new architecture under the cap: at random first, later a mutation of one of the best."""
        rng, space = self.problem.rng("candidates"), self.problem.space
        best = self._ranking()[: self.config.population] if len(self.scores) >= self.config.samples else []

        def make() -> Architecture:
            if best:
                return space.mutate(best[int(rng.integers(len(best)))], rng)
            return space.sample(rng)

        candidate = self.problem.draw(make, known=self.scores)
        if candidate is None:
            raise SearchFinished
        return candidate

    def _keep(self, architecture: Architecture, value: float) -> None:
        """Keep a score; in a null search, exchange it with one at random of those kept (Fisher and Yates).

        So the scores are in a random order among all scored architectures, at any time.
        """
        self.scores[architecture] = value
        if self.problem.null:
            other = list(self.scores)[int(self.problem.rng("null").integers(len(self.scores)))]
            self.scores[architecture], self.scores[other] = self.scores[other], value

    def _ranking(self) -> list[Architecture]:
        return sorted(self.scores, key=lambda architecture: -self.scores[architecture])

    def incumbent(self) -> Architecture:
        """The most accurate finalist, else the architecture with the highest score, else a random one."""
        if self.trained:
            return max(self.trained, key=lambda evaluation: evaluation.top1).architecture
        return self._ranking()[0] if self.scores else self.fallback

    def diagnostics(self) -> Mapping[str, Json]:
        """Number of scored architectures, and the finalists."""
        return {"scored": len(self.scores), "finalists": [[str(e.architecture), e.top1] for e in self.trained]}
