"""DA-NAS: order of classes, growth of data, pruning of candidates."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from driven import Driven, completed, series

from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.da_nas import DANAS, class_order, lowest

BUDGET = 1.5
FEW = {"baseline_epochs": 2}


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


@pytest.mark.parametrize("n", range(1, 26))
def test_the_floor_of_the_ratio_is_pruned(n: int) -> None:
    probabilities = (np.arange(1, n + 1) / np.arange(1, n + 1).sum()).tolist()
    count = (4 * n) // 10
    assert lowest(probabilities, 0.4, kept=n - 1) == list(range(count))
    if count:
        assert lowest(probabilities, 0.4, kept=0) == list(range(1, count + 1))


def test_steps_of_pruning_multiply(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset).strategy
    left = {decision.name: [len(decision.options)] for decision in SPACE.decisions}
    for phase in range(4):
        strategy.phase = phase
        strategy._next_phase()
        for decision, logit in zip(SPACE.decisions, strategy.alphas.logits, strict=True):
            left[decision.name].append(int(logit.isfinite().sum()))
    assert left["operator.1.2"] == [7, 7, 5, 3, 3]  # not after the warm-up, not after the last step
    assert left["operator.1.1"] == [6, 6, 4, 3, 3]
    assert left["frames"] == left["depth.1"] == [3, 3, 2, 2, 2]
    assert left["se.1.1"] == [2, 2, 2, 2, 2]
    p = strategy.alphas.probabilities()["operator.1.2"]
    assert float(p.detach().sum()) == pytest.approx(1)


def test_the_worst_options_are_pruned_with_their_adam_state(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset).strategy
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for logit in strategy.alphas.logits:
            logit.copy_(torch.randn(len(logit), generator=generator))
    sum((logit**3).sum() for logit in strategy.alphas.logits).backward()
    strategy.alpha_optimiser.step()
    before = [logit.detach().clone() for logit in strategy.alphas.logits]
    moments = [strategy.alpha_optimiser.state[logit]["exp_avg_sq"].clone() for logit in strategy.alphas.logits]
    chosen = strategy.alphas.best(strategy.problem.costs, strategy.problem.caps)
    strategy._prune()
    for i, logit in enumerate(strategy.alphas.logits):
        gone = {o for o in range(len(logit)) if not logit[o].isfinite()}
        count = (4 * len(logit)) // 10
        candidates = [o for o in before[i].argsort().tolist() if o != chosen.choices[i]]
        assert gone == set(candidates[:count])
        for o in range(len(logit)):
            moment = float(strategy.alpha_optimiser.state[logit]["exp_avg_sq"][o])
            assert moment == (0.0 if o in gone else float(moments[i][o]))
    assert strategy.alphas.best(strategy.problem.costs, strategy.problem.caps) == chosen


def test_pruned_candidates_stay_pruned(tiny_dataset: Path) -> None:
    driven = searching(tiny_dataset)
    strategy = driven.strategy
    strategy.phase = 1
    strategy._next_phase()
    finite = [logit.isfinite() for logit in strategy.alphas.logits]
    _, batch = next(driven.problem.search_pairs(classes=strategy.present))
    for _ in range(3):
        strategy._alpha_step(batch)
    assert all(torch.equal(logit.isfinite(), was) for logit, was in zip(strategy.alphas.logits, finite, strict=True))
    assert not any(logit.isnan().any() for logit in strategy.alphas.logits)
    for seed in range(50):
        drawn = strategy.alphas.sample(torch.Generator().manual_seed(seed))
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


def test_shares_of_the_phases_follow_epochs_and_data(tiny_dataset: Path) -> None:
    strategy = searching(tiny_dataset).strategy
    ends = []
    for strategy.phase in range(4):
        ends.append(strategy._end_of_phase())
    assert ends == pytest.approx([1 / 39, 7 / 39, 19 / 39, 1.0])
    for name, expected in (("pruning", [1 / 7, 3 / 7, 5 / 7, 1.0]), ("data", [1 / 39, 7 / 39, 19 / 39, 1.0])):
        control = searching(tiny_dataset, schedule=name).strategy
        ends = []
        for control.phase in range(4):
            ends.append(control._end_of_phase())
            assert name == "data" or control.present == [0, 1, 2]
        assert ends == pytest.approx(expected)
        if name == "data":
            control.phase = 1
            control._next_phase()
            assert control.pruned == []


def test_a_run_goes_through_every_phase(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(DANAS, tiny_dataset, tmp_path, 3.0, **FEW, audit_share=0.3)
    diagnostics = record.diagnostics
    assert {2, 3} == set(series(record, "classes"))
    assert len(diagnostics["pruned"]) == 2
    candidates = series(record, "candidates")
    assert candidates == sorted(candidates, reverse=True)
    assert sorted(diagnostics["class_order"]) == [0, 1, 2]
    assert diagnostics["audit"]
    assert set(diagnostics["pruned_early"]) <= {name for gone in diagnostics["pruned"] for name in gone}
