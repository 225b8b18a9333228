"""Families of spaces: construction, cost and layers of their networks.

A space names its family in `family`; only the table in this module distinguishes families.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pvnas_bench.network.backbone import backbone_layer
from pvnas_bench.network.cost import Cost, CostModel, Layer, network_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.network.layer_passes import LayerPass, block_layers, cell_layers
from pvnas_bench.network.standalone import Classifier, Network
from pvnas_bench.network.sums import Sum
from pvnas_bench.network.temporal_cell import TemporalCostModel, TemporalNetwork, temporal_layers
from pvnas_bench.network.workloads import Pass, block_passes, cell_passes
from pvnas_bench.space import Architecture, CellSpec, NetworkSpec, SearchSpace


class Costs(Protocol):
    """Cost model: the exact cost of each architecture by look-up."""

    classes: int
    latencies: LatencyTable | None

    @property
    def space(self) -> SearchSpace:
        """The space."""

    def __call__(self, architecture: Architecture) -> Cost:
        """MACs of one clip's forward pass, trainable parameters, and the latency if there is a table."""

    def sums(self) -> Iterator[Sum]:
        """The costs as sums over slots or cells, one for each input."""

    def cheapest(self) -> Cost:
        """Cost of the space's architecture with the fewest MACs."""

    def __hash__(self) -> int:
        """By identity: what follows from a cost model can be cached."""


@dataclass(frozen=True)
class Family:
    """Constructors of a family's networks and of their costs.

    Attributes:
        spec: what a space's `spec` returns.
        network: builds a stand-alone network from a space's `spec` and the number of classes.
        layers: lists the layers of this network, from the same arguments.
        costs: builds the cost model from a space, the number of classes, and a latency table or None.
        timed_layers: builds the layers of a space's networks, by their names in a latency table, from a space and the
            number of classes.
        workloads: builds a record's timed passes from a space and a device.
    """

    spec: type[NetworkSpec] | type[CellSpec]
    network: Callable[[Any, int], Classifier]
    layers: Callable[[Any, int], Iterator[Layer]]
    costs: Callable[[Any, int, LatencyTable | None], Costs]
    timed_layers: Callable[[Any, int], Mapping[str, LayerPass]]
    workloads: Callable[[Any, torch.device], dict[str, Pass]]


FAMILIES: dict[str, Family] = {
    "mbconv": Family(NetworkSpec, Network, network_layers, CostModel, block_layers, block_passes),
    "temporal_cell": Family(CellSpec, TemporalNetwork, temporal_layers, TemporalCostModel, cell_layers, cell_passes),
}
"""Families by name."""


def build(space: SearchSpace, architecture: Architecture, classes: int) -> Classifier:
    """Build the stand-alone network of an architecture on the CPU, initialised with torch's global generator."""
    return FAMILIES[space.family].network(space.spec(architecture), classes)


def layers(space: SearchSpace, architecture: Architecture, classes: int) -> Iterator[Layer]:
    """Layers of an architecture's network, from input to logits.

    A frozen backbone comes first, with the MACs of all frames; the architecture's cost excludes it.
    """
    rows = list(FAMILIES[space.family].layers(space.spec(architecture), classes))
    if space.backbone is not None:
        yield backbone_layer(space.backbone, frames=rows[0].shape_in[0])
    yield from rows


def cost_model(space: SearchSpace, classes: int, latencies: LatencyTable | None = None) -> Costs:
    """The cost model of a space; with a table it predicts latencies."""
    return FAMILIES[space.family].costs(space, classes, latencies)


def timed_layers(space: SearchSpace, classes: int) -> Mapping[str, LayerPass]:
    """The layers of all of a space's networks, by their names in a latency table."""
    return FAMILIES[space.family].timed_layers(space, classes)


def workloads(space: SearchSpace, device: torch.device) -> dict[str, Pass]:
    """Timed passes of the space's operators for a record, by name."""
    return FAMILIES[space.family].workloads(space, device)
