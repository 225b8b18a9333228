"""The training recipe and the scores, against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import PROTOCOLS, get_protocol
from pvnas_bench.training.testing import score
from pvnas_bench.training.train import clips_per_epoch, learning_rate_at, make_optimiser, training_macs


def test_learning_rate_rises_linearly_then_falls_as_half_a_cosine() -> None:
    rates = [learning_rate_at(step, 110, 2.0, 0.1) for step in range(110)]
    rising = round(0.1 * 110)
    assert rates[:rising] == pytest.approx([2.0 * (k + 1) / rising for k in range(rising)])
    falling = [1 + math.cos(math.pi * k / (110 - rising)) for k in range(110 - rising)]
    assert rates[rising:] == pytest.approx(falling)
    assert max(rates) == 2.0 and rates[-1] < 0.01


def test_scores_of_a_small_table_by_hand() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    labels = torch.tensor([0, 1, 1, 2])
    scores = score(probabilities, labels)
    assert scores.top1 == 0.75 and scores.top5 == 1.0
    assert scores.mean_class == pytest.approx((1 + 0.5 + 1) / 3)
    assert scores.loss == pytest.approx(-np.log([0.7, 0.6, 0.3, 0.7]).mean())
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_top5_and_ties_and_absent_classes() -> None:
    probabilities = torch.full((2, 8), 1 / 8)
    scores = score(probabilities, torch.tensor([4, 5]))  # a tie goes to the earlier class
    assert (scores.top1, scores.top5, scores.mean_class) == (0.0, 0.5, 0.0)


def test_only_matrices_are_decayed() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    groups = make_optimiser(network, PROTOCOLS["quick"]).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, PROTOCOLS["quick"].weight_decay), (3, 0.0)]


@pytest.mark.parametrize(("clips", "expected"), [(100, 96), (16, 16), (15, 15), (3, 3)])
def test_an_epoch_has_only_full_batches_unless_there_are_none(clips: int, expected: int) -> None:
    protocol = replace(PROTOCOLS["quick"], batch_size=16)
    assert clips_per_epoch(clips, protocol) == expected
    assert training_macs(10, clips, 4, protocol) == 3 * 10 * 4 * expected


def test_fingerprints_of_protocols_cover_every_setting_but_the_description() -> None:
    quick = PROTOCOLS["quick"]
    assert replace(quick, description="other").fingerprint == quick.fingerprint
    changed = [
        replace(quick, epochs=quick.epochs + 1),
        replace(quick, label_smoothing=0.0),
        quick.with_budget(quick.budget + 1),
        replace(quick, views=(2, 1)),
        quick.with_precision("bfloat16"),
    ]
    assert len({p.fingerprint for p in (*changed, quick)}) == 6
    assert quick.with_precision("float32") == quick and "precision" not in quick.settings


@pytest.mark.parametrize("budget", [0.0, -1.0, math.inf, math.nan])
def test_a_budget_is_a_positive_number(budget: float) -> None:
    with pytest.raises(UsageError, match="budget"):
        get_protocol("quick").with_budget(budget)


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="choose one of quick, standard"):
        get_protocol("fast")
