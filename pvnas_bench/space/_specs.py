"""Specifications of networks for their construction."""

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
    """Specification of a stand-alone network: everything but the number of classes."""

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
        network: trained as a clip classifier with `network.frames` frames; its blocks see single frames.
        grid: the last feature map is averaged over grid x grid fields of equal size.

    Raises:
        ValueError: the grid does not divide the feature map.
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
        """Values per frame: channels of the last block times fields."""
        return self.network.blocks[-1].cout * self.grid**2
