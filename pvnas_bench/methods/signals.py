"""Logged series that show whether a gradient search learns: held-out loss against chance, and what drives alphas."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from pvnas_bench.problem import Problem, S


def log_held_out_loss(problem: Problem[S], loss: float, classes: int | None = None) -> None:
    """Log a loss on search-val, and the loss as a fraction of chance level, ln classes.

    The series are `search_val_loss` and `search_val_loss_of_chance`; a supernet that predicts nothing has about 1.

    Args:
        classes: number of classes that the batch may contain; None: all.
    """
    problem.log(search_val_loss=loss)
    if (count := problem.classes if classes is None else classes) > 1:
        problem.log(search_val_loss_of_chance=loss / math.log(count))


class CostShare:
    """Share of a cost term in the gradient of the alphas; logs `macs_gradient_share`.

    The share is |g_cost| / (|g_cost| + |g_rest|) in norms over all alphas: 0 without a cost term, near 1 where the cost
    drives the search. Make it before the backward pass of the whole loss, and call `log` after it.
    """

    def __init__(self, term: Tensor, alphas: Iterable[Tensor]) -> None:
        """Compute the gradient of the weighted cost term; the graph is kept for the backward pass."""
        self._alphas = [alpha for alpha in alphas if alpha.requires_grad]
        self._cost: Sequence[Tensor | None] = [None] * len(self._alphas)
        if term.requires_grad:
            self._cost = torch.autograd.grad(term, self._alphas, retain_graph=True, allow_unused=True)

    def log(self, problem: Problem[S]) -> None:
        """Log the share; nothing if the gradient is zero."""
        cost = rest = 0.0
        for alpha, own in zip(self._alphas, self._cost, strict=True):
            whole = torch.zeros_like(alpha) if alpha.grad is None else alpha.grad
            own = torch.zeros_like(alpha) if own is None else own
            cost += float((own.double() ** 2).sum())
            rest += float(((whole - own).double() ** 2).sum())
        if (total := math.sqrt(cost) + math.sqrt(rest)) > 0:
            problem.log(macs_gradient_share=math.sqrt(cost) / total)


def recorded(loss_at: Callable[..., Tensor], losses: list[float]) -> Callable[..., Tensor]:
    """A function of the same losses that appends their values to a list."""

    def called(*words: object) -> Tensor:
        loss = loss_at(*words)
        losses.append(float(loss.detach()))
        return loss

    return called
