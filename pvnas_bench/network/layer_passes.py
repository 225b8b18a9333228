"""The layers of a space's networks as timed forward passes, for a latency table."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pvnas_bench.network.blocks import InvertedBottleneck, pointwise
from pvnas_bench.network.cost import candidates
from pvnas_bench.network.latencies import (
    block_key,
    cell_key,
    classifier_key,
    head_key,
    operator_key,
    projection_key,
    stem_key,
)
from pvnas_bench.network.standalone import RGB, Head, Stem
from pvnas_bench.network.temporal_cell import cell_operator
from pvnas_bench.space import TEMPORAL_KERNELS, BlockSpace, CellSpace

FILLING = 0.01
"""Value of every weight and statistic: initialisation takes longer than the passes, and zeros may be special."""


@dataclass(frozen=True)
class LayerPass:
    """A layer, and the shape of its input in memory order.

    Attributes:
        module: builds the layer.
        shape: (N·T, H, W, C); the layer sees (N·T, C, H, W) in channels-last memory.
        frames: frames of the clip, the layer's second argument; None: it has one argument.
    """

    module: Callable[[], nn.Module]
    shape: tuple[int, int, int, int]
    frames: int | None = None

    def on(self, device: torch.device) -> Callable[[], Tensor]:
        """Build the layer in evaluation mode; return its forward pass on one clip."""
        with torch.device("meta"):
            module = self.module()
        module = module.to_empty(device=device).eval()
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.fill_(FILLING)
        x = torch.ones(self.shape, device=device).permute(0, 3, 1, 2)

        def run() -> Tensor:
            out: Tensor = module(x) if self.frames is None else module(x, self.frames)
            return out

        return run


def block_layers(space: BlockSpace, classes: int) -> dict[str, LayerPass]:
    """Stem, head and every candidate block at every input, by name in a latency table."""
    layers: dict[str, LayerPass] = {}
    for frames in space.frames:
        for size in space.sizes:
            layers[stem_key(space.stem, frames, size)] = LayerPass(lambda: Stem(space.stem), (frames, size, size, RGB))
            side = math.ceil(size / 2)
            for slot in space.slots:
                for _, block in candidates(space, slot):
                    if block is not None and (key := block_key(block, frames, side)) not in layers:
                        shape = (frames, side, side, block.cin)
                        layers[key] = LayerPass(lambda block=block: InvertedBottleneck(block), shape, frames)  # type: ignore[misc]
                side = math.ceil(side / slot.stride)
            end = space.stages[-1].channels, space.head, classes
            layers[head_key(*end, frames, side)] = LayerPass(
                lambda end=end: Head(*end),  # type: ignore[misc]
                (frames, side, side, end[0]),
                frames,
            )
    return layers


class Projection(nn.Module):
    """The first layers of a temporal network."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.projection, self.norm = pointwise(features, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T, 1) → (N, C, T, 1)."""
        out: Tensor = self.norm(self.projection(x))
        return out


class Classification(nn.Module):
    """The last layers of a temporal network."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, 1) → logits (N, classes)."""
        logits: Tensor = self.classifier(torch.relu(x).mean((2, 3)))
        return logits


class CellSum(nn.Module):
    """A cell besides its operators: two additions and a batch-norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, 1) → (N, C, T, 1)."""
        out: Tensor = self.norm(x + x + x)
        return out


def cell_layers(space: CellSpace, classes: int) -> dict[str, LayerPass]:
    """Every layer and operator at every number of steps and channels, by name in a latency table."""
    layers: dict[str, LayerPass] = {}
    features = space.backbone.features
    tokens = {token for decision in space.decisions[3:] for token in decision.options} - {"skip", "none"}
    for steps in space.steps:
        for channels in space.channels:
            shape = (1, steps, 1, channels)
            layers[projection_key(features, channels, steps)] = LayerPass(
                lambda channels=channels: Projection(features, channels),  # type: ignore[misc]
                (1, steps, 1, features),
            )
            layers[classifier_key(channels, classes, steps)] = LayerPass(
                lambda channels=channels: Classification(channels, classes),  # type: ignore[misc]
                shape,
            )
            layers[cell_key(channels, steps)] = LayerPass(lambda channels=channels: CellSum(channels), shape)  # type: ignore[misc]
            for token in sorted(tokens, key=lambda token: (token not in TEMPORAL_KERNELS, token)):
                layers[operator_key(token, channels, steps)] = LayerPass(
                    lambda token=token, channels=channels: cell_operator(token, channels),  # type: ignore[misc]
                    shape,
                )
    return layers
