"""Spatial-temporal operators on clips with time folded into the batch.

A clip batch is (N·T, C, H, W) in channels-last memory, that is N, T, H, W, C: a 2-D convolution sees frames, and a
temporal convolution sees the free view (N, C, T, H·W) with a (k, 1) kernel. Every operator is depth-wise and keeps C
and T; `stride` is spatial.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.space import KERNELS

SHIFT_FRACTION = 8
"""TSM (Lin et al. 2019) shifts 1/8 of the channels forward in time and 1/8 backward."""
NOISE = 0.3
"""Standard deviation of initial temporal kernels about the identity."""


def as_time_by_space(x: Tensor, frames: int) -> Tensor:
    """View (N·T, C, H, W), channels-last, as (N, C, T, H·W), channels-last."""
    nt, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(nt // frames, frames, h * w, c).permute(0, 3, 1, 2)


def temporal_convolution(x: Tensor, weight: Tensor, frames: int) -> Tensor:
    """Depth-wise convolution over time, zero-padded; weight (C, 1, k, 1)."""
    nt, c, h, w = x.shape
    y = F.conv2d(as_time_by_space(x, frames), weight, padding=(weight.shape[2] // 2, 0), groups=c)
    return y.permute(0, 2, 3, 1).reshape(nt, h, w, c).permute(0, 3, 1, 2)


def spatial_convolution(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Depth-wise convolution of each frame, zero-padded; weight (C, 1, k, k)."""
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=weight.shape[0])


def full_convolution(x: Tensor, weight: Tensor, frames: int, stride: int) -> Tensor:
    """Depth-wise 3-D convolution, zero-padded; weight (C, 1, 3, k, k).

    It is computed as the sum over temporal taps of spatial convolutions of the previous, current and next frame.
    """
    before, now, after = (spatial_convolution(x, weight[:, :, tap], stride) for tap in range(3))
    if _traced():
        return _traced_sum(before, now, after, frames)
    total: Tensor = _TemporalSum.apply(before, now, after, frames)  # type: ignore[no-untyped-call]
    return total


