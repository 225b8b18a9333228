"""Regularized evolution: the oldest dies, tournaments, one mutation."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from black_box import BlackBox
from driven import Driven, completed

from pvnas_bench import Architecture, Evaluation, UsageError
from pvnas_bench.strategies.regularized_evolution import RegularizedEvolution

NAME = "regularized_evolution"
POPULATION = 6


def accuracy(architecture: Architecture, epochs: int) -> float:
    """A synthetic accuracy; about every seventh architecture is excellent."""
    return (hash(architecture.choices) % 1009) / 1009


def test_the_oldest_dies_regardless_of_its_accuracy(tiny_dataset: Path) -> None:
    driven = BlackBox(NAME, tiny_dataset, lambda a, _: 1.0 if a == first else 0.5, population=POPULATION, tournament=2)
    first = driven.problem.sample(driven.problem.rng("other"))
    strategy = driven.strategy
    driven.step()
    first = driven.asked[0][0]
    strategy.history[0] = replace(strategy.history[0], top1=1.0)
    for _ in range(POPULATION - 1):
        driven.step()
    assert [e.architecture for e in strategy.alive] == [e.architecture for e in strategy.history]
    driven.step()
    assert first not in [e.architecture for e in strategy.alive]
    assert len(strategy.alive) == POPULATION
    assert strategy.incumbent() == first  # what is returned is the best ever


def test_children_are_one_mutation_from_a_member_of_the_population(tiny_dataset: Path) -> None:
    driven = BlackBox(NAME, tiny_dataset, accuracy, population=POPULATION)
    strategy, space = driven.strategy, driven.problem.space
    for _ in range(30):
        alive = [e.architecture for e in strategy.alive]
        count = len(strategy.history)
        driven.step()
        for child in [e.architecture for e in strategy.history[max(count, POPULATION) :]][:1]:
            assert any(_one_decision_apart(space, parent, child) for parent in alive)


def _one_decision_apart(space: object, parent: Architecture, child: Architecture) -> bool:
    """Return True if exactly one common decision differs; others only if it enables or disables them."""
    both = [(a, b) for a, b in zip(parent.choices, child.choices, strict=True) if a != -1 and b != -1]
    return sum(a != b for a, b in both) == 1


def test_a_tournament_of_s_finds_the_best_as_often_as_it_should(tiny_dataset: Path) -> None:
    """The best of P is in a tournament of S, drawn with replacement, with probability 1 - (1 - 1/P)^S."""
    driven = BlackBox(NAME, tiny_dataset, accuracy, population=5, tournament=3)
    strategy, problem = driven.strategy, driven.problem
    parents: Counter[int] = Counter()
    people = [problem.sample(problem.rng("people")) for _ in range(5)]
    strategy.history = [Evaluation(p, i / 10, 1.0, 4, 1, 1) for i, p in enumerate(people)]
    problem.mutate = lambda parent, rng: parents.update([people.index(parent)]) or parent
    for _ in range(2000):
        strategy.ask()
    for i in range(5):
        expected = ((i + 1) / 5) ** 3 - (i / 5) ** 3  # that the i-th is the best of three
        assert parents[i] / 2000 == pytest.approx(expected, abs=0.04)


def test_a_tournament_larger_than_the_population_is_refused(tiny_dataset: Path) -> None:
    with pytest.raises(UsageError, match="tournament=5 is more than population=4"):
        Driven(NAME, tiny_dataset, 1.0, population=4, tournament=5)


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(RegularizedEvolution, tiny_dataset, tmp_path, 1.0, population=2, tournament=2)
    assert record.search.architectures_evaluated == len(record.trajectory) - 1
