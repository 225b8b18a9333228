"""Evolutionary search over architectures with a cheap fitness, such as a supernet's accuracy."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, SearchSpace

TRIES = 10
"""Attempts per requested child (code of Guo et al. 2020)."""

Feasible = Callable[[Architecture], bool]
Scored = tuple[Architecture, float]


@dataclass(frozen=True)
class EvolutionRecipe:
    """Recipe of a generation: `mutations` and `crossovers` of the `top` best so far, then random architectures.

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
    """Draw up to `count` distinct new architectures under the cap; fewer after too many attempts."""
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        if len(drawn) == count:
            break
        architecture = make()
        if architecture not in seen and architecture not in drawn and feasible(architecture):
            drawn[architecture] = None
    return list(drawn)


def best(scored: Iterable[Scored], count: int) -> list[Architecture]:
    """The architectures with the highest scores, best first; ties go to the earlier."""
    return [architecture for architecture, _ in sorted(scored, key=lambda pair: -pair[1])[:count]]


def next_generation(
    recipe: EvolutionRecipe,
    space: SearchSpace,
    parents: Sequence[Architecture],
    seen: Collection[Architecture],
    feasible: Feasible,
    rng: np.random.Generator,
) -> list[Architecture]:
    """Create a generation: mutations, crossovers and random architectures, all new and under the cap.

    Without parents, all are random.
    """

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
    """Evolution with a record of all fitness values (Guo et al. 2020): parents are the best so far, children are new.

    Attributes:
        recipe: recipe of a generation.
        generations: total number of generations; `generation` is the number completed.
        fitness: fitness of all architectures so far.
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
        """Reduce population and generations proportionally to at most `affordable` fitness values."""
        factor = min(math.sqrt(affordable / (self.recipe.population * self.generations)), 1.0)
        self.recipe = self.recipe.scaled(factor)
        self.generations = max(round(self.generations * factor), 1)

    def step(self, fitness: Callable[[Architecture], float]) -> float:
        """Run one generation: compute the fitness of children of the best; return the best fitness so far."""
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
        """The architectures with the highest fitness, best first."""
        return best(self.fitness.items(), count)

    def state_dict(self) -> dict[str, Any]:
        """State to resume from."""
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
