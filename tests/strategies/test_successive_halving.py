"""Successive halving: rungs in closed form, and survivors."""

from itertools import groupby, pairwise
from pathlib import Path

import pytest
from black_box import BlackBox
from driven import completed

from pvnas_bench import Architecture
from pvnas_bench.strategies.successive_halving import SuccessiveHalving, rung_epochs, rung_sizes, widest

NAME = "successive_halving"


def accuracy(architecture: Architecture, epochs: int) -> float:
    return (hash(architecture.choices) % 1009) / 1009


@pytest.mark.parametrize(
    ("most", "least", "factor", "epochs"),
    [
        (8, 1, 2, [1, 2, 4, 8]),
        (8, 2, 2, [2, 4, 8]),
        (27, 1, 3, [1, 3, 9, 27]),
        (30, 1, 3, [1, 3, 10, 30]),
        (1, 1, 2, [1]),
    ],
)
def test_epochs_grow_by_the_factor_up_to_a_full_training(most: int, least: int, factor: int, epochs: list[int]) -> None:
    assert rung_epochs(most, least, factor) == epochs


def test_rungs_shrink_by_the_factor() -> None:
    assert rung_sizes(16, 4, 2) == [16, 8, 4, 2]
    assert rung_sizes(13, 4, 2) == [13, 6, 3, 1]
    assert rung_sizes(2, 4, 3) == [2, 1, 1, 1]


def test_a_bracket_is_as_wide_as_the_budget_allows() -> None:
    """With costs 1, 2, 4, 8 and η = 2, n a power of two costs n at each of four rungs."""
    assert widest(64, [1, 2, 4, 8], 2) == 16
    assert widest(63.9, [1, 2, 4, 8], 2) == 15
    assert widest(15, [1, 2, 4, 8], 2) == 1
    assert widest(14.9, [1, 2, 4, 8], 2) == 0


def test_the_best_half_of_each_rung_is_trained_twice_as_long(tiny_dataset: Path) -> None:
    driven = BlackBox(NAME, tiny_dataset, accuracy, budget=8.0).to_the_end()
    problem = driven.problem
    share = problem.cap / problem.cost(problem.space.reference).macs
    costs = [share * problem.evaluation_cost(problem.space.reference, epochs) for epochs in (1, 2, 4, 8)]
    rungs = [[a for a, _ in group] for _, group in groupby(driven.asked, key=lambda pair: pair[1])]
    assert driven.strategy.brackets[0] == widest(8.0, costs, 2)
    assert [len(rung) for rung in rungs[:4]] == rung_sizes(widest(8.0, costs, 2), 4, 2)
    for rung, after in pairwise(rungs[:4]):
        ranked = sorted(rung, key=lambda a: -accuracy(a, 0))
        assert after == ranked[: len(rung) // 2]
    assert len(driven.strategy.brackets) > 1  # architectures below the cap leave budget for another bracket
    assert problem.ledger.overshoot == 0
    finalists = [a for a, epochs in driven.asked if epochs == 8]
    assert driven.strategy.incumbent() == max(finalists, key=lambda a: accuracy(a, 0))


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(SuccessiveHalving, tiny_dataset, tmp_path, 1.5)
    assert record.diagnostics["rung_epochs"] == [1, 2, 4, 8]
