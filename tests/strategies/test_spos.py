"""SPOS: uniform paths, recalibrated fitness, the evolution's rules."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driven import Driven, completed, series

from pvnas_bench.space import Architecture
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.spos import SPOS

BUDGET = 1.2
FEW = {"recalibration": 2, "supernet_share": 0.4}


def test_paths_are_uniform_under_the_cap(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven("spos", tiny_dataset, 40.0)
    paths: list[Architecture] = []

    def loss(batch: Any, path: Architecture, label_smoothing: float) -> torch.Tensor:
        paths.append(path)
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(driven.strategy.supernet, "loss", loss)
    for _ in range(600):
        driven.step()
    assert all(map(driven.problem.feasible, paths))
    slot = next(slot for slot in SPACE.slots if slot.name == "1.1")
    counts = Counter(SPACE.option(path, "operator.1.1") for path in paths)
    expected = len(paths) / len(slot.operators)  # the cap hardly depends on the depth-wise operator
    assert all(abs(counts[o] - expected) < 4 * math.sqrt(expected) for o in slot.operators)


def test_fitness_is_validation_with_recalibrated_statistics(tiny_dataset: Path) -> None:
    driven = Driven("spos", tiny_dataset, 20.0, recalibration=1)
    strategy, problem = driven.strategy, driven.problem
    driven.step()
    architecture = problem.sample(np.random.default_rng(1))
    modes: list[str] = []
    norm = next(strategy.supernet.network.norms())
    norm.register_forward_hook(lambda module, *_: modes.append(module.mode))
    before = problem.ledger.macs
    strategy.validated(architecture)
    assert modes == ["calibrate", "running"]
    clips = problem.batch_size + problem.clips_in("val")
    assert problem.ledger.macs - before == problem.cost(architecture).macs * clips


def test_the_evolution_is_reduced_to_the_remaining_budget(tiny_dataset: Path) -> None:
    driven = Driven("spos", tiny_dataset, BUDGET, **FEW)
    while not driven.strategy.trained:
        driven.step()
    strategy, ledger = driven.strategy, driven.problem.ledger
    assert ledger.spent == pytest.approx(0.4 * BUDGET, abs=0.12)  # to a batch
    driven.to_the_end()
    evolution = strategy.evolution
    assert evolution.generation == evolution.generations > 1
    assert len(evolution.fitness) == pytest.approx(evolution.generations * evolution.recipe.population, abs=3)
    assert strategy.incumbent() == max(evolution.fitness, key=lambda a: evolution.fitness[a])


def test_verification_decides(tiny_dataset: Path) -> None:
    driven = Driven("spos", tiny_dataset, 3.0, verify=2, supernet_share=0.2, recalibration=1).to_the_end()
    verified = driven.strategy.verified
    assert len(verified) == 2
    assert driven.strategy.incumbent() == max(verified, key=lambda e: e.top1).architecture
    fitness = driven.strategy.evolution.fitness
    assert driven.strategy.diagnostics()["rank_pairs"] == [[fitness[e.architecture], e.top1] for e in verified]


def test_a_run_is_complete(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(SPOS, tiny_dataset, tmp_path, BUDGET, **FEW)
    assert record.diagnostics["architectures_scored"] == record.search.architectures_evaluated
    assert series(record, "val_top1") == sorted(series(record, "val_top1"))
