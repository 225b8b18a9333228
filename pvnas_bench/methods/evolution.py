"""Evolution over architectures by a cheap fitness, such as a supernet's, for population-based strategies."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, SearchSpace

TRIES = 10
"""Attempts per requested child (Guo et al. 2020, their code)."""

Feasible = Callable[[Architecture], bool]
Scored = tuple[Architecture, float]


@dataclass(frozen=True)
class EvolutionRecipe:
    """One generation: `mutations` and `crossovers` of the `top` best so far, random ones up to `population`.

    Attributes:
        rate: probability that a mutation changes a decision.
    """

    population: int
    top: int
    mutations: int
    crossovers: int
    rate: float

    def scaled(self, factor: float) -> "EvolutionRecipe":
        """The same proportions at another size: at least two parents, one mutation and one crossover."""
        mutations, crossovers = (max(round(n * factor), 1) for n in (self.mutations, self.crossovers))
        population = max(round(self.population * factor), mutations + crossovers)
        return EvolutionRecipe(population, max(round(self.top * factor), 2), mutations, crossovers, self.rate)


def distinct(
    make: Callable[[], Architecture], count: int, seen: Collection[Architecture], feasible: Feasible
) -> list[Architecture]:
    """Up to `count` distinct new architectures under the cap; fewer after too many tries."""
    found: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        made = make()
        if made not in seen and made not in found and feasible(made):
            found[made] = None
    return list(found)


def best(scored: Iterable[Scored], count: int) -> list[Architecture]:
    """The architectures of the highest scores, best first; ties go to the earlier."""
    return [architecture for architecture, _ in sorted(scored, key=lambda pair: -pair[1])[:count]]


def next_generation(
    recipe: EvolutionRecipe,
    space: SearchSpace,
    parents: Sequence[Architecture],
    seen: Collection[Architecture],
    feasible: Feasible,
    rng: np.random.Generator,
) -> list[Architecture]:
    """Mutations, crossovers and random architectures, new and under the cap; without parents all random."""

    def parent() -> Architecture:
        return parents[int(rng.integers(len(parents)))]

    children: list[Architecture] = []
    if parents:
        visited = set(seen)
        children += distinct(lambda: space.mutate(parent(), rng, recipe.rate), recipe.mutations, visited, feasible)
        visited.update(children)
        children += distinct(lambda: space.crossover(parent(), parent(), rng), recipe.crossovers, visited, feasible)
    rest = recipe.population - len(children)
    return children + distinct(lambda: space.sample(rng), rest, {*seen, *children}, feasible)


class Evolution:
    """Evolution with a record of every fitness (Guo et al. 2020): parents are the best so far, children are new.

    Attributes:
        recipe: recipe of a generation.
        generations: total number of generations; `generation` is the number completed.
        fitness: fitness of every architecture so far.
    """

    def __init__(self, problem: Problem[Any], recipe: EvolutionRecipe, generations: int) -> None:
        self._problem, self.recipe, self.generations = problem, recipe, generations
        self.generation = 0
        self.fitness: dict[Architecture, float] = {}

    @property
    def over(self) -> bool:
        """True once all generations are complete."""
        return self.generation >= self.generations

    def plan(self, affordable: float) -> None:
        """Shrink population and generations alike to at most `affordable` fitness values."""
        factor = min(math.sqrt(affordable / (self.recipe.population * self.generations)), 1.0)
        self.recipe = self.recipe.scaled(factor)
        self.generations = max(round(self.generations * factor), 1)

    def step(self, fitness: Callable[[Architecture], float]) -> float:
        """Run one generation: children of the best so far and their fitness; return the best fitness so far."""
        problem = self._problem
        parents = best(self.fitness.items(), self.recipe.top)
        children = next_generation(
            self.recipe, problem.space, parents, self.fitness, problem.feasible, problem.rng("evolution")
        )
        for child in children:
            self.fitness[child] = fitness(child)
        self.generation += 1
        return max(self.fitness.values())

    def best(self, count: int) -> list[Architecture]:
        """The architectures of the highest fitness, best first."""
        return best(self.fitness.items(), count)

    def state_dict(self) -> dict[str, Any]:
        """State for a new object to resume from."""
        recipe = self.recipe
        return {
            "recipe": [recipe.population, recipe.top, recipe.mutations, recipe.crossovers, recipe.rate],
            "generations": [self.generation, self.generations],
            "fitness": [[str(architecture), value] for architecture, value in self.fitness.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.recipe = EvolutionRecipe(*state["recipe"])
        self.generation, self.generations = state["generations"]
        self.fitness = {self._problem.space.parse(string): value for string, value in state["fitness"]}
