"""Evolution with a cheap fitness: generations, their cost, and resuming."""

import copy
from typing import Any

import numpy as np
import pytest

from pvnas_bench import Architecture, Problem
from pvnas_bench.conformance._world import World
from pvnas_bench.methods import Evolution
from pvnas_bench.methods.evolution import EvolutionRecipe, best, distinct, next_generation
from pvnas_bench.spaces.st_default import SPACE

RECIPE = EvolutionRecipe(population=10, top=3, mutations=4, crossovers=4, rate=0.2)


def cheap(architecture: Architecture) -> bool:
    return architecture.choices[0] == 0


def test_a_generation_is_new_feasible_and_of_the_requested_size() -> None:
    rng = np.random.default_rng(0)
    recipe = EvolutionRecipe(population=20, top=4, mutations=8, crossovers=8, rate=0.1)
    seen: dict[Architecture, float] = {}
    for _ in range(3):
        parents = best(seen.items(), recipe.top)
        children = next_generation(recipe, SPACE, parents, seen, cheap, rng)
        assert len(children) == len(set(children)) == 20
        assert not set(children) & set(seen)
        assert all(map(cheap, children))
        seen |= {child: float(rng.random()) for child in children}


def test_children_come_from_the_parents() -> None:
    rng = np.random.default_rng(0)
    parents = [SPACE.sample(rng), SPACE.sample(rng)]
    for child in next_generation(EvolutionRecipe(10, 2, 0, 10, 0.1), SPACE, parents, (), lambda _: True, rng):
        for i, choice in enumerate(child.choices):
            inherited = {parent.choices[i] for parent in parents} - {-1}
            assert choice == -1 or not inherited or choice in inherited
    mutants = next_generation(EvolutionRecipe(40, 2, 40, 0, 0.05), SPACE, parents[:1], (), lambda _: True, rng)
    assert np.median([SPACE.hamming(parents[0], mutant) for mutant in mutants]) <= 4


def test_the_best_have_the_highest_scores_and_ties_go_to_the_earlier() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (SPACE.sample(rng) for _ in range(3))
    assert best({a: 0.1, b: 0.7, c: 0.7}.items(), 2) == [b, c]


def test_too_few_architectures_do_not_loop_forever() -> None:
    assert distinct(lambda: SPACE.reference, 5, (), lambda _: True) == [SPACE.reference]


def test_a_recipe_shrinks_in_proportion() -> None:
    assert EvolutionRecipe(50, 10, 25, 25, 0.1).scaled(0.4) == EvolutionRecipe(20, 4, 10, 10, 0.1)
    assert EvolutionRecipe(50, 10, 25, 25, 0.1).scaled(0.01) == EvolutionRecipe(2, 2, 1, 1, 0.1)


# --- all generations --------------------------------------------------------------------------------------------------


@pytest.fixture
def problem(clips: World) -> Problem[Any]:
    return clips.problem("all", 0)[0]


def distance(architecture: Architecture) -> float:
    """A fitness whose best architecture is known: minus the number of decisions that are not the first option."""
    return -float(sum(choice > 0 for choice in architecture.choices))


def test_every_architecture_is_scored_once_and_the_best_come_first(problem: Problem[Any]) -> None:
    evolution, scored, tops = Evolution(problem, RECIPE, 5), [], []

    def fitness(architecture: Architecture) -> float:
        scored.append(architecture)
        return distance(architecture)

    while not evolution.over:
        tops.append(evolution.step(fitness))
    assert evolution.generation == len(tops) == 5
    assert list(evolution.fitness) == scored and len(set(scored)) == len(scored) == 5 * RECIPE.population
    assert tops == [max(map(distance, scored[: n * RECIPE.population])) for n in range(1, 6)]
    ranked = evolution.best(len(scored))
    assert [distance(a) for a in ranked] == sorted(map(distance, scored), reverse=True)
    assert all(map(problem.feasible, scored))


def test_the_parents_are_the_best_so_far(problem: Problem[Any]) -> None:
    recipe = EvolutionRecipe(population=8, top=2, mutations=5, crossovers=2, rate=0.1)
    evolution = Evolution(problem, recipe, 4)
    evolution.step(distance)
    for _ in range(3):
        known = dict(evolution.fitness)
        parents = sorted(known, key=lambda architecture: -known[architecture])[:2]
        rng = copy.deepcopy(problem.rng("evolution"))
        expected = next_generation(recipe, problem.space, parents, known, problem.feasible, rng)
        evolution.step(distance)
        assert list(evolution.fitness)[len(known) :] == expected


@pytest.mark.parametrize(
    ("affordable", "recipe", "generations"),
    [
        (5000.0, EvolutionRecipe(50, 10, 25, 25, 0.1), 20),  # more than it needs
        (250.0, EvolutionRecipe(25, 5, 12, 12, 0.1), 10),  # a quarter: half of each
        (40.0, EvolutionRecipe(10, 2, 5, 5, 0.1), 4),
        (0.0, EvolutionRecipe(2, 2, 1, 1, 0.1), 1),
    ],
)
def test_population_and_generations_shrink_in_proportion(
    problem: Problem[Any], affordable: float, recipe: EvolutionRecipe, generations: int
) -> None:
    evolution = Evolution(problem, EvolutionRecipe(50, 10, 25, 25, 0.1), 20)
    evolution.plan(affordable)
    assert (evolution.recipe, evolution.generations) == (recipe, generations)
    assert evolution.recipe.population * evolution.generations <= max(affordable, 2) * 1.01


def test_an_evolution_resumes_from_its_state(clips: World) -> None:
    whole, begun, other = (Evolution(clips.problem("all", 0)[0], RECIPE, 4) for _ in range(3))
    begun.plan(30.0)
    whole.plan(30.0)
    begun.step(distance)
    other.load_state_dict(begun.state_dict())
    other._problem._load_state(begun._problem._state())
    while not other.over:
        other.step(distance)
    while not whole.over:
        whole.step(distance)
    assert list(other.fitness.items()) == list(whole.fitness.items())
    assert vars(other.recipe) == vars(whole.recipe)
