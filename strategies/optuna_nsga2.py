"""Optuna's NSGA-II: accuracy and MACs, a front of networks instead of one."""

from collections.abc import Sequence

from optuna.samplers import BaseSampler
from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info
from pvnas_bench.methods import pareto_front
from pvnas_bench.methods.optuna_search import OptunaSearch, OrderedNSGAIISampler
from pvnas_bench.methods.optuna_storage import OptunaConfig


class OptunaNSGA2Config(OptunaConfig):
    """Hyper-parameters of optuna_nsga2."""

    population: int = Field(20, ge=2, le=1000, description="trials of a generation (tuned; Optuna's default: 50)")


class OptunaNSGA2(OptunaSearch[OptunaNSGA2Config]):
    """Two-objective search by Optuna's NSGA-II."""

    info = Info(
        name="optuna_nsga2",
        title="Optuna: NSGA-II on accuracy and MACs",
        paper="Deb, Pratap, Agarwal & Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, "
        "IEEE TEC 2002; Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own NSGAIISampler, with constrained domination",
        reconstructed="inactive decisions are suggested and ignored; a population for some 30 trainings "
        "(Optuna's default: 50)",
    )

    directions = ("maximize", "minimize")

    def setup(self) -> None:
        """Create a study with an empty front."""
        super().setup()
        self.pareto: list[Evaluation] = []

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return OrderedNSGAIISampler(population_size=self.config.population, seed=seed, constraints_func=self.excess)

    def values(self, architecture: Architecture, top1: float) -> list[float]:
        """Accuracy and MACs."""
        return [top1, float(self.problem.cost(architecture).macs)]

    def tell(self, evaluation: Evaluation) -> None:
        """Report the evaluation to Optuna and update the front."""
        super().tell(evaluation)
        others = [other for other in self.pareto if other.architecture != evaluation.architecture]
        self.pareto = pareto_front([*others, evaluation])

    def front(self) -> Sequence[Architecture]:
        """The non-dominated architectures under the cap, in accuracy and MACs."""
        return tuple(evaluation.architecture for evaluation in self.pareto)
