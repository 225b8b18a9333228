"""Exact cost model: MACs and parameters of any architecture from a table of its candidates.

A MAC is one multiply-accumulate of a convolution or linear layer (torch's FlopCounterMode counts two). Padding counts
like data; batch-norm, activations, pooling, shifts and additions count zero.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pvnas_bench.network.latencies import LatencyTable, block_key, head_key, stem_key
from pvnas_bench.network.sums import Chain, Place, Sum
from pvnas_bench.space import INACTIVE, KERNELS, Architecture, Block, BlockSpace, NetworkSpec, Slot, hidden_channels

RGB, STEM_TAPS = 3, 9
LATEST = 4096
"""Costs cached per model, as a search requests the same architecture repeatedly."""


@dataclass(frozen=True)
class Cost:
    """MACs and predicted milliseconds of one clip's forward pass, and trainable parameters.

    The latency is 0 in a cost model without a latency table.
    """

    macs: int
    parameters: int
    latency_ms: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.macs + other.macs, self.parameters + other.parameters, self.latency_ms + other.latency_ms)


@dataclass(frozen=True)
class Layer:
    """One row of a network's layer table; shapes are (frames, height, width, channels)."""

    name: str
    operator: str
    shape_in: tuple[int, int, int, int]
    shape_out: tuple[int, int, int, int]
    macs: int
    parameters: int


def stem_cost(channels: int, frames: int, size: int) -> Cost:
    """Cost of a 3x3 convolution of stride 2 on RGB frames of size x size pixels, and its batch-norm."""
    weights = RGB * STEM_TAPS * channels
    return Cost(weights * frames * math.ceil(size / 2) ** 2, weights + 2 * channels)


def block_cost(block: Block, frames: int, size: int) -> Cost:
    """Cost of an inverted bottleneck on feature maps of size x size."""
    channels = block.cin * block.expansion
    hidden = hidden_channels(block.cin)
    area_in, area_out = size**2, math.ceil(size / block.stride) ** 2
    taps = sum(math.prod(kernel) for kernel in KERNELS[block.operator])
    expand, project, squeeze = block.cin * channels, channels * block.cout, 2 * channels * hidden if block.se else 0
    macs = frames * (expand * area_in + (taps * channels + project) * area_out) + squeeze
    biases = channels + hidden if block.se else 0
    return Cost(macs, expand + taps * channels + project + squeeze + biases + 4 * channels + 2 * block.cout)


def head_cost(cin: int, channels: int, classes: int, frames: int, size: int) -> Cost:
    """Cost of the point-wise convolution with its batch-norm, and of the classifier with its bias."""
    weights = cin * channels
    macs = weights * frames * size**2 + channels * classes
    return Cost(macs, weights + 2 * channels + channels * classes + classes)


def network_layers(spec: NetworkSpec, classes: int) -> Iterator[Layer]:
    """Layers of the network, from input to logits."""
    t, size = spec.frames, math.ceil(spec.size / 2)
    shape = (t, size, size, spec.stem)
    cost = stem_cost(spec.stem, t, spec.size)
    yield Layer("stem", "conv 1x3x3", (t, spec.size, spec.size, RGB), shape, cost.macs, cost.parameters)
    for block in spec.blocks:
        cost = block_cost(block, t, size)
        size = math.ceil(size / block.stride)
        out = (t, size, size, block.cout)
        label = f"{block.operator} e{block.expansion}{' se' if block.se else ''}"
        yield Layer(block.name, label, shape, out, cost.macs, cost.parameters)
        shape = out
    cost = head_cost(shape[3], spec.head, classes, t, size)
    yield Layer("head", "conv 1x1, pool, linear", shape, (1, 1, 1, classes), cost.macs, cost.parameters)


def network_cost(spec: NetworkSpec, classes: int) -> Cost:
    """Cost of a network: the sum over its layers."""
    layers = list(network_layers(spec, classes))
    return Cost(sum(layer.macs for layer in layers), sum(layer.parameters for layer in layers))


Candidate = tuple[int, int, int]
"""Option indices of a slot's operator, expansion and squeeze-excitation; INACTIVE: the decision does not exist."""


def candidates(space: BlockSpace, slot: Slot) -> Iterator[tuple[Candidate, Block | None]]:
    """Every candidate of a slot with its block; None: no block (skip, or the stage is shallower)."""
    yield (INACTIVE, INACTIVE, INACTIVE), None
    for o, operator in enumerate(slot.operators):
        if operator == "skip":
            yield (o, INACTIVE, INACTIVE), None
            continue
        for e, expansion in enumerate(space.expansions):
            for a, se in enumerate(space.se):
                yield (o, e, a), slot.block(operator, f"e{expansion}", se)


