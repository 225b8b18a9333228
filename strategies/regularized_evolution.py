"""Regularized evolution: a population whose oldest member dies, whatever its fitness.

Each round draws a tournament from the population, mutates its winner, trains the child and adds it; the oldest member
leaves. Ageing keeps an architecture from surviving on one lucky training.
"""

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, StrategyConfig, UsageError
from pvnas_bench.methods import AskTell


class RegularizedEvolutionConfig(StrategyConfig):
    """Hyper-parameters of regularized evolution."""

    population: int = Field(20, ge=2, le=1000, description="P, architectures alive (tuned; Real et al.: 100)")
    tournament: int = Field(5, ge=1, le=1000, description="S, drawn with replacement (tuned; Real et al.: 25)")


class RegularizedEvolution(AskTell[RegularizedEvolutionConfig]):
    """Tournament evolution with ageing."""

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

    def setup(self) -> None:
        """Start with an empty population.

        Raises:
            UsageError: the tournament is larger than the population.
        """
        tournament, population = self.config.tournament, self.config.population
        if tournament > population:
            raise UsageError(
                f"regularized_evolution: tournament={tournament} is more than population={population}: change --set"
            )
        super().setup()

    @property
    def alive(self) -> list[Evaluation]:
        """The population, oldest first."""
        return self.history[-self.config.population :]

    def ask(self) -> Architecture | list[Architecture]:
        """The first population; then a mutation of the winner of a tournament."""
        if not self.history:
            rng = self.problem.rng("population")
            return [self.problem.sample(rng) for _ in range(self.config.population)]
        rng, alive = self.problem.rng("evolution"), self.alive
        drawn = [alive[i] for i in rng.integers(len(alive), size=self.config.tournament)]
        return self.problem.mutate(max(drawn, key=lambda evaluation: evaluation.top1).architecture, rng)
