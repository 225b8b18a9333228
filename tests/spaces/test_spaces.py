"""Every space of the package is declared consistently and can be built."""

import numpy as np
import pytest
import torch

from pvnas_bench import registry
from pvnas_bench.network.families import cost_model
from pvnas_bench.network.standalone import Network
from pvnas_bench.network.supernet import Supernet, path_plan
from pvnas_bench.space import SearchSpace

SPACES = list(registry.all_spaces())
OPERATORS = next(d.options for d in registry.get_space("st_default").decisions if d.name.startswith("operator"))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_reference_and_experts_are_under_the_first_cap(space: SearchSpace) -> None:
    costs = cost_model(space, 10)
    first = next(iter(space.caps.values()))
    for architecture in (space.reference, *space.experts.values()):
        assert costs(architecture).macs <= first
    assert list(space.caps.values()) == sorted(space.caps.values())


CAPPED = [space for space in SPACES if "all" not in space.caps]
"""Spaces with restricting caps, unlike those that are searched as a whole."""


@pytest.mark.parametrize("space", CAPPED, ids=lambda space: space.name)
def test_every_cap_restricts_and_leaves_a_choice(space: SearchSpace) -> None:
    costs, rng = cost_model(space, 10), np.random.default_rng(0)
    dearest = {"mbconv": "st3", "temporal_cell": "t7"}[space.family]
    largest = {d.name: dearest if d.name.startswith("operator") else d.options[-1] for d in space.decisions}
    assert costs(space.from_options(largest)).macs > max(space.caps.values())
    under = [costs(space.sample(rng)).macs <= min(space.caps.values()) for _ in range(300)]
    assert 0.25 < np.mean(under) < 1


def test_st_kinetics_runs_a_clip_stand_alone_and_in_the_supernet() -> None:
    space = registry.get_space("st_kinetics")
    assert space.size >= 10**9
    architecture = space.sample(np.random.default_rng(0))
    options = space.options(architecture) | {"frames": "8", "size": "112"}
    architecture = space.from_options(options)
    clip = torch.zeros(1, 8, 112, 112, 3).permute(0, 1, 4, 2, 3)
    with torch.no_grad():
        assert Network(space.spec(architecture), 400).eval()(clip).shape == (1, 400)
        assert Supernet(space, 400)(clip, path_plan(space, architecture)).shape == (1, 400)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_trace_of_a_network_computes_what_the_network_does(operator: str) -> None:
    """What `torch.jit.trace` takes, ONNX's exporter takes."""
    space = registry.get_space("st_default")
    options = space.options(space.reference)
    architecture = space.from_options(options | {name: operator for name in options if name.startswith("operator")})
    spec = space.spec(architecture)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(spec, 4).eval()
        example, other = (torch.rand(clips, spec.frames, 3, spec.size, spec.size) for clips in (1, 2))
    with torch.no_grad():
        traced = torch.jit.trace(network, example)
        torch.testing.assert_close(traced(example), network(example), rtol=0, atol=0)
        torch.testing.assert_close(traced(other), network(other))
