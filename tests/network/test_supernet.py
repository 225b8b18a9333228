"""The supernet against stand-alone networks with the same weights, and mixtures against sums of candidates."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pvnas_bench.network.supernet import Mixture, Plan, SuperBlock, Supernet, path_plan
from pvnas_bench.space import Architecture, mixes_time
from pvnas_bench.spaces.st_default import SPACE

CLASSES = 5
RNG = np.random.default_rng(3)
RANDOM = [SPACE.sample(RNG) for _ in range(12)]


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = Supernet(SPACE, CLASSES)
        with torch.no_grad():
            for parameter in network.parameters():  # no two candidates alike, no scale left at one
                parameter.add_(0.1 * torch.randn_like(parameter))
            network.head.classifier.weight.mul_(30)
    return network


def clips(architecture: Architecture, seed: int = 0) -> torch.Tensor:
    spec = SPACE.spec(architecture)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, spec.frames, spec.size, spec.size, 3, generator=generator).permute(0, 1, 4, 2, 3)


@pytest.mark.parametrize("architecture", RANDOM, ids=str)
def test_a_path_equals_the_standalone_network(supernet: Supernet, architecture: Architecture) -> None:
    x = clips(architecture)
    network = supernet.extract(architecture).train()
    network.head.dropout.p = 0.0
    torch.testing.assert_close(supernet(x, path_plan(SPACE, architecture)), network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", RANDOM[:4], ids=str)
def test_recalibrated_statistics_equal_those_of_a_standalone_network_on_the_same_clips(
    supernet: Supernet, architecture: Architecture
) -> None:
    seen = [clips(architecture, seed) for seed in range(1, 4)]
    network = supernet.extract(architecture).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # cumulative
    with torch.no_grad():
        for x in seen:
            network(x)
    x = clips(architecture)
    with supernet.recalibrated(architecture, seen):
        ours = supernet(x, path_plan(SPACE, architecture))
        extracted = supernet.extract(architecture).eval()(x)
    torch.testing.assert_close(ours, network.eval()(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours, extracted, rtol=1e-5, atol=1e-5)
    outside = supernet(x, path_plan(SPACE, architecture))
    assert not torch.allclose(outside, ours)


@pytest.mark.parametrize("architecture", RANDOM, ids=str)
def test_a_one_hot_mixture_is_its_candidate(supernet: Supernet, architecture: Architecture) -> None:
    plan = path_plan(SPACE, architecture)
    slots = []
    for slot, choice in zip(SPACE.slots, plan.slots, strict=True):
        if choice is None:
            slots.append(None)
            continue
        sizes = (len(slot.operators), len(SPACE.expansions), len(SPACE.se))
        one_hot = [F.one_hot(torch.tensor(o), n).float() for o, n in zip(choice, sizes, strict=True)]
        slots.append(Mixture(*one_hot))
    x = clips(architecture)
    mixed = supernet(x, Plan(plan.frames, plan.size, tuple(slots), plan.depths))
    torch.testing.assert_close(mixed, supernet(x, plan), rtol=1e-5, atol=1e-5)


def test_operators_mix_by_their_weights(supernet: Supernet) -> None:
    block = supernet.blocks[1]
    assert isinstance(block, SuperBlock)
    x = torch.randn(6, block.slot.cin, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.1, 0.2, 0.05, 0.15, 0.2, 0.2, 0.1])
    mixture = Mixture(weights, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
    expected = x.clone()
    for o, weight in enumerate(weights):
        branch = block.candidate(x, 3, (o, 1, 0))
        if branch is not None:
            expected = expected + weight * branch
    torch.testing.assert_close(block(x, 3, mixture), expected, rtol=1e-5, atol=1e-5)


def test_gated_depths_and_candidates_equal_the_active_path(supernet: Supernet) -> None:
    on, off = torch.ones(()), torch.zeros(())
    long = SPACE.parse("4-24-3-1/s3-e2-no/f3-e4-se/t5-e2-no/s3-e2-no/_/_")
    short = SPACE.parse("4-24-1-1/s3-e2-no/_/_/s3-e2-no/_/_")
    x = clips(long)
    for architecture, gates in ((long, (off, on)), (short, (on, off))):
        plan = path_plan(SPACE, long)
        slots = list(plan.slots)
        slots[0] = [((0, 0, 0), on), ((5, 1, 1), off)]
        gated = Plan(4, 24, tuple(slots), (((1, gates[0]), (3, gates[1])), plan.depths[1]))
        torch.testing.assert_close(
            supernet(x, gated), supernet(x, path_plan(SPACE, architecture)), rtol=1e-5, atol=1e-5
        )


def test_temporal_parameters_are_all_that_a_spatial_path_lacks(supernet: Supernet) -> None:
    """Along a spatial path no kernel or batch-norm of them gets a gradient; along temporal ones each does."""
    slot = SPACE.slots[0]
    block = supernet.block(slot.name)
    assert block is supernet.blocks[0]
    temporal = [p for p in block.temporal_parameters() if p is not block.scale and p is not block.shift]
    touched: set[torch.Tensor] = set()
    for operator in slot.operators:
        supernet.zero_grad()
        path = SPACE.from_options(SPACE.options(SPACE.reference) | {f"operator.{slot.name}": operator})
        supernet(clips(path), path_plan(SPACE, path)).sum().backward()
        reached = {p for p in temporal if p.grad is not None and bool(p.grad.abs().max() > 0)}
        assert bool(reached) == mixes_time(operator)
        touched |= reached
        block.clear_spatial_gradients()
        assert block.scale.grad is not None
        assert bool(block.scale.grad.abs().max() > 0) == mixes_time(operator)
    assert touched == set(temporal)
    supernet.zero_grad()