@dataclass(frozen=True)
class InputTable:
    """Costs for one (frames, size): of stem plus head, and of each slot's candidates."""

    fixed: Cost
    slots: tuple[dict[Candidate, Cost], ...]


class CostModel:
    """Costs of a block space's architectures by look-up: a query is a sum over the slots.

    `tables[f][s]` holds the costs for the space's f-th number of frames and s-th size.

    Attributes:
        latencies: latency table of the machine whose latency is predicted; None: latencies are 0.
    """

    def __init__(self, space: BlockSpace, classes: int, latencies: LatencyTable | None = None) -> None:
        self.space, self.classes, self.latencies = space, classes, latencies
        self.tables = [[self._table(frames, size) for size in space.sizes] for frames in space.frames]
        self._members = [tuple(space.groups[slot.name]) for slot in space.slots]
        self._flat = [
            [(t.fixed, [{c: (k.macs, k.parameters) for c, k in slot.items()} for slot in t.slots]) for t in row]
            for row in self.tables
        ]
        self._known = lru_cache(maxsize=LATEST)(self._sum if latencies is None else self._sum_with_latency)

    def _table(self, frames: int, size: int) -> InputTable:
        space = self.space
        stem = self._timed(stem_cost(space.stem, frames, size), stem_key(space.stem, frames, size))
        size = math.ceil(size / 2)
        slots = []
        for slot in space.slots:
            slots.append(
                {
                    choice: Cost(0, 0)
                    if block is None
                    else self._timed(block_cost(block, frames, size), block_key(block, frames, size))
                    for choice, block in candidates(space, slot)
                }
            )
            size = math.ceil(size / slot.stride)
        end = space.stages[-1].channels, space.head, self.classes, frames, size
        fixed = stem + self._timed(head_cost(*end), head_key(*end))
        if self.latencies is not None:
            fixed = fixed + Cost(0, 0, self.latencies.overhead_ms)
        return InputTable(fixed, tuple(slots))

    def _timed(self, cost: Cost, layer: str) -> Cost:
        return cost if self.latencies is None else cost + Cost(0, 0, self.latencies.of(layer))

    def __call__(self, architecture: Architecture) -> Cost:
        """The exact cost of an architecture of this space."""
        return self._known(architecture.choices)

    def _sum(self, choices: tuple[int, ...]) -> Cost:
        fixed, slots = self._flat[choices[0]][choices[1]]
        macs, parameters = fixed.macs, fixed.parameters
        for table, (operator, expansion, se) in zip(slots, self._members, strict=True):
            block = table[choices[operator], choices[expansion], choices[se]]
            macs += block[0]
            parameters += block[1]
        return Cost(macs, parameters)

    def _sum_with_latency(self, choices: tuple[int, ...]) -> Cost:
        table = self.tables[choices[0]][choices[1]]
        total = table.fixed
        for slot, (operator, expansion, se) in zip(table.slots, self._members, strict=True):
            total = total + slot[choices[operator], choices[expansion], choices[se]]
        return total

    def sums(self) -> Iterator[Sum]:
        """The costs as sums over slots, one for each (frames, size), in the order of `tables`."""
        space = self.space
        frames, size = space.position("frames"), space.position("size")
        for f, row in enumerate(self.tables):
            for s, table in enumerate(row):
                places = [
                    Place(members, tuple(c for c in slot if c[0] != INACTIVE), slot)
                    for members, slot in zip(self._members, table.slots, strict=True)
                ]
                chains = []
                for number, stage in enumerate(space.stages, 1):
                    own = tuple(p for p, slot in zip(places, space.slots, strict=True) if slot.stage == number)
                    chains.append(Chain(space.position(f"depth.{number}"), stage.depths, own))
                yield Sum({frames: f, size: s}, table.fixed, tuple(chains))

    def cheapest(self) -> Cost:
        """Cost of the space's architecture with the fewest MACs."""
        return min((self._cheapest(table) for row in self.tables for table in row), key=lambda cost: cost.macs)

    def _cheapest(self, table: InputTable) -> Cost:
        total = table.fixed
        for slot, costs in zip(self.space.slots, table.slots, strict=True):
            if slot.index <= min(self.space.stages[slot.stage - 1].depths):
                real = (cost for choice, cost in costs.items() if choice[0] != INACTIVE)
                total = total + min(real, key=lambda cost: cost.macs)
        return total
