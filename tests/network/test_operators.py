"""The folded operators against torch's own 3-D convolutions, and the shift against its definition."""

import pytest
import torch
import torch.nn.functional as F

from pvnas_bench.network.operators import ElasticOperators, Operator, temporal_shift
from pvnas_bench.space import KERNELS, mixes_time

N, T, C, S = 2, 5, 16, 8


def folded(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The same clips as (N, C, T, H, W) for conv3d and folded, (N·T, C, H, W) channels-last."""
    video = torch.randn(N, T, S, S, C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return video.permute(0, 4, 1, 2, 3), video.flatten(0, 1).permute(0, 3, 1, 2)


def unfold(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(0, (N, T)).transpose(1, 2)


def reference(token: str, video: torch.Tensor, weights: list[torch.Tensor], stride: int) -> torch.Tensor:
    """Depth-wise Conv3d in its default layout."""
    if token in ("s3", "s5", "tsm", "f3"):
        k = weights[0].shape[-1]
        y = F.conv3d(video, weights[0][:, :, None], stride=(1, stride, stride), padding=(0, k // 2, k // 2), groups=C)
        return F.conv3d(y, weights[1][..., None], padding=(1, 0, 0), groups=C) if token == "f3" else y
    if token == "st3":
        return F.conv3d(video, weights[0], stride=(1, stride, stride), padding=1, groups=C)
    pooled = F.avg_pool3d(video, (1, stride, stride))
    return F.conv3d(pooled, weights[0][..., None], padding=(2, 0, 0), groups=C)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("token", sorted(KERNELS))
def test_operator_equals_conv3d_forward_and_backward(token: str, stride: int) -> None:
    video, frames = folded()
    frames.requires_grad_(True)
    plain = video.clone().requires_grad_(True)
    operator = Operator(token, C, stride).double()
    weights = [weight.detach().clone().requires_grad_(True) for weight in operator.weights]
    out, expected = operator(frames, T), reference(token, plain, weights, stride)
    torch.testing.assert_close(unfold(out), expected, rtol=1e-10, atol=1e-10)
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(unfold(frames.grad), plain.grad, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(operator.weights, weights, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("token", sorted(KERNELS))
def test_an_operator_that_mixes_time_sees_other_frames(token: str) -> None:
    operator, (video, frames) = Operator(token, C, 1).double(), folded()
    other = video.clone()
    other[:, :, 0] += 1
    both = frames, other.transpose(1, 2).flatten(0, 1)
    one, two = (operator(temporal_shift(x, T) if token == "tsm" else x, T) for x in both)  # the block shifts
    changed = two - one
    assert mixes_time(token) == bool(unfold(changed)[:, :, 1:].abs().max() > 1e-9)
    assert not mixes_time("skip")


@pytest.mark.parametrize("token", sorted(KERNELS))
def test_operator_keeps_channels_last_memory(token: str) -> None:
    _, frames = folded()
    out = Operator(token, C, 1).double()(frames, T)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("token", sorted(KERNELS))
def test_elastic_operators_equal_conv3d_on_their_kernels_and_slice_by_channels(token: str, stride: int) -> None:
    video, frames = folded()
    elastic = ElasticOperators(C, stride).double()
    elastic.full.data.normal_(generator=torch.Generator().manual_seed(0))
    out = elastic(token, frames, T)
    expected = reference(token, video, elastic.kernels(token, C), stride)
    torch.testing.assert_close(unfold(out), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(elastic(token, frames[:, :4], T), out[:, :4])


def test_elastic_operators_start_near_each_other() -> None:
    elastic = ElasticOperators(512, 1)
    full = elastic.kernels("st3", 512)[0]
    spatial, temporal = elastic.kernels("f3", 512)
    torch.testing.assert_close(full, temporal[..., None] * spatial[:, :, None])
    assert (temporal[:, 0, :, 0].mean(0) - torch.tensor([0.0, 1.0, 0.0])).abs().max() < 0.1


def test_shift_moves_an_eighth_each_way() -> None:
    _, frames = folded()
    video, shifted = unfold(frames), unfold(temporal_shift(frames, T))
    zeros = torch.zeros_like(video[:, :2, :1])
    torch.testing.assert_close(shifted[:, :2], torch.cat([video[:, :2, 1:], zeros], dim=2))
    torch.testing.assert_close(shifted[:, 2:4], torch.cat([zeros, video[:, 2:4, :-1]], dim=2))
    torch.testing.assert_close(shifted[:, 4:], video[:, 4:])


def test_shift_gradient() -> None:
    x = torch.randn(2 * 3, 16, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda t: temporal_shift(t, 3), (x.requires_grad_(True),))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("operator", list(KERNELS))
@pytest.mark.parametrize("channels", [2, 16])
def test_a_trace_computes_the_same_as_the_operator(operator: str, channels: int) -> None:
    """`torch.jit.trace`, used by ONNX export, does not support our autograd functions; also for other batch sizes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Operator(operator, channels, stride=1).eval()
        example, other = (torch.randn(n * 4, channels, 6, 6) for n in (2, 3))

    class Alone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(temporal_shift(x, 4) if operator == "tsm" else x, 4)

    with torch.no_grad():
        traced = torch.jit.trace(Alone(), example)
        torch.testing.assert_close(traced(other), Alone()(other), rtol=0, atol=0)
