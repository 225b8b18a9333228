"""Networks of temporal cells on the features of a frozen backbone, and their exact cost.

Features are (N, C, T, 1) in channels-last memory, that is N, T, C: a temporal convolution is a 2-D one with a (k, 1)
kernel, a point-wise one a matrix product (see `operators`). Every operator keeps C and T.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.network.blocks import pointwise
from pvnas_bench.network.cost import Cost, Layer
from pvnas_bench.network.latencies import LatencyTable, cell_key, classifier_key, operator_key, projection_key
from pvnas_bench.network.standalone import DROPOUT, Classifier
from pvnas_bench.network.sums import Chain, Place, Sum
from pvnas_bench.space import EDGES, INACTIVE, TEMPORAL_KERNELS, Architecture, Cell, CellSpace, CellSpec, edge_name

if TYPE_CHECKING:
    from pvnas_bench.video import ClipBatch

POOL = 3
"""Time steps of a pooling window."""


class TemporalConvolution(nn.Module):
    """ReLU, depth-wise temporal convolution, point-wise convolution, batch-norm: half of DARTS' separable operator."""

    def __init__(self, channels: int, taps: int, dilation: int) -> None:
        super().__init__()
        self.padding, self.dilation = (dilation * (taps - 1) // 2, 0), (dilation, 1)
        self.depthwise = nn.Parameter(torch.empty(channels, 1, taps, 1))
        nn.init.kaiming_normal_(self.depthwise, mode="fan_in", nonlinearity="relu")
        self.pointwise = pointwise(channels, channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(F.relu(x), self.depthwise, None, 1, self.padding, self.dilation, groups=x.shape[1])
        out: Tensor = self.norm(self.pointwise(y))
        return out


def pooled(x: Tensor, token: str) -> Tensor:
    """Maximum (``max3``) or mean (``avg3``) over the previous, current and next time step, without padding values."""
    empty = float("-inf") if token == "max3" else 0.0
    padded = F.pad(x, (0, 0, 1, 1), value=empty)
    before, after = padded[:, :, :-2], padded[:, :, 2:]
    if token == "max3":
        return torch.maximum(torch.maximum(before, x), after)
    seen = F.pad(x.new_ones(x.shape[2]), (1, 1)).unfold(0, POOL, 1).sum(1)  # window sizes: 2 at both ends
    return (before + x + after) / seen[:, None]


class TemporalPooling(nn.Module):
    """A pooling operator followed by batch-norm, as in DARTS."""

    def __init__(self, channels: int, token: str) -> None:
        super().__init__()
        self.token = token
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(pooled(x, self.token))
        return out


def cell_operator(token: str, channels: int) -> nn.Module:
    """Build the operator of a token: (N, C, T, 1) → (N, C, T, 1)."""
    if token == "skip":
        return nn.Identity()
    if token in TEMPORAL_KERNELS:
        return TemporalConvolution(channels, *TEMPORAL_KERNELS[token])
    return TemporalPooling(channels, token)


class TemporalCell(nn.Module):
    """A directed graph: node 1 = e01(x), node 2 = e02(x) + e12(node 1); out = batch-norm(node 1 + node 2)."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                edge_name(edge): cell_operator(token, channels)
                for edge, token in zip(EDGES, cell.operators, strict=True)
                if token != "none"
            }
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the cell: (N, C, T, 1) → (N, C, T, 1)."""
        nodes: dict[int, Tensor] = {0: x}
        for edge in EDGES:
            if edge_name(edge) in self.edges:
                y = self.edges[edge_name(edge)](nodes[edge[0]])
                nodes[edge[1]] = nodes[edge[1]] + y if edge[1] in nodes else y
        total = nodes[1] + nodes[2] if 1 in nodes else nodes[2]
        out: Tensor = self.norm(total)
        return out


class TemporalNetwork(Classifier):
    """A classifier of feature sequences: projection, cells, mean over time, linear; (N, F, T) → logits (N, classes)."""

    def __init__(self, spec: CellSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.projection = pointwise(spec.features, spec.channels)
        self.norm = nn.BatchNorm2d(spec.channels)
        self.cells = nn.ModuleList(TemporalCell(cell, spec.channels) for cell in spec.cells)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(spec.channels, classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> Tensor:
        x = self.norm(self.projection(features.unsqueeze(-1)))
        for cell in self.cells:
            x = cell(x)
        logits: Tensor = self.classifier(self.dropout(F.relu(x).mean((2, 3))))
        return logits

    def from_cell(self, cell: int) -> dict[str, nn.Parameter]:
        """The parameters of a cell and of all layers behind it, by name; of all layers for the first cell.

        Args:
            cell: number of the cell, from 1.
        """
        parts = [f"cells.{i}." for i in range(cell - 1, len(self.cells))] + ["classifier."]
        parts += ["projection.", "norm."] if cell == 1 else []
        return {name: parameter for name, parameter in self.named_parameters() if name.startswith(tuple(parts))}

    def share(self, other: "TemporalNetwork", cell: int, edge: tuple[int, int]) -> None:
        """Take the layers of another network in place of this one's, except the operator of one edge.

        Args:
            other: a network of as many cells.
            cell: number of the edge's cell, from 1.
            edge: one of `EDGES`.
        """
        self.projection, self.norm, self.classifier = other.projection, other.norm, other.classifier
        for i, (mine, theirs) in enumerate(zip(self.cells, other.cells, strict=True)):
            if i != cell - 1:
                self.cells[i] = theirs
                continue
            assert isinstance(mine, TemporalCell) and isinstance(theirs, TemporalCell)
            mine.norm = theirs.norm
            for name in mine.edges.keys() & theirs.edges.keys() - {edge_name(edge)}:
                mine.edges[name] = theirs.edges[name]

    def inputs(self, batch: "ClipBatch") -> Tensor:
        """The features of `spec.steps` time steps, (N V, F, T)."""
        return batch.features(self.spec.steps)

    def blank(self, device: torch.device | str = "cpu") -> Tensor:
        """One clip of zeros, (1, F, T)."""
        return torch.zeros(1, self.spec.steps, self.spec.features, device=device).transpose(1, 2)


# --- cost -------------------------------------------------------------------------------------------------------------


def projection_cost(features: int, channels: int, steps: int) -> Cost:
    """Cost of the input projection and its batch-norm."""
    weights = features * channels
    return Cost(weights * steps, weights + 2 * channels)


def operator_cost(token: str, channels: int, steps: int) -> Cost:
    """Cost of an edge's operator: pooling has only the parameters of its batch-norm; skip and none cost zero."""
    if token in ("skip", "none"):
        return Cost(0, 0)
    if token not in TEMPORAL_KERNELS:
        return Cost(0, 2 * channels)
    weights = channels * TEMPORAL_KERNELS[token][0] + channels**2
    return Cost(weights * steps, weights + 2 * channels)


def classifier_cost(channels: int, classes: int) -> Cost:
    """Cost of the classifier with its bias."""
    return Cost(channels * classes, channels * classes + classes)


def temporal_layers(spec: CellSpec, classes: int) -> Iterator[Layer]:
    """Layers of the network, from features to logits; shapes are (time steps, 1, 1, channels)."""
    shape = (spec.steps, 1, 1, spec.channels)
    cost = projection_cost(spec.features, spec.channels, spec.steps)
    yield Layer("projection", "conv 1", (spec.steps, 1, 1, spec.features), shape, cost.macs, cost.parameters)
    for cell in spec.cells:
        cost = Cost(0, 2 * spec.channels)
        for token in cell.operators:
            cost = cost + operator_cost(token, spec.channels, spec.steps)
        yield Layer(cell.name, " ".join(cell.operators), shape, shape, cost.macs, cost.parameters)
    cost = classifier_cost(spec.channels, classes)
    yield Layer("head", "pool, linear", shape, (1, 1, 1, classes), cost.macs, cost.parameters)


class TemporalCostModel:
    """Costs of a cell space's architectures by look-up: a query is a sum over the edges.

    They exclude the backbone, whose features are computed once per clip for all architectures.

    Attributes:
        latencies: latency table of the machine whose latency is predicted; None: latencies are 0.
    """

    def __init__(self, space: CellSpace, classes: int, latencies: LatencyTable | None = None) -> None:
        self.space, self.classes, self.latencies = space, classes, latencies
        self._tables = [[self._table(steps, channels) for channels in space.channels] for steps in space.steps]
        self._inputs = tuple(space.position(name) for name in ("steps", "cells", "channels"))

    def _table(self, steps: int, channels: int) -> tuple[Cost, Mapping[str, Cost]]:
        """Cost of the layers that all networks share, and of each operator by token."""
        fixed = projection_cost(self.space.backbone.features, channels, steps)
        fixed = fixed + classifier_cost(channels, self.classes)
        tokens = {token for decision in self.space.decisions[3:] for token in decision.options}
        operators = {token: operator_cost(token, channels, steps) for token in tokens}
        if (latencies := self.latencies) is not None:
            layers = (
                projection_key(self.space.backbone.features, channels, steps),
                classifier_key(channels, self.classes, steps),
            )
            fixed = fixed + Cost(0, 0, latencies.overhead_ms + sum(map(latencies.of, layers)))
            for token in tokens - {"skip", "none"}:
                operators[token] = operators[token] + Cost(0, 0, latencies.of(operator_key(token, channels, steps)))
        return fixed, operators

    def _cell(self, steps: int, channels: int) -> Cost:
        """Cost of a cell besides its operators."""
        alone = Cost(0, 2 * self.space.channels[channels])
        if self.latencies is None:
            return alone
        layer = cell_key(self.space.channels[channels], self.space.steps[steps])
        return alone + Cost(0, 0, self.latencies.of(layer))

    def __call__(self, architecture: Architecture) -> Cost:
        """The exact cost of an architecture of this space."""
        steps, cells, channels = (architecture.choices[i] for i in self._inputs)
        total, operators = self._tables[steps][channels]
        norms = 2 * self.space.channels[channels] * self.space.cells[cells]
        macs, parameters = total.macs, total.parameters + norms
        milliseconds = total.latency_ms + self._cell(steps, channels).latency_ms * self.space.cells[cells]
        for decision, choice in zip(self.space.decisions[3:], architecture.choices[3:], strict=True):
            if choice != INACTIVE:
                cost = operators[decision.options[choice]]
                macs += cost.macs
                parameters += cost.parameters
                milliseconds += cost.latency_ms
        return Cost(macs, parameters, milliseconds)

    def sums(self) -> Iterator[Sum]:
        """The costs as sums over cells, one for each number of steps and channels."""
        space = self.space
        steps, cells, channels = self._inputs
        for t, row in enumerate(self._tables):
            for c, (fixed, operators) in enumerate(row):
                places = []
                for first in range(3, len(space.decisions), 3):
                    options = [decision.options for decision in space.decisions[first : first + 3]]
                    costs: dict[tuple[int, ...], Cost] = {}
                    for tokens in product(*options):
                        fed = tokens[0] != "none"
                        choice = tuple(
                            INACTIVE if i == 2 and not fed else options[i].index(token)
                            for i, token in enumerate(tokens)
                        )
                        total = self._cell(t, c)
                        for token in tokens if fed else tokens[:2]:
                            total = total + operators[token]
                        costs[choice] = total
                    places.append(Place((first, first + 1, first + 2), tuple(costs), costs))
                yield Sum({steps: t, channels: c}, fixed, (Chain(cells, space.cells, tuple(places)),))

    def cheapest(self) -> Cost:
        """Cost of the space's architecture with the fewest MACs."""
        costs = []
        for row in self._tables:
            for (fixed, operators), channels in zip(row, self.space.channels, strict=True):
                cells = min(self.space.cells)
                total = fixed + Cost(0, 2 * channels * cells)
                for decision in self.space.decisions[3 : 3 + 3 * cells]:
                    total = total + min((operators[token] for token in decision.options), key=_by_cost)
                costs.append(total)
        return min(costs, key=_by_cost)


def _by_cost(cost: Cost) -> tuple[int, int]:
    return cost.macs, cost.parameters
