"""Specifications from which networks are built."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One inverted bottleneck: channels in and out, spatial stride, depth-wise operator, expansion, SE."""

    name: str
    cin: int
    cout: int
    stride: int
    operator: str
    expansion: int
    se: bool

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.cin == self.cout


@dataclass(frozen=True)
class NetworkSpec:
    """Specification of a stand-alone network, except for the number of classes."""

    frames: int
    size: int
    stem: int
    """Channels after the stem, a 1x3x3 convolution of stride 2 over RGB."""
    blocks: tuple[Block, ...]
    head: int
    """Channels of the point-wise convolution before global average pooling."""


@dataclass(frozen=True)
class Backbone:
    """A 2-D network, trained once and frozen.

    Attributes:
        network: the 2-D network, trained as a clip classifier on `network.frames` frames.
        grid: number of fields per axis over which the last feature map is averaged.

    Raises:
        ValueError: the grid does not divide the feature map evenly.
    """

    network: NetworkSpec
    grid: int

    def __post_init__(self) -> None:
        size = math.ceil(self.network.size / 2)
        for block in self.network.blocks:
            size = math.ceil(size / block.stride)
        if size % self.grid:
            raise ValueError(f"a grid of {self.grid} does not divide the feature map of {size} x {size}")

    @property
    def features(self) -> int:
        """Number of features per frame: channels of the last block times number of fields."""
        return self.network.blocks[-1].cout * self.grid**2
