"""The inverted bottleneck and its squeeze-excitation, on folded clips (see `operators`)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.network.operators import Operator, temporal_shift
from pvnas_bench.space import Block, hidden_channels


def pointwise(cin: int, cout: int) -> nn.Conv2d:
    """A 1x1 convolution without bias, initialised for the ReLU that follows (He et al. 2015)."""
    convolution = nn.Conv2d(cin, cout, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


class _SpatialMean(torch.autograd.Function):
    """Mean over space, (NT, c, H, W) → (NT, c); its gradient is a view, autograd's a tensor of the input's size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        mean: Tensor = x.mean((2, 3))
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        height, width = ctx.shape[2:]
        spread: Tensor = (gradient / (height * width))[:, :, None, None].expand(ctx.shape)
        return spread


class SqueezeExcitation(nn.Module):
    """Channel attention pooled over time and space (Hu et al. 2018); `channels` may be a slice at run time."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def scale(self, x: Tensor, frames: int) -> Tensor:
        """Factor of each clip and channel: (N·T, c, H, W) → (N·T, c, 1, 1)."""
        c = x.shape[1]
        per_frame: Tensor = _SpatialMean.apply(x)  # type: ignore[no-untyped-call]
        pooled = per_frame.unflatten(0, (-1, frames)).mean(1)  # (N, c)
        hidden = F.relu(F.linear(pooled, self.squeeze.weight[:, :c], self.squeeze.bias))
        factor = torch.sigmoid(F.linear(hidden, self.excite.weight[:c], self.excite.bias[:c]))
        return factor.repeat_interleave(frames, 0)[:, :, None, None]

    def forward(self, x: Tensor, frames: int) -> Tensor:
        return x * self.scale(x, frames)


class InvertedBottleneck(nn.Module):
    """Inverted bottleneck: expand → operator → squeeze-excitation → project, with a residual if shapes allow."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        channels = block.cin * block.expansion
        self.expand = pointwise(block.cin, channels)
        self.expand_norm = nn.BatchNorm2d(channels)
        self.operator = Operator(block.operator, channels, block.stride)
        self.operator_norm = nn.BatchNorm2d(channels)
        self.attention = SqueezeExcitation(channels, hidden_channels(block.cin)) if block.se else None
        self.project = pointwise(channels, block.cout)
        self.project_norm = nn.BatchNorm2d(block.cout)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Apply the block: (N·T, cin, H, W) → (N·T, cout, H/stride, W/stride)."""
        y = temporal_shift(x, frames) if self.block.operator == "tsm" else x
        y = F.relu(self.expand_norm(self.expand(y)), inplace=True)
        y = F.relu(self.operator_norm(self.operator(y, frames)), inplace=True)
        if self.attention is not None:
            y = self.attention(y, frames)
        y = self.project_norm(self.project(y))
        out: Tensor = x + y if self.block.residual else y
        return out
