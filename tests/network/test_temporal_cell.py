"""Temporal cells against torch's own one-dimensional layers and a counted forward pass."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from pvnas_bench.network import families
from pvnas_bench.network.backbone import FrozenBackbone, backbone_layer, frame_cost
from pvnas_bench.network.standalone import Network
from pvnas_bench.network.temporal_cell import TemporalCell, TemporalCostModel, TemporalNetwork, cell_operator, pooled
from pvnas_bench.space import EDGES, TEMPORAL_KERNELS, Architecture, Cell, CellSpace, cell_options
from pvnas_bench.spaces.st_temporal_cell import BACKBONE, SPACE

CLASSES, CHANNELS = 7, 6
COSTS = TemporalCostModel(SPACE, CLASSES)
RNG = np.random.default_rng(0)
RANDOM = [SPACE.sample(RNG) for _ in range(25)]


def sequence(steps: int = 11, channels: int = CHANNELS, seed: int = 0) -> torch.Tensor:
    """(N, C, T)."""
    return torch.randn(3, channels, steps, generator=torch.Generator().manual_seed(seed))


def seeded(make: object, *arguments: object) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        return make(*arguments)  # type: ignore[operator,no-any-return]


def normed(x: torch.Tensor) -> torch.Tensor:
    """Output of a new batch-norm on (N, C, T) in training."""
    return F.batch_norm(x, None, None, training=True)


@pytest.mark.parametrize("token", TEMPORAL_KERNELS)
def test_a_convolution_equals_torchs_layers(token: str) -> None:
    taps, dilation = TEMPORAL_KERNELS[token]
    operator, x = seeded(cell_operator, token, CHANNELS), sequence()
    depthwise = torch.nn.Conv1d(
        CHANNELS, CHANNELS, taps, padding="same", dilation=dilation, groups=CHANNELS, bias=False
    )
    depthwise.weight.data = operator.depthwise.data[..., 0]
    expected = normed(F.conv1d(depthwise(x.relu()), operator.pointwise.weight[..., 0]))
    torch.testing.assert_close(operator(x[..., None])[..., 0], expected)


@pytest.mark.parametrize("token", TEMPORAL_KERNELS)
def test_a_convolution_reaches_as_far_as_its_name_says(token: str) -> None:
    reach = {
        "t3": [-1, 0, 1],
        "t5": [-2, -1, 0, 1, 2],
        "t7": [-3, -2, -1, 0, 1, 2, 3],
        "t3d2": [-2, 0, 2],
        "t3d3": [-3, 0, 3],
    }
    operator, x = seeded(cell_operator, token, CHANNELS).eval(), sequence().requires_grad_()
    operator(x.relu()[..., None])[:, :, 5].sum().backward()
    assert x.grad is not None
    assert [int(t) - 5 for t in x.grad.abs().sum((0, 1)).nonzero()] == reach[token]


def test_pooling_is_torchs() -> None:
    x = sequence()
    torch.testing.assert_close(pooled(x[..., None], "max3")[..., 0], F.max_pool1d(x, 3, 1, 1))
    mean = F.avg_pool1d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(pooled(x[..., None], "avg3")[..., 0], mean)
    torch.testing.assert_close(cell_operator("avg3", CHANNELS)(x[..., None])[..., 0], normed(mean))


@pytest.mark.parametrize("operators", [("t3", "max3", "t5"), ("skip", "t3d2", "none"), ("none", "t7", "none")])
def test_a_cell_is_the_sum_of_its_two_nodes(operators: tuple[str, ...]) -> None:
    cell, x = seeded(TemporalCell, Cell("cell.1", operators), CHANNELS), sequence()[..., None]
    edges = cell.edges
    assert list(edges) == [name for name, token in zip(("01", "02", "12"), operators, strict=True) if token != "none"]
    total = edges["02"](x)
    if "01" in edges:
        first = edges["01"](x)
        total = total + first + (edges["12"](first) if "12" in edges else 0)
    torch.testing.assert_close(cell(x)[..., 0], normed(total[..., 0]))


def test_a_network_without_time_is_blind_to_the_order_of_frames_and_one_with_time_is_not() -> None:
    features = torch.randn(2, SPACE.backbone.features, 32, generator=torch.Generator().manual_seed(0))
    for name, blind in (("c2d", True), ("r2plus1d", False)):
        network = seeded(families.build, SPACE, SPACE.experts[name], CLASSES).eval()
        assert torch.allclose(network(features), network(features.flip(2)), atol=1e-6) == blind


# --- cost -------------------------------------------------------------------------------------------------------------


def counted_macs(run: torch.nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(x)
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("architecture", [*RANDOM, *SPACE.experts.values()], ids=str)
def test_macs_and_parameters_equal_a_counted_forward_pass(architecture: Architecture) -> None:
    network = families.build(SPACE, architecture, CLASSES).eval()
    cost = COSTS(architecture)
    assert counted_macs(network, network.blank()) == cost.macs
    assert sum(p.numel() for p in network.parameters()) == cost.parameters
    layers = list(families.layers(SPACE, architecture, CLASSES))
    assert sum(layer.macs for layer in layers[1:]) == cost.macs
    assert sum(layer.parameters for layer in layers[1:]) == cost.parameters


def test_layers_chain_from_frames_to_logits_with_the_backbone_first() -> None:
    for architecture in RANDOM:
        first, *rest = families.layers(SPACE, architecture, CLASSES)
        steps = SPACE.spec(architecture).steps
        assert first == backbone_layer(BACKBONE, steps)
        assert first.macs == steps * frame_cost(BACKBONE).macs
        assert np.prod(first.shape_out) == np.prod(rest[0].shape_in)
        for before, after in itertools.pairwise(rest):
            assert before.shape_out == after.shape_in
        assert rest[-1].shape_out == (1, 1, 1, CLASSES)


def test_cheapest_equals_the_minimum_over_an_enumerated_space() -> None:
    for operators in (("t3", "t5", "none"), ("t5", "t3"), ("t7", "max3", "skip")):
        tiny = CellSpace(
            "tiny",
            1,
            description="",
            backbone=BACKBONE,
            steps=(16, 8),
            cells=(2, 1),
            channels=(16, 8),
            operators=operators,
            caps={"L": 10**9},
            reference=cell_options(steps=8, cells=1, channels=8, operators=(operators[0],) * 3),
            experts={},
        )
        costs = TemporalCostModel(tiny, CLASSES)
        assert costs.cheapest().macs == min(costs(a).macs for a in tiny.enumerate())


# --- the backbone -----------------------------------------------------------------------------------------------------


def frozen() -> tuple[Network, FrozenBackbone]:
    network = seeded(Network, BACKBONE.network, CLASSES)
    assert isinstance(network, Network)
    return network, FrozenBackbone(network, BACKBONE.grid)


def test_features_are_the_last_map_pooled_to_a_grid() -> None:
    network, backbone = frozen()
    frames = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = network.stem(frames)
    for block in network.blocks:
        x = block(x, 1)
    expected = F.adaptive_avg_pool2d(x, BACKBONE.grid).flatten(1)
    torch.testing.assert_close(backbone(frames), expected)
    assert expected.shape[1] == BACKBONE.features


def test_a_frozen_backbone_stays_in_evaluation_mode_and_has_no_gradient() -> None:
    _, backbone = frozen()
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert not backbone(torch.randn(4, 3, 32, 32)).requires_grad
    assert not any(p.requires_grad for p in backbone.parameters())
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_the_cost_of_a_frame_equals_a_counted_forward_pass() -> None:
    _, backbone = frozen()
    assert counted_macs(backbone, torch.zeros(1, 3, 32, 32)) == frame_cost(BACKBONE).macs
    assert sum(p.numel() for p in backbone.parameters()) == frame_cost(BACKBONE).parameters


def test_the_network_takes_the_inputs_of_its_specification() -> None:
    network = families.build(SPACE, SPACE.reference, CLASSES)
    assert isinstance(network, TemporalNetwork)
    assert network.blank().shape == (1, BACKBONE.features, 32)
    assert network(network.blank().expand(4, -1, -1)).shape == (4, CLASSES)


# --- networks that share layers ---------------------------------------------------------------------------------------


def network_of(string: str) -> TemporalNetwork:
    network = seeded(families.build, SPACE, SPACE.parse(string), CLASSES)
    assert isinstance(network, TemporalNetwork)
    return network


def test_what_trains_from_a_cell_is_it_and_what_is_behind_it() -> None:
    network = network_of("8-3-32/t3-skip-t3/t3-skip-t3/t3-skip-t3")
    everything = set(dict(network.named_parameters()))
    assert set(network.from_cell(1)) == everything
    second = {name for name in everything if name.startswith(("cells.1.", "cells.2.", "classifier."))}
    assert set(network.from_cell(2)) == second
    assert {name.split(".")[0] for name in network.from_cell(3)} == {"cells", "classifier"}


def test_networks_share_all_but_one_edges_operator() -> None:
    one, other = network_of("8-2-32/t3-t5-max3/avg3-t7-t3/_"), network_of("8-2-32/t7-t5-max3/avg3-t7-t3/_")
    one.share(other, 1, EDGES[0])
    mine, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    assert mine.keys() == theirs.keys()
    for name, parameter in mine.items():
        assert (parameter is theirs[name]) == (not name.startswith("cells.0.edges.01.")), name
