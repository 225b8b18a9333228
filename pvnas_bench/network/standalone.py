"""The stand-alone network of one architecture."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.network.blocks import InvertedBottleneck, pointwise
from pvnas_bench.space import NetworkSpec

if TYPE_CHECKING:
    from pvnas_bench.video import ClipBatch

RGB = 3
DROPOUT = 0.1


class Stem(nn.Module):
    """A 3x3 convolution of stride 2 on each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(RGB, channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stem: (N·T, 3, S, S) → (N·T, C, S/2, S/2)."""
        return F.relu(self.norm(self.convolution(x)), inplace=True)


class Head(nn.Module):
    """Point-wise convolution, mean over time and space, dropout, linear classifier."""

    def __init__(self, cin: int, channels: int, classes: int) -> None:
        super().__init__()
        self.convolution = pointwise(cin, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(channels, classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Apply the head: (N·T, C, H, W) → logits (N, classes)."""
        y = F.relu(self.norm(self.convolution(x)), inplace=True)
        pooled = y.mean((2, 3)).unflatten(0, (-1, frames)).mean(1)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


class Classifier(nn.Module):
    """Base class of the stand-alone networks of all families."""

    def inputs(self, batch: "ClipBatch") -> Tensor:
        """Inputs of this network from a batch of clips: (N V, ...), on the CPU."""
        raise NotImplementedError

    def blank(self, device: torch.device | str = "cpu") -> Tensor:
        """One all-zero input, (1, ...)."""
        raise NotImplementedError


class Network(Classifier):
    """A clip classifier: (N, T, 3, S, S) → logits (N, classes)."""

    def __init__(self, spec: NetworkSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.stem = Stem(spec.stem)
        self.blocks = nn.ModuleList(InvertedBottleneck(block) for block in spec.blocks)
        self.head = Head(spec.blocks[-1].cout if spec.blocks else spec.stem, spec.head, classes)

    def forward(self, clips: Tensor) -> Tensor:
        frames = clips.shape[1]
        x = self.stem(clips.flatten(0, 1))
        for block in self.blocks:
            x = block(x, frames)
        logits: Tensor = self.head(x, frames)
        return logits

    def inputs(self, batch: "ClipBatch") -> Tensor:
        """Clips of `spec.frames` and `spec.size`, (N V, T, 3, S, S)."""
        return batch.clips(self.spec.frames, self.spec.size)

    def blank(self, device: torch.device | str = "cpu") -> Tensor:
        """One clip of zeros, (1, T, 3, S, S)."""
        t, size = self.spec.frames, self.spec.size
        return torch.zeros(1, t, size, size, RGB, device=device).permute(0, 1, 4, 2, 3)
