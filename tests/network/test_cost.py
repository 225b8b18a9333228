"""The cost model against a counted forward pass, and a supernet's cost against the sum of computed layers."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.gates import two_path_plan
from pvnas_bench.network.cost import CostModel, network_cost, network_layers
from pvnas_bench.network.metering import ExpectedCost, plan_macs
from pvnas_bench.network.standalone import Network
from pvnas_bench.network.supernet import Mixture, Plan, Supernet, path_plan
from pvnas_bench.space import BlockSpace
from pvnas_bench.spaces.st_default import SPACE

CLASSES = 7
COSTS = CostModel(SPACE, CLASSES)
RNG = np.random.default_rng(0)
RANDOM = [SPACE.sample(RNG) for _ in range(25)]


def clips(frames: int, size: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, frames, size, size, 3, generator=generator).permute(0, 1, 4, 2, 3)


def counted_macs(run: object, *arguments: object) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(*arguments)  # type: ignore[operator]
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("architecture", [*RANDOM, *SPACE.experts.values()], ids=str)
def test_macs_and_parameters_equal_a_counted_forward_pass(architecture: object) -> None:
    spec = SPACE.spec(architecture)  # type: ignore[arg-type]
    network = Network(spec, CLASSES).eval()
    cost = COSTS(architecture)  # type: ignore[arg-type]
    assert counted_macs(network, clips(spec.frames, spec.size)) == 2 * cost.macs
    assert sum(p.numel() for p in network.parameters()) == cost.parameters
    assert network_cost(spec, CLASSES) == cost


def test_layers_chain_from_clip_to_logits() -> None:
    for architecture in RANDOM:
        layers = list(network_layers(SPACE.spec(architecture), CLASSES))
        for before, after in itertools.pairwise(layers):
            assert before.shape_out == after.shape_in
        assert layers[-1].shape_out == (1, 1, 1, CLASSES)


def test_a_plan_is_charged_what_it_computes() -> None:
    supernet = Supernet(SPACE, CLASSES)
    generator = torch.Generator().manual_seed(0)
    distribution = FactorisedDistribution(SPACE)
    plans = [two_path_plan(SPACE, distribution.log_table(), f, s, generator) for f in range(3) for s in range(3)]
    plans += [path_plan(SPACE, architecture) for architecture in RANDOM[:5]]
    mixtures = tuple(
        Mixture(torch.full((len(slot.operators),), 0.1), torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5]))
        for slot in SPACE.slots
    )
    plans.append(Plan(8, 32, mixtures, (((2, None),), ((3, None),))))
    for plan in plans:
        assert counted_macs(supernet, clips(plan.frames, plan.size), plan) == 2 * plan_macs(COSTS, plan)


def test_cheapest_equals_the_minimum_over_an_enumerated_space() -> None:
    tiny = BlockSpace(
        "tiny",
        1,
        description="",
        frames=(2, 4),
        sizes=(16, 24),
        stem=8,
        stages=SPACE.stages[:1],
        head=16,
        operators=("s3", "t5", "tsm"),
        expansions=(2, 4),
        se=("no", "se"),
        caps={"L": 10**9},
        reference={
            "frames": "2",
            "size": "16",
            "depth.1": "1",
            "operator.1.1": "s3",
            "expansion.1.1": "e2",
            "se.1.1": "no",
        },
        experts={},
    )
    costs = CostModel(tiny, CLASSES)
    assert costs.cheapest().macs == min(costs(a).macs for a in tiny.enumerate())


def test_expected_macs_is_the_mean_over_the_distribution_and_its_gradient_is_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    distribution = FactorisedDistribution(SPACE).double()
    for logit in distribution.logits:
        logit.data.normal_(generator=generator)
    expected = ExpectedCost(COSTS)
    macs = np.array([COSTS(distribution.sample(generator)).macs for _ in range(4000)])
    value = expected(distribution.log_table().exp())
    assert abs(value.item() - macs.mean()) < 4 * macs.std() / np.sqrt(len(macs))
    value.backward()
    logit, step = distribution.logits[2], 1e-4
    with torch.no_grad():
        logit[0] += step
        above = expected(distribution.log_table().exp()).item()
        logit[0] -= 2 * step
        below = expected(distribution.log_table().exp()).item()
    assert logit.grad is not None
    assert logit.grad[0].item() == pytest.approx((above - below) / (2 * step), rel=1e-6)
