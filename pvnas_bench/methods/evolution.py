"""Evolution over architectures: what population-based strategies share."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pvnas_bench.space import Architecture, SearchSpace

TRIES = 10
"""Attempts per child that is asked for (Guo et al. 2020, their code)."""

Feasible = Callable[[Architecture], bool]
Scored = tuple[Architecture, float]


@dataclass(frozen=True)
class Recipe:
    """One generation: `mutations` and `crossovers` of the `top` best so far, random ones up to `population`.

    Attributes:
        rate: the probability with which a mutation changes each decision.
    """

    population: int
    top: int
    mutations: int
    crossovers: int
    rate: float

    def scaled(self, factor: float) -> "Recipe":
        """The same proportions at another size: at least two parents, one mutation and one crossover."""
        mutations, crossovers = (max(round(n * factor), 1) for n in (self.mutations, self.crossovers))
        population = max(round(self.population * factor), mutations + crossovers)
        return Recipe(population, max(round(self.top * factor), 2), mutations, crossovers, self.rate)


def distinct(
    make: Callable[[], Architecture], count: int, seen: Collection[Architecture], feasible: Feasible
) -> list[Architecture]:
    """Up to `count` different architectures under the cap that were not seen before; fewer after too many tries."""
    found: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        made = make()
        if made not in seen and made not in found and feasible(made):
            found[made] = None
    return list(found)


def best(scored: Iterable[Scored], count: int) -> list[Architecture]:
    """Those of the highest scores, best first; of equal ones the earlier."""
    return [architecture for architecture, _ in sorted(scored, key=lambda pair: -pair[1])[:count]]


def next_generation(
    recipe: Recipe,
    space: SearchSpace,
    parents: Sequence[Architecture],
    seen: Collection[Architecture],
    feasible: Feasible,
    rng: np.random.Generator,
) -> list[Architecture]:
    """Mutations, crossovers and random architectures, all new and under the cap; without parents all are random."""

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
