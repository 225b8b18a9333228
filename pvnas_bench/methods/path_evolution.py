"""Supernet training on sampled paths, then evolution: base class of SPOS, FairNAS and BN-NAS."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import nn
from typing_extensions import TypeVar

from pvnas_bench.methods.evolution import Evolution, EvolutionRecipe
from pvnas_bench.methods.shared_weights import SharedWeights, WeightsConfig
from pvnas_bench.problem import Evaluation, Json
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.strategy import SearchFinished, Strategy


class PathEvolutionConfig(WeightsConfig):
    """Hyper-parameters of supernet training and of the evolution."""

    supernet_share: float = Field(0.8, gt=0, lt=1, description="part of the budget that trains the supernet (R)")
    population: int = Field(50, ge=2, description="architectures per generation (SPOS)")
    generations: int = Field(20, ge=1, description="number of generations (SPOS)")
    top: int = Field(10, ge=1, description="number of parents, the best so far (SPOS)")
    mutations: int = Field(25, ge=1, description="mutations per generation (SPOS)")
    crossovers: int = Field(25, ge=1, description="crossovers per generation (SPOS)")
    mutation_rate: float = Field(0.1, gt=0, le=1, description="probability that a decision changes (SPOS)")
    recalibration: int = Field(8, ge=1, description="batches for batch-norm statistics; 200 on ImageNet (SPOS)")
    verify: int = Field(0, ge=0, description="best of the evolution that stand-alone training compares (R)")


EC = TypeVar("EC", bound=PathEvolutionConfig, default=PathEvolutionConfig)


class PathEvolution(Strategy[EC, BlockSpace]):
    """Evolution on a supernet; a strategy defines the fitness, and may choose the paths and the weights to train.

    Attributes:
        supernet, weights: the supernet, and the optimiser of its weights.
        evolution: the evolution, started once the supernet is trained.
        verified: the best architectures of the evolution, trained stand-alone.
        logged: name under which the best fitness of a generation is logged.
    """

    logged: ClassVar[str] = "best_fitness"

    def setup(self) -> None:
        """Build the supernet, its optimiser and the evolution."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet, self.trained_parameters())
        recipe = EvolutionRecipe(
            config.population, config.top, config.mutations, config.crossovers, config.mutation_rate
        )
        self.evolution = Evolution(problem, recipe, config.generations)
        self.trained = False
        self.verified: list[Evaluation] = []
        self.fallback = problem.sample(problem.rng("fallback"))

    def trained_parameters(self) -> Iterable[nn.Parameter] | None:
        """Parameters to train; None: all."""
        return None

    def paths(self, rng: np.random.Generator) -> Sequence[Architecture]:
        """Paths of a batch, whose mean gradient is one step of the supernet: one, uniformly sampled."""
        return [self.problem.sample(rng)]

    def fitness(self) -> Callable[[Architecture], float]:
        """Return the function that computes an architecture's fitness on the current supernet; higher is better."""
        raise NotImplementedError

    def validated(self, architecture: Architecture) -> float:
        """Top-1 on search-val with the supernet's weights, batch-norm recalibrated on search-train."""
        recalibration = itertools.islice(self.problem.search_batches("train"), self.config.recalibration)
        return self.supernet.validate(architecture, self.problem.validation_batches(), recalibration)[0]

    def epoch_over(self) -> None:
        """Hook after each epoch of the supernet; `trained` is True after the last epoch."""

    def step(self) -> None:
        """Run one epoch of the supernet, then one generation, then one stand-alone training."""
        problem, config = self.problem, self.config
        if not self.trained:
            self.trained = self.weights.path_epoch(config.supernet_share, config.rate, self.paths)
            self.epoch_over()
        elif not self.evolution.over:
            problem.log(**{self.logged: self.evolution.step(self.fitness())})
        elif waiting := [a for a in self.evolution.best(config.verify) if a not in self._verified()]:
            self.verified.append(problem.evaluate(waiting[0]))
            problem.log(val_top1=max(evaluation.top1 for evaluation in self.verified))
        else:
            raise SearchFinished

    def _verified(self) -> list[Architecture]:
        return [evaluation.architecture for evaluation in self.verified]

    def incumbent(self) -> Architecture:
        """The best architecture by stand-alone training, else by fitness, else a random one."""
        if self.verified:
            return max(self.verified, key=lambda evaluation: evaluation.top1).architecture
        return next(iter(self.evolution.best(1)), self.fallback)

    def score(self, architecture: Architecture) -> float:
        """Fitness of an architecture on the current supernet."""
        return self.fitness()(architecture)

    def diagnostics(self) -> Mapping[str, Json]:
        """Size of the evolution, and pairs of fitness and stand-alone accuracy."""
        fitness = self.evolution.fitness
        return {
            "population": self.evolution.recipe.population,
            "generations": self.evolution.generations,
            "architectures_scored": len(fitness),
            "rank_pairs": [[fitness[e.architecture], e.top1] for e in self.verified],
        }
