"""The frozen 2-D backbone that computes features of frames."""

import torch
from torch import Tensor, nn

from pvnas_bench.network.cost import RGB, Cost, Layer, network_layers
from pvnas_bench.network.standalone import Network
from pvnas_bench.space import Backbone


class FrozenBackbone(nn.Module):
    """Stem and blocks of a trained network, without gradients and always in evaluation mode.

    Its last feature map, (C, H, W), is averaged over grid x grid fields, so that features retain coarse positions.
    """

    def __init__(self, network: Network, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.stem, self.blocks = network.stem, network.blocks
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "FrozenBackbone":
        """Stay in evaluation mode: batch-norm statistics are frozen with the weights."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Compute features: (N, 3, S, S) normalised frames → (N, C · grid²)."""
        x = self.stem(frames)
        for block in self.blocks:
            x = block(x, 1)
        fields: Tensor = x.unflatten(3, (self.grid, -1)).unflatten(2, (self.grid, -1)).mean((3, 5))
        return fields.flatten(1)


def frame_cost(backbone: Backbone) -> Cost:
    """MACs per frame and parameters of the backbone, without its training head."""
    layers = list(network_layers(backbone.network, classes=1))[:-1]
    frames = backbone.network.frames
    return Cost(sum(layer.macs for layer in layers) // frames, sum(layer.parameters for layer in layers))


def backbone_layer(backbone: Backbone, frames: int) -> Layer:
    """One row of a network's layer table for the backbone on `frames` frames."""
    cost, size = frame_cost(backbone), backbone.network.size
    shapes = (frames, size, size, RGB), (frames, backbone.grid, backbone.grid, backbone.features // backbone.grid**2)
    return Layer("backbone", "2-D network, frozen", *shapes, frames * cost.macs, cost.parameters)
