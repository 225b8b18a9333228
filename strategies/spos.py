"""SPOS: single path one-shot search with uniform sampling.

Guo et al. train a supernet along one uniformly sampled path per batch (their equations 5 and 6), so that no path is
favoured, and search it by evolution afterwards. An architecture's fitness is its accuracy on search-val with the
supernet's weights, its batch-norm statistics first recalibrated on clips of search-train (their section 3.4). Paths are
sampled under the cap, their uniform constraint sampling.

What was found on synthetic_motion (protocol quick, cap L; random sampling has a mean test top-1 of 0.46): 0.60 and 0.64
with seeds 0 and 1, 0.59 over seeds 0-2. SGD at 0.1 trains the supernet further (loss 2.3 for 2.4, best fitness 0.30 for
0.24), yet its best path was smaller and had 0.43 (one seed).

On words, under quick with seeds 0-2, it has 0.34, 0.58 and 0.42 where random search has 0.53 (standard deviation 0.04).
The supernet learns: the best of some 200 paths have 0.35, 0.37 and 0.36 on search-val with its weights. What they reach
alone differs by far more than that.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field

from pvnas_bench import Architecture, Info, Problem, SearchFinished, Strategy
from pvnas_bench.methods.bilevel import WeightsConfig, make_weight_optimiser, set_rate
from pvnas_bench.methods.evolution import Recipe, best, next_generation

PRICED = 200
"""Random architectures whose mean cost is the price of a validation when the evolution is planned."""


class SPOS(Strategy):
    info = Info(
        name="spos",
        title="SPOS: single path one-shot, then evolution",
        paper="Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="uniform path sampling under the cap, recalibrated batch-norm, the evolution's proportions, "
        "label smoothing",
        reconstructed="the shares of the budget; population and generations shrink alike to what the budget holds; "
        "AdamW in place of SGD (0.5, linear); `verify`",
    )

    class Config(WeightsConfig):
        supernet_share: float = Field(0.6, gt=0, lt=1, description="part of the budget that trains the supernet (R)")
        population: int = Field(50, ge=2, description="architectures per generation (SPOS)")
        generations: int = Field(20, ge=1, description="of the evolution (SPOS)")
        top: int = Field(10, ge=1, description="parents: the best so far (SPOS)")
        mutations: int = Field(25, ge=1, description="per generation (SPOS)")
        crossovers: int = Field(25, ge=1, description="per generation (SPOS)")
        mutation_rate: float = Field(0.1, gt=0, le=1, description="probability that a decision changes (SPOS)")
        recalibration: int = Field(8, ge=1, description="batches for batch-norm statistics; 200 on ImageNet (SPOS)")
        verify: int = Field(0, ge=0, description="best of the evolution that stand-alone training compares (R)")

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet = problem.supernet()
        self.optimiser = self._optimiser()
        self.recipe = Recipe(config.population, config.top, config.mutations, config.crossovers, config.mutation_rate)
        self.generations = config.generations
        self.trained = False
        self.generation = 0
        self.fitness: dict[Architecture, float] = {}
        self.verified: dict[Architecture, float] = {}
        self.history: dict[str, list[float]] = {"best_fitness": []}
        self.fallback = problem.sample(problem.rng("fallback"))

    def _optimiser(self) -> torch.optim.Optimizer:
        return make_weight_optimiser(self.supernet.parameters(), self.config)

    @property
    def progress(self) -> float:
        """The part of the supernet's budget that is spent."""
        ledger = self.problem.ledger
        return float(min(ledger.spent / (self.config.supernet_share * ledger.budget), 1.0))

    def step(self) -> None:
        """One epoch of the supernet, then one generation, then one stand-alone training."""
        if not self.trained:
            self._train()
        elif self.generation < self.generations:
            self._evolve()
        elif len(self.verified) < self.config.verify:
            self._verify()
        else:
            raise SearchFinished

    # --- the supernet -------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        """One epoch of search-train, a uniformly drawn path per batch; the last one ends with the supernet's share."""
        rng, losses = self.problem.rng("paths"), []
        for batch in self.problem.search_batches("train"):
            if self.progress >= 1:
                self.trained = True
                self._plan()
                break
            set_rate(self.optimiser, self.config, self.progress)
            loss = self.supernet.loss(batch, self.problem.sample(rng), self.config.label_smoothing)
            self.problem.backward(loss)
            self.problem.update(self.optimiser, clip=self.config.gradient_clip)
            losses.append(float(loss.detach()))
        if losses:
            self.problem.log(train_loss=float(np.mean(losses)))

    def _plan(self) -> None:
        """Shrink population and generations alike to what is left for the evolution, at the price of random paths."""
        problem, rng = self.problem, self.problem.rng("plan")
        clips = problem.clips_in("val") + self.config.recalibration * problem.batch_size
        macs = np.mean([problem.cost(problem.sample(rng)).macs for _ in range(PRICED)])
        price = float(macs) * clips / problem.ledger.reference
        verification = self.config.verify * self._verification_price()
        affordable = max(self.problem.ledger.left - verification, 0.0) / price
        factor = min(math.sqrt(affordable / (self.config.population * self.config.generations)), 1.0)
        self.recipe = self.recipe.scaled(factor)
        self.generations = max(round(self.config.generations * factor), 1)

    def _verification_price(self) -> float:
        reference = self.problem.space.reference
        return self.problem.evaluation_cost(reference) * self.problem.cap / self.problem.cost(reference).macs

    # --- the evolution ------------------------------------------------------------------------------------------------

    def _evolve(self) -> None:
        """One generation: children of the best so far, and their fitness."""
        problem = self.problem
        parents = best(self.fitness.items(), self.recipe.top)
        children = next_generation(
            self.recipe, problem.space, parents, self.fitness, problem.feasible, problem.rng("evolution")
        )
        for child in children:
            self.fitness[child] = self._fitness(child)
        self.generation += 1
        self.history["best_fitness"].append(max(self.fitness.values()))
        self._log_generation()

    def _fitness(self, architecture: Architecture) -> float:
        """Top-1 on search-val with inherited weights and recalibrated batch-norm."""
        recalibration = itertools.islice(self.problem.search_batches("train"), self.config.recalibration)
        return self.supernet.validate(architecture, self.problem.validation_batches(), recalibration)[0]

    def _log_generation(self) -> None:
        self.problem.log(val_top1=max(self.fitness.values()))

    def _verify(self) -> None:
        """Train the next best of the evolution stand-alone, for a short time."""
        ranked = best(self.fitness.items(), self.config.verify)
        waiting = [architecture for architecture in ranked if architecture not in self.verified]
        if not waiting:
            raise SearchFinished
        self.verified[waiting[0]] = self.problem.evaluate(waiting[0]).top1
        self.problem.log(val_top1=max(self.verified.values()))

    # --- what it found ------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The best that stand-alone training compared, else of the evolution, else a random architecture."""
        found = self.verified or self.fitness
        return best(found.items(), 1)[0] if found else self.fallback

    def score(self, architecture: Architecture) -> float:
        return self._fitness(architecture)

    def diagnostics(self) -> Mapping[str, Any]:
        return self.history | {
            "population": self.recipe.population,
            "generations": self.generations,
            "architectures_scored": len(self.fitness),
            "rank_pairs": [[self.fitness[a], top1] for a, top1 in self.verified.items()],
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "trained": self.trained,
            "generation": self.generation,
            "generations": self.generations,
            "recipe": [self.recipe.population, self.recipe.top, self.recipe.mutations, self.recipe.crossovers],
            "fitness": {str(a): score for a, score in self.fitness.items()},
            "verified": {str(a): top1 for a, top1 in self.verified.items()},
            "history": {name: list(values) for name, values in self.history.items()},
            "fallback": str(self.fallback),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        parse = self.problem.space.parse
        self.supernet.load_state_dict(state["supernet"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.trained, self.generation = state["trained"], state["generation"]
        self.generations = state["generations"]
        population, top, mutations, crossovers = state["recipe"]
        self.recipe = Recipe(population, top, mutations, crossovers, self.config.mutation_rate)
        self.fitness = {parse(string): score for string, score in state["fitness"].items()}
        self.verified = {parse(string): top1 for string, top1 in state["verified"].items()}
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.fallback = parse(state["fallback"])
