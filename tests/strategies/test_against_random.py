"""Trial-based methods against random search on a noiseless additive accuracy.

Over seeds they find better architectures with the same number of evaluations. Where one loses to random search on real
clips, it is the few evaluations of a budget, or what a short training says of an architecture, that fails it. (In 30
evaluations evolution is no better than chance here either.)
"""

from pathlib import Path

import numpy as np
import pytest
from black_box import BlackBox
from scipy.stats import wilcoxon

from pvnas_bench import Architecture

SEEDS = range(12)


def landscape(seed: int) -> dict[tuple[int, int], float]:
    rng = np.random.default_rng(seed)
    return {(i, option): float(rng.normal()) for i in range(40) for option in range(10)}


def best_found(strategy: str, dataset: Path, seed: int, evaluations: int) -> float:
    parts = landscape(seed)

    def accuracy(architecture: Architecture, epochs: int) -> float:
        total = sum(parts[i, option] for i, option in enumerate(architecture.choices) if option >= 0)
        return 1 / (1 + np.exp(-total / 10))

    driven = BlackBox(strategy, dataset, accuracy, seed=seed)
    while len(driven.asked) < evaluations:
        driven.step()
    return max(accuracy(architecture, epochs) for architecture, epochs in driven.asked[:evaluations])


@pytest.mark.parametrize(
    ("strategy", "evaluations"), [("local_search", 30), ("optuna_tpe", 30), ("regularized_evolution", 120)]
)
def test_trial_based_methods_find_better_architectures_than_random_search(
    strategy: str, evaluations: int, tiny_dataset: Path
) -> None:
    found, by_chance = (
        [best_found(name, tiny_dataset, seed, evaluations) for seed in SEEDS] for name in (strategy, "random_search")
    )
    assert wilcoxon(found, by_chance, alternative="greater").pvalue < 0.05
