"""Isomorphic architectures: those that build the same network have one canonical architecture."""

from dataclasses import replace

import pytest
import torch

from pvnas_bench import registry, seeding
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.standalone import Network
from pvnas_bench.space import Architecture, BlockSpace

MICRO = registry.get_space("st_micro")
DEFAULT = registry.get_space("st_default")
assert isinstance(MICRO, BlockSpace) and isinstance(DEFAULT, BlockSpace)


def layers(space: BlockSpace, architecture: Architecture) -> object:
    """The network of an architecture, without the places of its blocks."""
    spec = space.spec(architecture)
    return replace(spec, blocks=tuple(replace(block, name="") for block in spec.blocks))


def test_a_canonical_architecture_stands_for_exactly_the_architectures_of_one_network() -> None:
    by_network: dict[object, set[str]] = {}
    for architecture in MICRO.enumerate():
        by_network.setdefault(layers(MICRO, architecture), set()).add(str(MICRO.canonical(architecture)))
    assert all(len(names) == 1 for names in by_network.values())
    assert len(set.union(*by_network.values())) == len(by_network) == 584


@pytest.mark.parametrize("seed", range(50))
def test_canonical_architectures_of_a_large_space_keep_the_network_and_are_their_own(seed: int) -> None:
    architecture = DEFAULT.sample(seeding.generator(seed, "canonical"))
    canonical = DEFAULT.canonical(architecture)
    assert layers(DEFAULT, canonical) == layers(DEFAULT, architecture)
    assert DEFAULT.canonical(canonical) == canonical
    assert CostModel(DEFAULT, 5)(canonical) == CostModel(DEFAULT, 5)(architecture)


def test_isomorphic_architectures_compute_the_same_logits_from_the_same_seed() -> None:
    architecture = next(a for a in MICRO.enumerate() if MICRO.canonical(a) != a)
    logits = []
    for one in (architecture, MICRO.canonical(architecture)):
        with seeding.torch_seeded(0, "init"):
            network = Network(MICRO.spec(one), 5).eval()
        with torch.no_grad():
            blank = network.blank(torch.device("cpu"))
            logits.append(network(torch.linspace(-1, 1, blank.numel()).reshape(blank.shape)))
    torch.testing.assert_close(*logits, rtol=0, atol=0)
