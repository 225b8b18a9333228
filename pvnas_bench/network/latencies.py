"""Latency tables: milliseconds of each candidate layer on one machine; a network's latency is their sum.

A layer that runs again and again by itself is faster than the same layer among others, whose code and weights displace
its own from the processor's caches. A line fitted on networks corrects that; the sum stays a sum over layers.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pvnas_bench.space import Block


def stem_key(channels: int, frames: int, size: int) -> str:
    """Name of a stem's row: on clips of `frames` x `size` x `size`."""
    return f"{frames}x{size} stem {channels}"


def block_key(block: Block, frames: int, size: int) -> str:
    """Name of a block's row: on maps of `frames` x `size` x `size`."""
    shape = f"{block.cin}>{block.cout}/{block.stride}"
    return f"{frames}x{size} {shape} {block.operator} e{block.expansion}{' se' if block.se else ''}"


def head_key(cin: int, channels: int, classes: int, frames: int, size: int) -> str:
    """Name of a head's row: on maps of `frames` x `size` x `size`."""
    return f"{frames}x{size} head {cin}>{channels}>{classes}"


def projection_key(features: int, channels: int, steps: int) -> str:
    """Name of the row of a temporal network's projection."""
    return f"{steps} projection {features}>{channels}"


def operator_key(token: str, channels: int, steps: int) -> str:
    """Name of the row of a cell's operator."""
    return f"{steps} {token} {channels}"


def classifier_key(channels: int, classes: int, steps: int) -> str:
    """Name of the row of a temporal network's pooling and classifier."""
    return f"{steps} classifier {channels}>{classes}"


def cell_key(channels: int, steps: int) -> str:
    """Name of the row of what every cell does besides its operators."""
    return f"{steps} cell {channels}"


@dataclass(frozen=True)
class LatencyTable:
    """Latency of each layer of a space's networks, and the line from their sum to a network's latency.

    Attributes:
        milliseconds: by layer, measured alone.
        overhead_ms, layer_ms, scale: a network's latency is overhead + the sum over its layers of (layer + scale x
            milliseconds), fitted on networks; not negative.
    """

    milliseconds: Mapping[str, float]
    overhead_ms: float = 0.0
    layer_ms: float = 0.0
    scale: float = 1.0

    def of(self, layer: str) -> float:
        """A layer's share of a network's latency, in milliseconds.

        Raises:
            KeyError: the layer was not measured.
        """
        return self.layer_ms + self.scale * self.milliseconds[layer]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that predictions depend on."""
        content = json.dumps([sorted(self.milliseconds.items()), self.overhead_ms, self.layer_ms, self.scale])
        return hashlib.sha256(content.encode()).hexdigest()[:12]
