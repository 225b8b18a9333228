"""Logged series that show whether a gradient search learns."""

import math
from typing import Any

import pytest
import torch

from pvnas_bench.conformance._world import CLASSES, World
from pvnas_bench.methods import CostShare, log_held_out_loss, recorded


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


def test_without_gradient_nothing_is_logged(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    CostShare(torch.zeros(()), [torch.zeros(2, requires_grad=True)]).log(problem)
    assert not problem.take_logged()


def test_recorded_losses_are_those_returned() -> None:
    losses: list[float] = []
    loss_at = recorded(lambda x: torch.tensor(x), losses)
    values: list[Any] = [float(loss_at(x)) for x in (1.0, 2.5)]
    assert values == losses == [1.0, 2.5]
