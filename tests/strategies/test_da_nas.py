"""DA-NAS: order of classes, growth of data, pruning of candidates."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from driven import Driven, completed, series

from pvnas_bench import Architecture, BudgetExhausted, ClipBatch, SearchFinished
from pvnas_bench.conformance._world import World
from pvnas_bench.methods.signals import WINDOW
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import path_plan
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.da_nas import DANAS, DANASConfig, class_order, phase_ends

BUDGET = 1.5
FEW = {"baseline_epochs": 2}
UNGUARDED = {"guard": "false", "sharpness": 0}
"""Prunes at the end of each step, with or without a signal."""


def searching(dataset: Path, **settings: object) -> Driven:
    """A search after ordering the classes."""
    driven = Driven("da_nas", dataset, 4.0, **{**FEW, **settings})
    while not driven.strategy.order:
        driven.step()
    return driven


def test_classes_are_ordered_by_the_variance_of_their_accuracy() -> None:
    accuracies = np.array([[0.1, 0.1, 0.2], [0.1, 0.6, 0.9], [0.0, 0.0, 0.0], [0.2, 0.5, 0.6]])
    variances = [float(np.mean((row - row.mean()) ** 2)) for row in accuracies]
    expected = sorted(range(4), key=lambda c: variances[c], reverse=True)
    rng = np.random.default_rng(0)
    assert class_order(accuracies, "easy_first", rng) == expected == [1, 3, 0, 2]
    assert class_order(accuracies, "hard_first", rng) == expected[::-1]
    assert sorted(class_order(accuracies, "random", rng)) == [0, 1, 2, 3]


def test_the_order_comes_from_the_baseline_on_search_train(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven("da_nas", tiny_dataset, 4.0, baseline_epochs=3, baseline_share=0.4)
    splits: list[str] = []
    batches = driven.problem.search_batches

    def spied(split: Any, **words: Any) -> Any:
        splits.append(split)
        return batches(split, **words)

    monkeypatch.setattr(driven.problem, "search_batches", spied)
    while not driven.strategy.order:
        driven.step()
    assert splits == ["train"] * 3
    assert driven.problem.ledger.spent > 0
    matrix = np.array(driven.strategy.accuracies)
    assert matrix.shape == (3, driven.problem.classes)
    assert driven.strategy.order == sorted(range(3), key=lambda c: -matrix[:, c].var())


def test_steps_of_pruning_multiply(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset, **UNGUARDED).strategy
    left = {decision.name: [len(decision.options)] for decision in SPACE.decisions}
    for phase in range(4):
        strategy.phase = phase
        strategy._next_phase()
        for decision, logit in zip(SPACE.decisions, strategy.gates.alphas.logits, strict=True):
            left[decision.name].append(int(logit.isfinite().sum()))
    assert left["operator.1.2"] == [7, 7, 5, 3, 3]  # not after the warm-up, not after the last step
    assert left["operator.1.1"] == [6, 6, 4, 3, 3]
    assert left["frames"] == left["depth.1"] == [3, 3, 2, 2, 2]
    assert left["se.1.1"] == [2, 2, 2, 2, 2]
    p = strategy.gates.alphas.probabilities()["operator.1.2"]
    assert float(p.detach().sum()) == pytest.approx(1)


def test_pruned_candidates_stay_pruned(tiny_dataset: Path) -> None:
    driven = searching(tiny_dataset, **UNGUARDED)
    strategy = driven.strategy
    strategy.phase = 1
    strategy._next_phase()
    assert strategy.pruned
    finite = [logit.isfinite() for logit in strategy.gates.alphas.logits]
    _, batch = next(driven.problem.search_pairs(classes=strategy.present))
    for _ in range(3):
        strategy.gates.step(lambda plan: strategy.supernet.loss(batch, plan))
    assert all(
        torch.equal(logit.isfinite(), was) for logit, was in zip(strategy.gates.alphas.logits, finite, strict=True)
    )
    assert not any(logit.isnan().any() for logit in strategy.gates.alphas.logits)
    for seed in range(50):
        drawn = strategy.gates.alphas.sample(torch.Generator().manual_seed(seed))
        assert all(c == -1 or finite[i][c] for i, c in enumerate(drawn.choices))


def test_absent_classes_are_masked(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset).strategy
    assert strategy.present == sorted(strategy.order[:2])
    batch, held_out = next(strategy.problem.search_pairs(classes=strategy.present))
    assert set(batch.labels.tolist()) == set(held_out.labels.tolist()) == set(strategy.present)
    path = strategy.problem.space.reference
    with torch.no_grad():
        masked = strategy.supernet(batch, path)
        absent = [c for c in range(3) if c not in strategy.present]
        masked[:, absent] = -math.inf
        expected = F.cross_entropy(masked, batch.labels)
        torch.testing.assert_close(strategy.supernet.loss(batch, path, classes=strategy.present), expected)
    strategy.phase = 3
    assert strategy.present == [0, 1, 2]


def test_phases_take_their_epochs_times_their_classes(tiny_dataset: Path) -> None:
    expected = {"both": [1 / 39, 7 / 39, 19 / 39, 1.0], "data": [1 / 39, 7 / 39, 19 / 39, 1.0]}
    expected["pruning"] = [1 / 7, 3 / 7, 5 / 7, 1.0]
    for name, ends in expected.items():
        strategy = searching(tiny_dataset, schedule=name, **UNGUARDED).strategy
        assert phase_ends(strategy.classes) == pytest.approx(ends)
        for strategy.phase in range(4):
            assert name != "pruning" or strategy.present == [0, 1, 2]
        strategy.phase = 1
        strategy._next_phase()
        assert bool(strategy.pruned) == (name != "data")


def test_a_run_goes_through_every_phase(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(DANAS, tiny_dataset, tmp_path, 3.0, **FEW, **UNGUARDED, audit_share=0.3)
    diagnostics = record.diagnostics
    assert {2, 3} == set(series(record, "classes"))
    assert len(diagnostics["pruned"]) == 2
    candidates = series(record, "candidates")
    assert candidates == sorted(candidates, reverse=True)
    assert sorted(diagnostics["class_order"]) == [0, 1, 2]
    assert diagnostics["audit"]
    assert set(diagnostics["pruned_early"]) <= {name for gone in diagnostics["pruned"] for name in gone}
    assert diagnostics["prunings_due"] == 0


def at_the_end(clips: World, null: bool, **settings: Any) -> DANAS:
    problem, _ = clips.problem("all", 0, 8.0, null=null)
    strategy = DANAS(problem, DANASConfig(baseline_epochs=2, margin=0.02, **settings))
    strategy.setup()
    try:
        while True:
            strategy.step()
    except (SearchFinished, BudgetExhausted):
        return strategy


def test_alphas_do_not_move_before_the_supernet_beats_chance(tiny_dataset: Path) -> None:
    strategy = Driven("da_nas", tiny_dataset, 2.0, margin=0.99, **FEW).to_the_end().strategy
    assert strategy.gates.steps == 0 and not any(bool(logit.any()) for logit in strategy.gates.alphas.logits)
    assert strategy.incumbent() == strategy.fallback
    assert strategy.problem.facts["prunings_due"] == 2 and not strategy.pruned


@pytest.mark.parametrize("guard", [True, False])
def test_a_null_search_does_not_prune(clips: World, guard: bool) -> None:
    """Held-out labels that say nothing: without the guard it would prune all the same."""
    strategy = at_the_end(clips, True) if guard else at_the_end(clips, True, guard=False, sharpness=0)
    assert bool(strategy.pruned) == (not guard)
    assert strategy.problem.facts["prunings_due"] == (2 if guard else 0)


def test_a_pruning_waits_for_losses_below_chance_and_for_alphas_that_are_no_random_walk(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset).strategy
    strategy.phase = 1
    strategy._next_phase()
    assert not strategy.pruned and strategy.due == 1, "no signal at all"
    for _ in range(WINDOW):
        strategy.gates.signal.see(0.1)
    strategy._prune()
    assert not strategy.pruned, "uniform alphas"
    with torch.no_grad():
        for logit in strategy.gates.alphas.logits:
            logit[0] = 1.0
    strategy.gates._walked = 1e-4
    strategy._prune()
    assert len(strategy.pruned) == 1 and strategy.due == 0
    assert strategy.problem.facts["prunings_due"] == 0
    strategy.due = 1
    strategy.gates.start(strategy.present)
    strategy._prune()
    assert len(strategy.pruned) == 1, "other classes: the losses of the earlier ones do not count"


def test_an_alpha_pass_pays_for_gradients_of_activations_only(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = searching(tiny_dataset, **UNGUARDED)
    strategy, costs = driven.strategy, driven.problem.costs
    strategy.phase = 3
    expected = [0]
    loss = strategy.supernet.loss

    def counted(batch: ClipBatch, path: Any, *words: Any, **options: Any) -> torch.Tensor:
        plan = path_plan(SPACE, path) if isinstance(path, Architecture) else path
        passes = 3 if isinstance(path, Architecture) else 2 if torch.is_grad_enabled() else 1
        expected[0] += passes * plan_macs(costs, plan) * len(batch)
        result: torch.Tensor = loss(batch, path, *words, **options)
        return result

    monkeypatch.setattr(strategy.supernet, "loss", counted)
    before = driven.problem.ledger.macs
    driven.step()
    assert strategy.gates.steps > 0
    assert driven.problem.ledger.macs - before == expected[0]
