"""AdamW and SGD that leave unused entries of a parameter as they are.

A supernet's candidates are slices of shared tensors. The gradient of a path is exactly zero in the entries that the
path does not use, where separate tensors would have no gradient at all. Plain optimisers move such entries: momentum
goes on, and weights decay. A lazy optimiser treats an entry of gradient zero as one without a gradient: neither the
entry nor its state changes. The authors of SPOS and BN-NAS do the same for whole tensors ("fix a bug of pytorch").
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

Groups = Iterable[nn.Parameter] | Iterable[dict[str, Any]]


class _Lazy(torch.optim.Optimizer):
    """An optimiser whose states are tensors of the parameter's shape, initially zero.

    Attributes:
        names: names of the states.
    """

    names: tuple[str, ...]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the entries whose gradient is not zero; return the closure's result."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                gradients = [parameter.grad for parameter in parameters]
                used = [gradient.ne(0).to(gradient.dtype) for gradient in gradients]
                self._update(group, parameters, gradients, used, *self._states(parameters))
        return result

    def _states(self, parameters: list[Tensor]) -> Iterator[list[Tensor]]:
        for name in self.names:
            yield [self.state[p].setdefault(name, torch.zeros_like(p)) for p in parameters]

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        gradients: list[Tensor],
        used: list[Tensor],
        *states: list[Tensor],
    ) -> None:
        """Update parameters and states in place where `used` is 1; it is 0 elsewhere."""
        raise NotImplementedError


class LazyAdamW(_Lazy):
    """AdamW (Loshchilov & Hutter 2019) in which each entry counts only the steps that use it.

    An entry moves as under `torch.optim.AdamW` if its unused steps had not been taken; the bias correction too counts
    the entry's own steps.
    """

    names = ("exp_avg", "exp_avg_sq", "uses")

    def __init__(
        self,
        parameters: Groups,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        gradients: list[Tensor],
        used: list[Tensor],
        *states: list[Tensor],
    ) -> None:
        (mean, square, uses), (beta1, beta2), rate = states, group["betas"], group["lr"]
        torch._foreach_add_(uses, used)
        for moment, value, beta in (
            (mean, gradients, beta1),
            (square, torch._foreach_mul(gradients, gradients), beta2),
        ):
            change = torch._foreach_sub(value, moment)
            torch._foreach_mul_(change, used)
            torch._foreach_add_(moment, change, alpha=1 - beta)
        denominator = torch._foreach_div(square, _correction(uses, beta2))
        torch._foreach_sqrt_(denominator)
        torch._foreach_add_(denominator, group["eps"])
        torch._foreach_mul_(denominator, _correction(uses, beta1))
        if group["weight_decay"]:
            kept = torch._foreach_mul(used, -rate * group["weight_decay"])
            torch._foreach_add_(kept, 1.0)
            torch._foreach_mul_(parameters, kept)
        step = torch._foreach_mul(mean, used)
        torch._foreach_addcdiv_(parameters, step, denominator, value=-rate)


def _correction(uses: list[Tensor], beta: float) -> tuple[Tensor, ...]:
    """1 - β^n, accurate for small n, and positive where n = 0."""
    powers = torch._foreach_clamp_min(uses, 1.0)
    torch._foreach_mul_(powers, math.log(beta) if beta > 0 else -math.inf)
    torch._foreach_expm1_(powers)
    torch._foreach_neg_(powers)
    return tuple(powers)


class LazySGD(_Lazy):
    """SGD with momentum and coupled weight decay, as `torch.optim.SGD`, for the steps that use an entry."""

    names = ("momentum_buffer",)

    def __init__(self, parameters: Groups, lr: float, weight_decay: float = 0.0, momentum: float = 0.9) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        gradients: list[Tensor],
        used: list[Tensor],
        *states: list[Tensor],
    ) -> None:
        (buffers,) = states
        change = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        torch._foreach_add_(change, buffers, alpha=group["momentum"] - 1)
        torch._foreach_mul_(change, used)
        torch._foreach_add_(buffers, change)
        torch._foreach_add_(parameters, torch._foreach_mul(buffers, used), alpha=-group["lr"])
