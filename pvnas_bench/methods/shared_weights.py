"""Optimisation of a supernet's shared weights."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench.methods.lazy_optimisers import LazyAdamW, LazySGD
from pvnas_bench.network.supernet import Plan
from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.strategy import StrategyConfig
from pvnas_bench.training.search_supernet import SearchSupernet
from pvnas_bench.video import ClipBatch


class OptimiserConfig(StrategyConfig):
    """Hyper-parameters of the optimiser of a supernet's weights."""

    optimiser: Literal["adamw", "sgd"] = Field(
        "adamw", description="adamw: the protocol's (R); sgd with momentum 0.9: DARTS"
    )
    weight_rate: float = Field(
        8e-3, gt=0, description="peak rate of the weights (R: the protocol's; DARTS: sgd, 0.025)"
    )
    weight_decay: float = Field(
        0.05, ge=0, description="decay of the weights; none of batch-norm and biases (R: the protocol's; DARTS: 3e-4)"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="for the weights' loss (R: the protocol's; DARTS: 0)")
    gradient_clip: float = Field(5.0, gt=0, description="bound of the weights' gradient (DARTS)")
    clipped: Literal["norm", "value"] = Field(
        "norm", description="what is bounded: the norm of the gradient (DARTS), or each of its values (SPOS' code)"
    )


class WeightsConfig(OptimiserConfig):
    """Hyper-parameters of the optimiser and of its schedule, a linear warm-up and a decay."""

    weight_floor: float = Field(0.0, ge=0, description="last rate of the weights (R; DARTS: 0.001)")
    decay: Literal["cosine", "linear"] = Field(
        "cosine", description="how the weights' rate falls: half a cosine (DARTS), linearly (SPOS' code)"
    )
    rising: float = Field(0.1, ge=0, lt=1, description="part of the search in which the weights' rate rises (R)")

    def rate(self, progress: float) -> float:
        """Learning rate of the weights at this progress of the search."""
        return rate_at(progress, self.weight_rate, self.weight_floor, self.rising, self.decay)


def rate_at(
    progress: float, peak: float, floor: float, rising: float = 0.0, decay: Literal["cosine", "linear"] = "cosine"
) -> float:
    """Learning rate: linear warm-up to the peak, then a decay to the floor.

    Source of the cosine: SGDR without restarts, Loshchilov & Hutter 2017.

    Args:
        progress: progress of the search, in [0, 1].
        rising: part of the search for the warm-up.
        decay: half a cosine, or a straight line.
    """
    if progress < rising:
        return floor + (peak - floor) * progress / rising
    within = (progress - rising) / (1 - rising)
    left = 1 - within if decay == "linear" else 0.5 * (1 + math.cos(math.pi * within))
    return floor + (peak - floor) * left


def make_weight_optimiser(
    parameters: Iterable[nn.Parameter], config: OptimiserConfig, vectors: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Make the optimiser of a supernet's weights; only entries with a gradient move (see `lazy_optimisers`).

    As in stand-alone training, parameters of one dimension, which are those of batch-norm and biases, do not decay.

    Args:
        vectors: further parameters that do not decay.
    """
    kept = {id(parameter) for parameter in vectors}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in parameters:
        (rest if parameter.ndim <= 1 or id(parameter) in kept else matrices).append(parameter)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return (LazyAdamW if config.optimiser == "adamw" else LazySGD)(groups, lr=config.weight_rate)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate


class SharedWeights:
    """Trainer of a supernet's weights; it logs `train_loss`.

    Attributes:
        supernet: the supernet.
        optimiser: optimiser of its weights.
    """

    def __init__(
        self,
        problem: Problem[BlockSpace],
        config: OptimiserConfig,
        supernet: SearchSupernet,
        parameters: Iterable[nn.Parameter] | None = None,
    ) -> None:
        """Build the optimiser.

        Args:
            parameters: parameters to train; None: all parameters of the supernet.
        """
        self._problem, self._config, self.supernet = problem, config, supernet
        trained = supernet.parameters() if parameters is None else parameters
        self.optimiser = make_weight_optimiser(trained, config, supernet.network.affine_parameters())

    def step(self, batch: ClipBatch, path: Architecture | Plan, rate: float) -> float:
        """Take a step along a path or a plan at this learning rate; return the loss."""
        return self.descend(self.supernet.loss(batch, path, self._config.label_smoothing), rate)

    def descend(self, loss: Tensor, rate: float) -> float:
        """Take a gradient step on a loss at this learning rate; return the loss."""
        self._problem.backward(loss)
        value = float(loss.detach())
        self.update(rate)
        self._problem.log(train_loss=value)
        return value

    def update(self, rate: float) -> None:
        """Take a step with the accumulated gradients."""
        set_rate(self.optimiser, rate)
        self._problem.update(self.optimiser, clip=self._config.gradient_clip, clipped=self._config.clipped)

    def path_epoch(
        self,
        share: float,
        rate: Callable[[float], float],
        paths: Callable[[np.random.Generator], Sequence[Architecture]] | None = None,
    ) -> bool:
        """Train one epoch along sampled paths, within a share of the budget.

        Args:
            share: part of the search for training the weights.
            rate: learning rate as a function of the progress within this share.
            paths: draws the paths of a batch, whose mean gradient is one step; None: one uniformly sampled path.

        Returns:
            True once the share is spent.
        """
        problem, rng = self._problem, self._problem.rng("paths")
        for batch in problem.search_batches("train"):
            if (progress := problem.progress_to(share)) >= 1:
                return True
            drawn = [problem.sample(rng)] if paths is None else paths(rng)
            for path in drawn:
                loss = self.supernet.loss(batch, path, self._config.label_smoothing)
                problem.backward(loss / len(drawn))
                problem.log(train_loss=float(loss.detach()))
            self.update(rate(progress))
        return False

    def state_dict(self) -> dict[str, Any]:
        """State of the optimiser, without the supernet's."""
        return {"optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.optimiser.load_state_dict(state["optimiser"])
