"""Successive halving: rungs in closed form, and survivors."""

from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from black_box import BlackBox
from driven import completed
from scipy.stats import kendalltau

from pvnas_bench import Architecture, load_table, registry
from pvnas_bench.strategies.successive_halving import SuccessiveHalving, rung_epochs, rung_sizes, widest

NAME = "successive_halving"
TABLES = Path(__file__).resolve().parents[2] / "results" / "reference" / "tables"


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


@pytest.mark.parametrize("name", ["successive_halving", "optuna_hyperband"])
@pytest.mark.parametrize(("part", "first"), [(0.25, 2), (0.01, 1), (1, 8)])
def test_the_first_rung_is_a_part_of_a_full_training(name: str, part: float, first: int, tiny_dataset: Path) -> None:
    driven = BlackBox(name, tiny_dataset, accuracy, budget=8.0, factor=2, first_rung=part)
    driven.step()
    assert driven.problem.full_epochs == 8
    assert [epochs for _, epochs in driven.asked] == [first]


@pytest.mark.parametrize("name", ["successive_halving", "optuna_hyperband"])
def test_the_first_rung_ranks_the_networks_of_the_tuning_task(name: str) -> None:
    """Kendall's τ of its accuracy on search-val with the final one on test, in the table of `synthetic_motion`."""
    table = load_table("st_micro", "synthetic_motion", TABLES)
    config: Any = registry.get_strategy(name).Config()
    trainings = [table.trainings(architecture)[0] for architecture in table.architectures]
    epochs = len(trainings[0].val_top1)
    final = [training.test_top1 for training in trainings]

    def tau(epoch: int) -> float:
        return float(kendalltau([training.val_top1[epoch - 1] for training in trainings], final).statistic)

    assert tau(1) < 0.05 < 0.5 < tau(round(config.first_rung * epochs))


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
    driven = BlackBox(NAME, tiny_dataset, accuracy, budget=8.0, factor=2).to_the_end()
    problem = driven.problem
    share = problem.cap / problem.cost(problem.space.reference).macs
    costs = [share * problem.evaluation_cost(problem.space.reference, epochs) for epochs in (2, 4, 8)]
    rungs = [[a for a, _ in group] for _, group in groupby(driven.asked, key=lambda pair: pair[1])]
    assert driven.strategy.brackets[0] == widest(8.0, costs, 2)
    assert [len(rung) for rung in rungs[:3]] == rung_sizes(widest(8.0, costs, 2), 3, 2)
    for rung, after in pairwise(rungs[:3]):
        ranked = sorted(rung, key=lambda a: -accuracy(a, 0))
        assert after == ranked[: len(rung) // 2]
    assert len(driven.strategy.brackets) > 1  # architectures below the cap leave budget for another bracket
    assert problem.ledger.overshoot == 0
    finalists = [a for a, epochs in driven.asked if epochs == 8]
    assert driven.strategy.incumbent() == max(finalists, key=lambda a: accuracy(a, 0))


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(SuccessiveHalving, tiny_dataset, tmp_path, 1.5)
    assert record.diagnostics["rung_epochs"] == [2, 8]