def _traced() -> bool:
    """Return True while `torch.jit.trace` records operations."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def _traced_sum(before: Tensor, now: Tensor, after: Tensor, frames: int) -> Tensor:
    """`_TemporalSum` from operations that `torch.jit.trace`, and thus ONNX export, can record."""
    ahead, behind = (x.unflatten(0, (-1, frames)) for x in (before, after))
    edge = torch.zeros_like(ahead[:, :1])
    total: Tensor = now.unflatten(0, (-1, frames)) + torch.cat([edge, ahead[:, :-1]], 1)
    total = total + torch.cat([behind[:, 1:], edge], 1)
    return total.flatten(0, 1)


class _TemporalSum(torch.autograd.Function):
    """Sum over time of three inputs: the first at the previous frame, the second at the current, the third at the next.

    The sum reuses the memory of the second. Autograd's in-place sums would copy the whole gradient for each input.
    """

    @staticmethod
    def forward(ctx: Any, before: Tensor, now: Tensor, after: Tensor, frames: int) -> Tensor:
        ctx.frames = frames
        ctx.mark_dirty(now)
        clips = now.unflatten(0, (-1, frames))
        clips[:, 1:] += before.unflatten(0, (-1, frames))[:, :-1]
        clips[:, :-1] += after.unflatten(0, (-1, frames))[:, 1:]
        return now

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        clips = gradient.unflatten(0, (-1, ctx.frames))
        before, after = torch.empty_like(clips), torch.empty_like(clips)
        before[:, :-1], before[:, -1] = clips[:, 1:], 0
        after[:, 1:], after[:, 0] = clips[:, :-1], 0
        return before.flatten(0, 1), gradient, after.flatten(0, 1), None


class _Shift(torch.autograd.Function):
    """Temporal shift: channels [0, fold) from the next frame, [fold, 2·fold) from the previous; zeros at the ends."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: int) -> Tensor:
        ctx.frames = frames
        return _shifted(x, frames, backward=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _shifted(gradient, ctx.frames, backward=True), None


def _shifted(x: Tensor, frames: int, backward: bool) -> Tensor:
    clips: Tensor = x.unflatten(0, (-1, frames))
    fold = max(x.shape[1] // SHIFT_FRACTION, 1)
    earlier, later = slice(0, fold), slice(fold, 2 * fold)
    if backward:  # the transpose of a shift is the opposite shift
        earlier, later = later, earlier
    out = clips.clone()
    out[:, :-1, earlier] = clips[:, 1:, earlier]
    out[:, -1, earlier] = 0
    out[:, 1:, later] = clips[:, :-1, later]
    out[:, 0, later] = 0
    return out.flatten(0, 1)


def temporal_shift(x: Tensor, frames: int) -> Tensor:
    """The temporal shift of TSM (Lin et al. 2019, bi-directional): no multiplications."""
    if _traced():
        return _traced_shift(x, frames)
    shifted: Tensor = _Shift.apply(x, frames)  # type: ignore[no-untyped-call]
    return shifted


def _traced_shift(x: Tensor, frames: int) -> Tensor:
    """`_Shift` from operations that `torch.jit.trace`, and thus ONNX export, can record."""
    channels = int(x.shape[1])
    fold = max(channels // SHIFT_FRACTION, 1)
    earlier, later, rest = x.unflatten(0, (-1, frames)).split([fold, fold, channels - 2 * fold], dim=2)
    earlier = torch.cat([earlier[:, 1:], torch.zeros_like(earlier[:, :1])], 1)
    later = torch.cat([torch.zeros_like(later[:, :1]), later[:, :-1]], 1)
    return torch.cat([earlier, later, rest], 2).flatten(0, 1)


def operate(token: str, x: Tensor, weights: Sequence[Tensor], frames: int, stride: int) -> Tensor:
    """Apply the depth-wise operator of a token: (N·T, C, H, W) → (N·T, C, H/stride, W/stride).

    ``tsm`` is a spatial convolution here, as the shift precedes the expansion, where there are fewer channels.

    Args:
        weights: kernels in the order of `KERNELS`, each (C, 1, *kernel).
    """
    if token == "st3":
        return full_convolution(x, weights[0], frames, stride)
    if token == "t5":
        pooled = F.avg_pool2d(x, stride, ceil_mode=True) if stride > 1 else x
        return temporal_convolution(pooled, weights[0], frames)
    y = spatial_convolution(x, weights[0], stride)
    return temporal_convolution(y, weights[1], frames) if token == "f3" else y


class Operator(nn.Module):
    """Depth-wise operator of one block, chosen by its token."""

    def __init__(self, token: str, channels: int, stride: int) -> None:
        super().__init__()
        self.token, self.stride = token, stride
        shapes = KERNELS[token]
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(channels, 1, *shape)) for shape in shapes)
        for weight in self.weights:
            nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="linear" if len(shapes) > 1 else "relu")

    @torch.no_grad()
    def begin_near_identity(self) -> None:
        """Redraw the temporal kernel near the identity, as in `ElasticOperators`; ``st3`` is then an outer product."""
        if self.token == "st3":
            channels, kernel = len(self.weights[0]), self.weights[0]
            spatial = torch.randn(channels, 1, 1, 3, 3) * math.sqrt(2 / 9)
            kernel.copy_(_near_identity(channels, 3)[..., None] * spatial)
        elif self.token in ("f3", "t5"):
            self.weights[-1].copy_(_near_identity(len(self.weights[-1]), self.weights[-1].shape[2]))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Apply the operator: (N·T, C, H, W) → (N·T, C, H/stride, W/stride)."""
        return operate(self.token, x, list(self.weights), frames, self.stride)


def _near_identity(channels: int, taps: int) -> Tensor:
    """Temporal kernels (channels, 1, taps, 1): one at the centre, and noise."""
    kernels = NOISE * torch.randn(channels, 1, taps, 1)
    kernels[:, :, taps // 2] += 1
    return kernels


class ElasticOperators(nn.Module):
    """All operators of a slot with shared kernels, for a supernet.

    Elastic kernels (Cai et al. 2020) in space and time: ``s3`` and ``tsm`` use the centre of the 5x5 kernel of ``s5``;
    ``f3`` uses this centre, then the centre of the 5-tap temporal kernel of ``t5``; ``st3`` uses the outer product of
    both plus a residual kernel. Initially the temporal kernel is near the identity and the residual kernel is zero, so
    all operators start nearly equal and diverge in training.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.spatial = nn.Parameter(torch.empty(channels, 1, 5, 5))
        self.temporal = nn.Parameter(torch.empty(channels, 1, 5, 1))
        self.full = nn.Parameter(torch.zeros(channels, 1, 3, 3, 3))
        with torch.no_grad():
            nn.init.normal_(self.spatial, std=0.3 * math.sqrt(2 / 25))
            nn.init.normal_(self.spatial[..., 1:4, 1:4], std=math.sqrt(2 / 9))
            nn.init.normal_(self.temporal, std=NOISE)
            self.temporal[:, :, 2] += 1

    def kernels(self, token: str, channels: int, first: int = 0) -> list[Tensor]:
        """Kernels of an operator on `channels` channels from `first` on, in the order of `KERNELS`."""
        own = slice(first, first + channels)
        spatial, temporal = self.spatial[own], self.temporal[own]
        centre, taps = spatial[..., 1:4, 1:4], temporal[:, :, 1:4]
        if token == "st3":
            return [taps[..., None] * centre[:, :, None] + self.full[own]]
        return {"s3": [centre], "s5": [spatial], "f3": [centre, taps], "t5": [temporal], "tsm": [centre]}[token]

    def forward(self, token: str, x: Tensor, frames: int, first: int = 0) -> Tensor:
        """Apply an operator to the channels from `first` on: (N·T, c, H, W) → (N·T, c, H/stride, W/stride)."""
        return operate(token, x, self.kernels(token, x.shape[1], first), frames, self.stride)
