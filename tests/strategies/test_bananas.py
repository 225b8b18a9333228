"""BANANAS: the ensemble's predictions, Thompson sampling, candidates, and what it learns."""

from pathlib import Path

import numpy as np
from black_box import BlackBox
from scipy.stats import kendalltau

from pvnas_bench import Architecture
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.bananas import predictions, thompson_draws


def accuracy(architecture: Architecture, epochs: int) -> float:
    """An accuracy that is higher the more decisions take their first options."""
    return 1 / (1 + sum(choice for choice in architecture.choices if choice > 0))


def test_thompson_draws_have_the_mean_and_deviation_of_the_ensemble() -> None:
    predicted = np.array([[0.1, 0.5], [0.3, 0.5], [0.2, 0.5]])
    rng = np.random.default_rng(0)
    draws = np.array([thompson_draws(predicted, rng) for _ in range(20_000)])
    np.testing.assert_allclose(draws.mean(0), [0.2, 0.5], atol=0.003)
    np.testing.assert_allclose(draws.std(0), [0.1, 0.0], atol=0.003)
    assert abs(np.corrcoef(draws[:, 0], np.arange(len(draws)))[0, 1]) < 0.03  # independent draws


def test_the_ensemble_learns_an_additive_accuracy_and_depends_on_its_seeds_alone() -> None:
    rng = np.random.default_rng(1)
    architectures = [SPACE.sample(rng) for _ in range(160)]
    codes = np.array([SPACE.encode(a) for a in architectures], dtype=float)
    truth = codes @ rng.normal(size=codes.shape[1]) / 100 + 0.5
    found = predictions(codes[:120], truth[:120], codes[120:], [1, 2, 3], 20, 2, 0.01)
    assert found.shape == (3, 40)
    assert kendalltau(found.mean(0), truth[120:]).statistic > 0.5
    again = predictions(codes[:120], truth[:120], codes[120:], [1, 2, 4], 20, 2, 0.01)
    np.testing.assert_array_equal(found[:2], again[:2])
    assert (found[2] != again[2]).any()


def test_candidates_are_mutations_of_the_best_of_unknown_networks(tiny_dataset: Path) -> None:
    driven = BlackBox("bananas", tiny_dataset, accuracy, parents=2)
    for _ in range(10):
        driven.step()
    strategy, problem = driven.strategy, driven.problem
    known = sorted((a for a, _ in strategy.known), key=lambda a: -accuracy(a, 0))
    drawn = strategy._candidates()
    assert len(drawn) == len(set(drawn)) > 20 and not set(drawn) & set(known)
    parents = known[:2] + [evaluation.architecture for evaluation in strategy.history]
    for candidate in drawn:
        assert problem.feasible(candidate) and SPACE.canonical(candidate) == candidate
        assert min(SPACE.hamming(candidate, parent) for parent in parents) < 10


def test_it_learns_more_than_random_search(tiny_dataset: Path) -> None:
    found = []
    for name in ("bananas", "random_search"):
        driven = BlackBox(name, tiny_dataset, accuracy)
        for _ in range(30):
            driven.step()
        found.append(np.mean([accuracy(a, 0) for a, _ in driven.asked[10:]]))
    assert found[0] > 1.5 * found[1]
