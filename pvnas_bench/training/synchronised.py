"""Forward passes over a batch split across processes, with the results of a single process.

Outputs (the logits) are gathered, and the gradients of inputs (weights, and the tensors of a plan) are summed over
processes, so every process computes the loss and the gradients of the whole batch. Batch-norm and dropout, the only
layers that do not treat clips separately, are replaced while the network runs.

`DistributedDataParallel` does not fit: its buckets wait for gradients that a sampled path does not have, and it ignores
architecture parameters. Here a weight off the path gets no gradient, as in one process, and all gradients are reduced
together at the end of the backward pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pvnas_bench.training.distributed import summed

if TYPE_CHECKING:
    from pvnas_bench.video import ClipBatch


@dataclass(frozen=True)
class Part:
    """The clips of a batch that this process computes: start … stop - 1 of `clips`."""

    start: int
    stop: int
    clips: int

    @classmethod
    def of(cls, batch: "ClipBatch") -> "Part":
        """Part of a batch from `World.share`; the whole batch if it is not split."""
        clips = range(len(batch))[batch.part or slice(None)]
        return cls(clips.start, clips.stop, len(batch))

    def rows(self, tensor: Tensor) -> tuple[int, int, int]:
        """First row, end row and total number of rows over all processes, for a tensor of this process's clips."""
        each = len(tensor) // (self.stop - self.start)
        return each * self.start, each * self.stop, each * self.clips


def forward(network: nn.Module, part: Part, inputs: Tensor, *more: Any, weights: Mapping[str, Tensor]) -> Tensor:
    """Logits (N, classes) of a whole batch.

    Args:
        inputs: inputs of this process's part of the clips.
        more: further arguments of the network, such as a plan.
        weights: weights of the network, by name.

    Raises:
        RankLost: a process has ended.
    """
    if torch.is_grad_enabled():
        leaves = {id(tensor): tensor for tensor in [*weights.values(), *_tensors(more)] if tensor.requires_grad}
        if leaves:
            entered = dict(zip(leaves, _Enter.apply(*leaves.values()), strict=True))  # type: ignore[no-untyped-call]
            weights = {name: entered.get(id(tensor), tensor) for name, tensor in weights.items()}
            more = _mapped(more, lambda tensor: entered.get(id(tensor), tensor))
    with Synchronised(part):
        logits: Tensor = torch.func.functional_call(network, dict(weights), (inputs, *more))
    gathered: Tensor = _Gather.apply(logits, *part.rows(logits))  # type: ignore[no-untyped-call]
    return gathered


class Synchronised(TorchFunctionMode):
    """Context that replaces batch-norm in training and dropout: statistics and masks cover all processes' clips."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self._part = part

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is F.batch_norm:
            function = self._batch_norm
        elif function is F.dropout:
            function = self._dropout
        return function(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        count = self._part.rows(x)[2] * x[0, 0].numel()
        normed: Tensor = _BatchNorm.apply(  # type: ignore[no-untyped-call]
            x, weight, bias, running_mean, running_var, momentum, eps, count
        )
        return normed

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training:
            return x
        start, stop, rows = self._part.rows(x)
        mask = F.dropout(x.new_ones((rows, *x.shape[1:])), p)
        return x.mul_(mask[start:stop]) if inplace else x * mask[start:stop]


class _Enter(torch.autograd.Function):
    """Identity on tensors that are equal in all processes; the backward pass sums their gradients over processes."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        present = [gradient for gradient in gradients if gradient is not None]
        flat = summed(torch.cat([gradient.reshape(-1) for gradient in present]))
        pieces = iter(flat.split([gradient.numel() for gradient in present]))
        return tuple(None if g is None else next(pieces).view(g.shape).to(g.dtype) for g in gradients)


class _Gather(torch.autograd.Function):
    """Gathers the rows of all processes; in the backward pass, each process takes its rows of the common gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: int, stop: int, rows: int) -> Tensor:
        ctx.rows = slice(start, stop)
        whole = x.new_zeros((rows, *x.shape[1:]))
        whole[start:stop] = x
        return summed(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return gradient[ctx.rows], None, None, None


class _BatchNorm(torch.autograd.Function):
    """Batch-norm of (rows, C, ...) over the rows of all processes; `nn.SyncBatchNorm` supports only GPUs."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
        count: int,
    ) -> Tensor:
        """Sum the moments in double precision, in which E[x²] - E[x]² stays accurate.

        PyTorch's batch-norm computes this process's moments, on channels-last memory ten times as fast as `var_mean`.
        """
        _, *moments = torch.native_batch_norm(x, None, None, None, None, True, 0.0, 0.0)
        own_mean, own_inverse = (moment.double() for moment in moments)
        own_var = torch.where(own_inverse > 0, own_inverse.square().reciprocal(), 0.0)  # the inverse of 0 is 0 there
        size = x.numel() // x.shape[1]
        first, second = summed(torch.stack([own_mean, own_var + own_mean.square()]) * size) / count
        mean, var = first.to(x.dtype), (second - first.square()).clamp_min(0).to(x.dtype)
        if running_mean is not None and running_var is not None:
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            running_var.mul_(1 - momentum).add_(var, alpha=momentum * count / max(count - 1, 1))
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.count, ctx.biased = count, bias is not None
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """dx = γ/σ · (dy - mean(dy) - x̂ · mean(dy · x̂)), the means over all processes' rows (Ioffe & Szegedy 2015)."""
        x, weight, mean, inverse = ctx.saved_tensors
        _, scale, shift = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, inverse, True, 0.0, [False, True, True]
        )  # Σ dy · x̂ and Σ dy of this process
        of_all = summed(torch.stack([scale, shift])) / ctx.count
        factor = inverse if weight is None else inverse * weight
        by_x = -of_all[0] * inverse * factor
        constant = -of_all[1] * factor - by_x * mean
        shape = (-1, *[1] * (x.ndim - 2))
        dx = torch.addcmul(constant.view(shape), x, by_x.view(shape)).addcmul_(gradient, factor.view(shape))
        return dx, None if weight is None else scale, shift if ctx.biased else None, None, None, None, None, None


def _tensors(value: Any) -> Iterator[Tensor]:
    """Iterate over the tensors in nested tuples, lists and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))


def _mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to the tensors in nested tuples, lists and dataclasses."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, function) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _mapped(getattr(value, f.name), function) for f in fields(value)})
    return value
