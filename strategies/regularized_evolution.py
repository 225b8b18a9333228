"""Regularized evolution: a population in which the oldest dies, whatever its fitness.

Each round draws a tournament from the population, mutates its winner, trains the child and adds it; the oldest member
leaves. Ageing keeps an architecture from surviving on one lucky training.

Found under quick with seeds 0-2, some 25 trainings of 4 epochs: 0.71 on synthetic_motion, where random search has 0.53,
and 0.49 on words, where it has 0.53 (standard deviations 0.09, 0.07, 0.07, 0.04). On words its incumbents have 0.24 to
0.30 on search-val and random search's 0.29 to 0.34, with a standard error of 0.03: so short a training hardly tells
architectures apart there, and the first ten are drawn at random. Where accuracy has no noise it is better than chance
after 120 evaluations, and not yet after 30.
"""

from collections.abc import Iterator
from copy import deepcopy

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, StrategyConfig, UsageError
from pvnas_bench.methods.ask_tell import AskTell
from pvnas_bench.problem import Problem

TRIES = 1000


class RegularizedEvolution(AskTell):
    info = Info(
        name="regularized_evolution",
        title="Regularized (ageing) evolution",
        paper="Real, Aggarwal, Huang & Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019",
        year=2019,
        levels=("structural", "modular"),
        published="random initial population, tournament selection, mutation of the winner, the oldest dies",
        reconstructed="population and tournament scaled to some 30 trainings (the paper: 100 and 25 of 20,000); a "
        "mutation changes one decision and is drawn again while it is above the cap",
    )

    class Config(StrategyConfig):
        population: int = Field(10, ge=2, le=1000, description="P, architectures alive (10-30; Real et al.: 100) (R)")
        tournament: int = Field(3, ge=1, le=1000, description="S, drawn with replacement (3-10; Real et al.: 25) (R)")

    def setup(self, problem: Problem) -> None:
        if self.config.tournament > self.config.population:
            raise UsageError(
                f"regularized_evolution: tournament={self.config.tournament} is more than "
                f"population={self.config.population}: change --set"
            )
        super().setup(problem)

    @property
    def alive(self) -> list[Evaluation]:
        """The population, oldest first: the last to be born."""
        return self.history[-self.config.population :]

    def ask(self) -> Architecture:
        if len(self.history) < self.config.population:
            return self.problem.sample(self.problem.rng("population"))
        rng, alive = self.problem.rng("evolution"), self.alive
        drawn = [alive[i] for i in rng.integers(len(alive), size=self.config.tournament)]
        parent = max(drawn, key=lambda evaluation: evaluation.top1).architecture
        for _ in range(TRIES):
            child = self.problem.space.mutate(parent, rng)
            if self.problem.feasible(child):
                return child
        raise RuntimeError(f"no mutation of {parent} is under the cap in {TRIES} tries")

    def upcoming(self) -> Iterator[Architecture]:
        """The rest of the first population."""
        rng = deepcopy(self.problem.rng("population"))
        for _ in range(len(self.history) + 1, self.config.population):
            yield self.problem.sample(rng)
