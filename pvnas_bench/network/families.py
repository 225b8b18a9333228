"""The families of spaces: construction, cost and layers of a space's networks.

A family is a space's `family`; only this table distinguishes them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pvnas_bench.network.backbone import backbone_layer
from pvnas_bench.network.cost import Cost, CostModel, Layer, network_layers
from pvnas_bench.network.standalone import Classifier, Network
from pvnas_bench.network.temporal_cell import TemporalCostModel, TemporalNetwork, temporal_layers
from pvnas_bench.network.workloads import Pass, block_passes, cell_passes
from pvnas_bench.space import Architecture, CellSpec, NetworkSpec, SearchSpace


class Costs(Protocol):
    """A cost model: the exact cost of each architecture, by look-up."""

    classes: int

    def __call__(self, architecture: Architecture) -> Cost:
        """MACs of one clip's forward pass, and trainable parameters."""

    def cheapest(self) -> Cost:
        """Cost of the architecture of the least MACs in the space."""


@dataclass(frozen=True)
class Family:
    """Constructors of a kind of networks.

    Attributes:
        spec: what a space's `spec` returns.
        network: builds a stand-alone network from a space's `spec` and the number of classes.
        layers: builds its table of layers from the same.
        costs: builds the cost model from a space and the number of classes.
        workloads: builds the timed passes of a record from a space and a device.
    """

    spec: type[NetworkSpec] | type[CellSpec]
    network: Callable[[Any, int], Classifier]
    layers: Callable[[Any, int], Iterator[Layer]]
    costs: Callable[[Any, int], Costs]
    workloads: Callable[[Any, torch.device], dict[str, Pass]]


FAMILIES: dict[str, Family] = {
    "mbconv": Family(NetworkSpec, Network, network_layers, CostModel, block_passes),
    "temporal_cell": Family(CellSpec, TemporalNetwork, temporal_layers, TemporalCostModel, cell_passes),
}
"""Families by name, the `family` of a space."""


def build(space: SearchSpace, architecture: Architecture, classes: int) -> Classifier:
    """The stand-alone network of an architecture, on the CPU, initialised by torch's global generator."""
    return FAMILIES[space.family].network(space.spec(architecture), classes)


def layers(space: SearchSpace, architecture: Architecture, classes: int) -> Iterator[Layer]:
    """The network of an architecture, layer by layer, from input to logits.

    A frozen backbone comes first, with the MACs of its frames; the architecture's cost excludes it.
    """
    own = list(FAMILIES[space.family].layers(space.spec(architecture), classes))
    if space.backbone is not None:
        yield backbone_layer(space.backbone, frames=own[0].shape_in[0])
    yield from own


def cost_model(space: SearchSpace, classes: int) -> Costs:
    """The cost model of a space."""
    return FAMILIES[space.family].costs(space, classes)


def workloads(space: SearchSpace, device: torch.device) -> dict[str, Pass]:
    """Timed passes of the space's operators for a record, by name."""
    return FAMILIES[space.family].workloads(space, device)
