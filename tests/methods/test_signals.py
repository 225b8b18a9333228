"""Logged series that show whether a gradient search learns."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from pvnas_bench.conformance._world import CLASSES, World
from pvnas_bench.methods import ChanceGuard, CostShare, GuardConfig, chance_loss, log_held_out_loss, recorded
from pvnas_bench.methods.signals import WINDOW


def test_the_loss_of_a_uniform_prediction_is_chance(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    log_held_out_loss(problem, math.log(len(CLASSES)))
    assert problem.take_logged() == pytest.approx(
        {"search_val_loss": math.log(len(CLASSES)), "search_val_loss_of_chance": 1}
    )
    log_held_out_loss(problem, math.log(2), classes=2)
    assert problem.take_logged()["search_val_loss_of_chance"] == pytest.approx(1)


@pytest.mark.parametrize(("cost", "rest", "share"), [(3.0, 4.0, 3 / 7), (0.0, 4.0, 0.0), (3.0, 0.0, 1.0)])
def test_the_share_is_that_of_the_norms_of_the_gradients(clips: World, cost: float, rest: float, share: float) -> None:
    problem, _ = clips.problem("all", 0)
    one, other, fixed = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True), torch.zeros(1)
    term = cost * one[0]
    measured = CostShare(term, [one, other, fixed])
    (term + rest * other.sum() * 0.6 + rest * one[1] * 0.8).backward()
    measured.log(problem)
    assert problem.take_logged()["macs_gradient_share"] == pytest.approx(share)


def test_a_limit_shortens_the_gradient_of_the_cost_only(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    for cost, share in ((30.0, 0.25), (0.5, 0.125)):
        alpha = torch.zeros(2, requires_grad=True)
        term = cost * alpha[0]
        measured = CostShare(term, [alpha])
        (term + 3.5 * alpha[1]).backward()
        measured.limit(0.25)
        measured.log(problem)
        assert problem.take_logged()["macs_gradient_share"] == pytest.approx(share)
        assert alpha.grad is not None and alpha.grad.tolist() == pytest.approx([3.5 * share / (1 - share), 3.5])


def test_without_gradient_nothing_is_logged(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    CostShare(torch.zeros(()), [torch.zeros(2, requires_grad=True)]).log(problem)
    assert not problem.take_logged()


def test_recorded_losses_are_those_returned() -> None:
    losses: list[float] = []
    loss_at = recorded(lambda x: torch.tensor(x), losses)
    values: list[Any] = [float(loss_at(x)) for x in (1.0, 2.5)]
    assert values == losses == [1.0, 2.5]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [range(4), (0, 2)])
def test_chance_is_the_least_loss_of_a_constant_prediction(smoothing: float, classes: tuple[int, ...]) -> None:
    labels = np.array([0] * 5 + [1] * 3 + [2] * 1 + [3] * 1)
    kept = torch.tensor([list(classes).index(label) for label in labels if label in classes])
    logits = torch.zeros(len(classes), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10, tolerance_change=0)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(logits.expand(len(kept), -1), kept, label_smoothing=smoothing)
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    assert chance_loss(labels, classes, smoothing) == pytest.approx(float(loss().detach()), abs=1e-8)
    balanced = np.repeat(np.arange(4), 3)
    assert chance_loss(balanced, classes, smoothing) == pytest.approx(math.log(len(classes)))


def test_the_guard_passes_once_the_mean_is_two_standard_errors_below_its_bound(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    bound = 0.9 * math.log(len(CLASSES))
    spread = np.resize([-0.2, 0.2], WINDOW)
    error = float(np.std(spread, ddof=1)) / math.sqrt(WINDOW)
    for shift, passed in ((2.05, True), (1.95, False), (0.0, False)):
        guard = ChanceGuard(problem, GuardConfig(margin=0.1))
        for i, loss in enumerate(spread + bound - shift * error):
            assert not guard.passed, f"after {i} losses"
            guard.see(float(loss))
        assert guard.passed == passed
        guard.see(9.0)
        assert guard.passed == passed, "for good"


def test_the_guard_does_not_pass_at_chance(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    rng, chance = np.random.default_rng(0), math.log(len(CLASSES))
    for margin in (0.0, 0.1):
        passed = 0
        for _ in range(20):
            guard = ChanceGuard(problem, GuardConfig(margin=margin))
            for loss in rng.normal(chance, 0.15, size=200):
                guard.see(float(loss))
            passed += guard.passed
        assert passed == 0 if margin else passed > 0, "repeated tests at chance need a margin"


def test_the_guard_starts_anew_with_other_classes_and_resumes(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    guard, other = (ChanceGuard(problem, GuardConfig()) for _ in range(2))
    assert problem.facts["better_than_chance_from"] is None
    for _ in range(WINDOW):
        guard.see(0.8 * math.log(3))
    assert guard.passed and problem.facts["better_than_chance_from"] == problem.progress
    guard.start([0, 2])
    for _ in range(WINDOW - 1):
        guard.see(0.8 * math.log(2))
    assert not guard.passed
    other.load_state_dict(copy.deepcopy(guard.state_dict()))
    other.see(0.8 * math.log(2))
    assert other.passed and not guard.passed


def test_without_guard_it_is_passed_at_once(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    assert ChanceGuard(problem, GuardConfig(guard=False)).passed
