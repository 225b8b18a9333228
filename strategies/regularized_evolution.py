"""Regularized evolution: a population in which the oldest dies, whatever its fitness.

Each round draws a tournament from the population, mutates its winner, trains the child and adds it; the oldest member
leaves. Ageing keeps an architecture from surviving on one lucky training.
"""

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, StrategyConfig, UsageError
from pvnas_bench.ask_tell import AskTell
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
