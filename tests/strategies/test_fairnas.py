"""FairNAS: rounds in which every candidate trains once, and their gradient."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driven import Driven, completed

from pvnas_bench import Architecture
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.fairnas import FairNAS, fair_round


def test_each_option_is_used_once_per_round_and_as_often_as_the_others_where_there_are_fewer() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        paths = fair_round(SPACE, rng)
        assert len(paths) == 7  # operators, with skip
        for decision in SPACE.decisions:
            options = [SPACE.option(path, decision.name) for path in paths]
            if decision.level == "structural":
                assert len(set(options)) == 1
            elif decision.name.startswith("operator") and None not in options:
                counts = Counter(options)
                assert set(counts) == set(decision.options) and max(counts.values()) - min(counts.values()) <= 1


def test_the_paths_of_a_round_are_drawn_uniformly() -> None:
    rng = np.random.default_rng(1)
    rounds = [fair_round(SPACE, rng) for _ in range(600)]
    for name in ("operator.1.1", "expansion.1.1", "se.2.1", "frames"):
        counts = Counter(SPACE.option(path, name) for paths in rounds for path in paths)
        expected = sum(counts.values()) / len(counts)
        assert all(abs(count - expected) < 0.15 * expected for count in counts.values())


def test_a_round_takes_one_step_along_the_mean_gradient_of_its_paths(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven("fairnas", tiny_dataset, 400.0)
    strategy, problem = driven.strategy, driven.problem
    taken: list[Architecture] = []
    steps: list[float] = []
    parameter = next(strategy.supernet.parameters())

    def loss(batch: Any, path: Architecture, label_smoothing: float) -> torch.Tensor:
        taken.append(path)
        return parameter.flatten()[0] * len(taken)

    def update(rate: float) -> None:
        assert parameter.grad is not None
        steps.append(float(parameter.grad.flatten()[0]))
        parameter.grad = None
        taken.clear()

    monkeypatch.setattr(strategy.supernet, "loss", loss)
    monkeypatch.setattr(strategy.weights, "update", update)
    driven.step()
    batches = -(-problem.clips_in("train") // problem.batch_size)
    assert steps == pytest.approx([(1 + 2 + 3 + 4 + 5 + 6 + 7) / 7] * len(steps)) and 0 < len(steps) <= batches


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(FairNAS, tiny_dataset, tmp_path, 1.5, recalibration=2, supernet_share=0.4)
    assert record.diagnostics["architectures_scored"] >= 2
