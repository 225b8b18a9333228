"""Signals of a gradient search: loss against chance, what drives alphas, and a guard until a supernet has learnt."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from pvnas_bench.problem import Problem, S, SearchSplit
from pvnas_bench.strategy import StrategyConfig

WINDOW = 20
"""Losses over which `ChanceGuard` takes the mean."""

DEVIATIONS = 2.0
"""Standard errors by which a mean loss must be below its bound."""


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

    def limit(self, most: float) -> None:
        """Shorten the cost's gradient so that its share is at most this one."""
        cost, rest = self._norms()
        if most < 1 and cost * (1 - most) > rest * most:
            shorter = rest * most / (cost * (1 - most))
            for alpha, own in zip(self._alphas, self._cost, strict=True):
                if own is not None and alpha.grad is not None:
                    alpha.grad.sub_(own, alpha=1 - shorter)
            self._cost = [None if own is None else own * shorter for own in self._cost]

    def log(self, problem: Problem[S]) -> None:
        """Log the share; nothing if the gradient is zero."""
        cost, rest = self._norms()
        if cost + rest > 0:
            problem.log(macs_gradient_share=cost / (cost + rest))

    def _norms(self) -> tuple[float, float]:
        """Norms of the cost's gradient and of the rest."""
        cost = rest = 0.0
        for alpha, own in zip(self._alphas, self._cost, strict=True):
            whole = torch.zeros_like(alpha) if alpha.grad is None else alpha.grad
            own = torch.zeros_like(alpha) if own is None else own
            cost += float((own.double() ** 2).sum())
            rest += float(((whole - own).double() ** 2).sum())
        return math.sqrt(cost), math.sqrt(rest)


def recorded(loss_at: Callable[..., Tensor], losses: list[float]) -> Callable[..., Tensor]:
    """A function of the same losses that appends their values to a list."""

    def called(*words: object) -> Tensor:
        loss = loss_at(*words)
        losses.append(float(loss.detach()))
        return loss

    return called


def chance_loss(labels: npt.NDArray[np.int64], classes: Sequence[int], smoothing: float = 0.0) -> float:
    """Least mean cross-entropy of a constant prediction: the entropy of the smoothed shares of the classes.

    It is ln(classes) where all are equally frequent.

    Args:
        labels: class of each clip.
        classes: classes that count; clips of others are left out.
        smoothing: label smoothing of the loss.
    """
    counts = np.array([np.count_nonzero(labels == c) for c in classes], dtype=np.float64)
    shares = (1 - smoothing) * counts / counts.sum() + smoothing / len(counts)
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def clearly_below(losses: Sequence[float], bound: float) -> bool:
    """True if the mean of two losses or more is at least `DEVIATIONS` standard errors below a bound."""
    if len(losses) < 2:
        return False
    return float(np.mean(losses) + DEVIATIONS * np.std(losses, ddof=1) / math.sqrt(len(losses))) <= bound


class GuardConfig(StrategyConfig):
    """Hyper-parameters of `ChanceGuard`."""

    guard: bool = Field(True, description="alphas move only once sampled paths are clearly better than chance (R)")
    margin: float = Field(0.1, ge=0, lt=1, description="by which part of the loss at chance they must be better (R)")


class ChanceGuard:
    """Passed once a supernet's sampled paths are clearly better than chance.

    Alphas that move before learn from noise. The guard sees one loss per step, of a batch before the step. It is
    passed, for good, once m + 2 s/√n ≤ (1 - margin) · `chance_loss`, with mean m and standard deviation s of the last
    n = `WINDOW` losses. It notes the progress of the search then as `better_than_chance_from` (search-val:
    `better_than_chance_on_search_val_from`), `None` until then.

    Attributes:
        passed: True once it is passed; always True without `GuardConfig.guard`.
    """

    def __init__(
        self, problem: Problem[S], config: GuardConfig, smoothing: float = 0.0, split: SearchSplit = "train"
    ) -> None:
        """Make the guard for all classes.

        Args:
            smoothing: label smoothing of the losses.
            split: split of the batches.
        """
        self._problem, self._config, self._smoothing, self._split = problem, config, smoothing, split
        self._name = "better_than_chance_from" if split == "train" else "better_than_chance_on_search_val_from"
        self.start(range(problem.classes))
        problem.note(**{self._name: None})

    def start(self, classes: Sequence[int]) -> None:
        """Start anew, with batches of these classes."""
        chance = chance_loss(self._problem.labels_in(self._split), classes, self._smoothing)
        self._bound = (1 - self._config.margin) * chance
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self.passed = not self._config.guard

    def see(self, loss: float) -> None:
        """Take the loss of a step into account."""
        self._losses.append(loss)
        if not self.passed and len(self._losses) == WINDOW and clearly_below(self._losses, self._bound):
            self.passed = True
            self._problem.note(**{self._name: self._problem.progress})

    def state_dict(self) -> dict[str, Any]:
        """State: the bound, the last losses, and whether it is passed."""
        return {"bound": self._bound, "losses": list(self._losses), "passed": self.passed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self._bound, self.passed = state["bound"], state["passed"]
        self._losses = deque(state["losses"], maxlen=WINDOW)
