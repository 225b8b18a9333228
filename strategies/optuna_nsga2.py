"""Optuna's NSGA-II: accuracy and MACs, a front of networks instead of one.

Found under quick with seeds 0-2, some 35 trainings of 4 epochs: 0.64 on synthetic_motion, where random search has 0.53,
and 0.46 on words, where it has 0.53 (standard deviations 0.05, 0.07, 0.04, 0.04). Its trainings go to the whole front:
the networks found on words have 1.3 to 2.5 of the 7 MMACs allowed. Where accuracy has no noise its most accurate one is
no better than that of chance after 30 evaluations, nor for certain after 120.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import moocore
import numpy as np
from optuna import Study
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.trial import FrozenTrial
from pvnas_bench.strategies._optuna import OptunaStrategy
from pvnas_bench.strategies._optuna_shared import OptunaConfig
from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info


class Sampler(NSGAIISampler):
    """Optuna's, which returns the parents of a generation always in the order in which they were selected.

    Optuna keeps them in its study, from which they come back in another order: what a seed draws would depend on how
    often they were asked for.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._parents: dict[int, list[FrozenTrial]] = {}

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        if generation not in self._parents:
            self._parents[generation] = self.select_parent(study, generation) if generation else []
        return self._parents[generation]


class OptunaNSGA2(OptunaStrategy):
    info = Info(
        name="optuna_nsga2",
        title="Optuna: NSGA-II on accuracy and MACs",
        paper="Deb, Pratap, Agarwal & Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, "
        "IEEE TEC 2002; Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own NSGAIISampler, with constrained domination",
        reconstructed="the space by run; a population for some 30 trainings (Optuna's default: 50)",
    )

    class Config(OptunaConfig):
        population: int = Field(10, ge=2, le=1000, description="trials of a generation (Optuna's default: 50) (R)")

    directions = ("maximize", "minimize")

    def prepare(self) -> None:
        super().prepare()
        self._front: list[Evaluation] = []

    def sampler(self, seed: int) -> BaseSampler:
        return Sampler(population_size=self.config.population, seed=seed, constraints_func=self.excess)

    def values(self, architecture: Architecture, top1: float) -> list[float]:
        return [top1, float(self.problem.cost(architecture).macs)]

    def _remember(self, evaluation: Evaluation) -> Evaluation:
        known = [*(other for other in self._front if other is not evaluation), evaluation]
        kept = moocore.is_nondominated(np.array([[-e.top1, e.macs] for e in known]), keep_weakly=True)
        self._front = [e for e, keep in zip(known, kept, strict=True) if keep]
        return super()._remember(evaluation)

    def front(self) -> Sequence[Architecture]:
        """The trials under the cap that no other one beats in accuracy and MACs."""
        return tuple(evaluation.architecture for evaluation in self._front)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._front = []
        super().load_state_dict(state)
