"""The training recipe and the scores, against closed forms."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pvnas_bench import registry, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.network.operators import NOISE, Operator
from pvnas_bench.protocol import PROTOCOLS, get_protocol, protocol_entry, protocol_of
from pvnas_bench.training.testing import score
from pvnas_bench.training.train import (
    averaged,
    clips_per_epoch,
    learning_rate_at,
    make_optimiser,
    training_macs,
    untrained,
)


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
    assert quick.with_precision("bfloat16").with_precision("float32") == quick
    assert quick.with_precision("float32") == quick and "precision" not in quick.settings


def test_later_settings_at_their_defaults_leave_published_fingerprints_as_they_were() -> None:
    assert PROTOCOLS["quick"].fingerprint == "quick@1:4e1f766ecf73"
    assert PROTOCOLS["micro"].fingerprint == "micro@3:9a7e511717fd"
    averaged = replace(PROTOCOLS["quick"], average=0.9, temporal_init="near_identity")
    assert averaged.settings["average"] == 0.9 and averaged.settings["temporal_init"] == "near_identity"


def test_a_protocol_comes_from_a_file_with_a_base_and_changes(tmp_path: Path) -> None:
    path = tmp_path / "longer.toml"
    path.write_text('base = "quick"\nepochs = 16\naverage = 0.99\nviews = [2, 3]\n')
    protocol = get_protocol(str(path))
    expected = replace(PROTOCOLS["quick"], name="longer", epochs=16, average=0.99, views=(2, 3))
    assert replace(protocol, description=expected.description) == expected
    assert protocol_of(protocol_entry(protocol)) == protocol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3", "needs a line with a protocol to start from, such as base = 'quick'"),
        ('base = "fast"', "needs a line with a protocol"),
        ('base = "quick"\nepoch = 3', "epoch: .*choose among the settings of quick"),
        ('base = "quick"\nepochs = 0', "epochs: Input should be greater than or equal to 1"),
        ('base = "quick"\naverage = 1.0', "average: Input should be less than 1"),
        ('base = "quick"\nviews = "many"', "many"),
        ('base = "quick"\ncrop_scale = [0.5, 1.5]', "crop_scale.1: Input should be less than or equal to 1"),
        ('base = "quick"\nname = "standard"', "sets name: a protocol is named by its file, so remove the line"),
        ("base = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_protocol_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        get_protocol(str(path))
    with pytest.raises(UsageError, match="cannot read the protocol"):
        get_protocol(str(tmp_path / "absent.toml"))
    (tmp_path / "quick.toml").write_text('base = "quick"')
    with pytest.raises(UsageError, match="cannot be a protocol's name"):
        get_protocol(str(tmp_path / "quick.toml"))


def test_the_average_is_the_exponential_one_of_weights_and_statistics() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    average = averaged(network, 0.75)
    expected: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        for tensor in floats(network).values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        average.update_parameters(network)
        for name, tensor in floats(network).items():
            expected[name] = 0.75 * expected[name] + 0.25 * tensor if name in expected else tensor.clone()
    torch.testing.assert_close(floats(average.module), expected)


def floats(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and statistics; batch-norm's count of batches is not used."""
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def test_near_identity_operators_start_as_their_spatial_part() -> None:
    space = registry.get_space("st_default")
    rng = np.random.default_rng(0)
    architecture = space.sample(rng)
    near = replace(PROTOCOLS["quick"], temporal_init="near_identity")
    first, again = (untrained(space, architecture, 5, near, 3).state_dict() for _ in range(2))
    plain = untrained(space, architecture, 5, PROTOCOLS["quick"], 3).state_dict()
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first.keys() == plain.keys()
    for token in ("f3", "t5", "st3"):
        with seeding.torch_seeded(0, "test"):
            operator = Operator(token, 4000, 1)
            operator.begin_near_identity()
        temporal = operator.weights[-1].detach()
        if token == "st3":  # each temporal slice is the same spatial kernel, scaled
            spatial = temporal[:, :, 1]
            scale = temporal[:, :, 0, 1, 1] / spatial[:, :, 1, 1]
            torch.testing.assert_close(temporal[:, :, 0], scale[..., None, None] * spatial, rtol=1e-3, atol=1e-4)
        else:
            mean, deviation = temporal.mean((0, 1, 3)), temporal.std((0, 1, 3))
            centre = torch.eye(len(mean))[len(mean) // 2]
            torch.testing.assert_close(mean, centre, rtol=0, atol=0.03)
            torch.testing.assert_close(deviation, torch.full_like(deviation, NOISE), rtol=0.05, atol=0)


@pytest.mark.parametrize("budget", [0.0, -1.0, math.inf, math.nan])
def test_a_budget_is_a_positive_number(budget: float) -> None:
    with pytest.raises(UsageError, match="budget"):
        get_protocol("quick").with_budget(budget)


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="choose one of quick, standard"):
        get_protocol("fast")
