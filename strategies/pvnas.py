"""PV-NAS: practical neural architecture search for video recognition, with its diversity scheduler.

A supernet holds all candidates. Its weights train on search-train along paths sampled from a distribution over
architectures; the distribution trains on search-val through binary gates on two sampled candidates per block
(ProxylessNAS), so only paths are computed, never the mixture. A learning-rate scheduler with warm restarts drives the
search from basin to basin; each cycle derives an architecture, and the search returns the best of them.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, ClipBatch, Evaluation, Info, Json, SearchFinished, Strategy
from pvnas_bench.methods import (
    CostShare,
    FactorisedDistribution,
    OptimiserConfig,
    SharedWeights,
    log_held_out_loss,
    recorded,
    set_rate,
    thrifty,
    two_path_loss,
)

Schedule = Literal["diversity", "cosine", "step", "constant"]


def schedule(kind: Schedule, progress: float, cycles: int, decay: float, growth: float, floor: float) -> float:
    """The learning rate as a fraction of its peak.

    ``diversity``: floor + ½(γ^c − floor)(1 + cos(π t_c/T_c)) with cycle c, T_c = T_0·m^c (METHODS: reconstructed from
    SGDR, Loshchilov & Hutter 2017); ``cosine``: one such cycle; ``step``: a tenth at one half and at three quarters.

    Args:
        progress: progress of the search, in [0, 1].
        decay: factor γ of the peak per cycle.
        growth: factor m of the length per cycle.
        floor: lowest rate as a fraction of the peak.
    """
    if kind == "constant":
        return 1.0
    if kind == "step":
        return float(max(floor, 0.1 ** ((progress >= 0.5) + (progress >= 0.75))))
    if kind == "cosine":
        cycle, within = 0, progress
    else:
        cycle, within = cycle_at(progress, cycles, growth)
    return floor + 0.5 * (decay**cycle - floor) * (1 + math.cos(math.pi * within))


@lru_cache
def cycle_bounds(cycles: int, growth: float) -> tuple[float, ...]:
    """Progress at the start of each cycle, then 1, the end of the last."""
    lengths = np.array([growth**c for c in range(cycles)])
    return (0.0, *(np.cumsum(lengths) / lengths.sum()).tolist())


def cycles_ended(progress: float, cycles: int, growth: float) -> int:
    """Number of cycles completed at a progress in [0, 1]."""
    return sum(progress >= bound for bound in cycle_bounds(cycles, growth)[1:])


def cycle_at(progress: float, cycles: int, growth: float) -> tuple[int, float]:
    """The cycle at a progress in [0, 1], and the completed fraction of it."""
    bounds = cycle_bounds(cycles, growth)
    cycle = min(bisect_right(bounds, progress) - 1, cycles - 1)
    return cycle, min((progress - bounds[cycle]) / (bounds[cycle + 1] - bounds[cycle]), 1.0)


class PVNASConfig(OptimiserConfig):
    """Hyper-parameters of PV-NAS."""

    scheduler: Schedule = Field("diversity", description="learning-rate schedule; all but diversity are ablations")
    scheduled: Literal["weights", "alphas", "both"] = Field("both", description="target of the schedule (R)")
    cycles: int = Field(3, ge=1, le=32, description="warm-restart cycles (R; 4-6 where the budget is larger)")
    decay: float = Field(1.0, gt=0, le=1, description="γ: the peak rate's factor per cycle, 1 or 0.7 (R)")
    growth: float = Field(1.0, ge=1, le=4, description="m: a cycle's length over the one before, 1 or 2 (R, SGDR)")
    floor: float = Field(0.01, ge=0, lt=1, description="η_min/η_max (R)")
    warmup: float = Field(0.15, ge=0, lt=1, description="part of the search that trains weights only (R)")
    alpha_rate: float = Field(0.1, gt=0, description="peak rate of Adam, β=(0, 0.999) (β: ProxylessNAS)")
    thrift: float = Field(
        1.0,
        ge=0,
        description="preference for cheap inputs; 1: all inputs get equal budgets (R)",
    )
    comparison: float = Field(
        1.0, gt=0, le=1, description="epochs that compare derived networks, of a full training (R)"
    )
    macs_weight: float = Field(0.5, ge=0, description="λ of |E[MACs]/target - 1| (R)")
    target: float = Field(0.9, gt=0, description="target MACs over the cap (R)")


class PVNAS(Strategy[PVNASConfig, BlockSpace]):
    """Supernet search with a diversity scheduler (PV-NAS)."""

    info = Info(
        name="pvnas",
        title="PV-NAS: gradient-based search with a diversity scheduler",
        paper="Wang et al., PV-NAS: Practical Neural Architecture Search for Video Recognition, arXiv 2011.00826",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="gradient-based search in a large spatial-temporal space; a learning-rate scheduler that encourages "
        "diversity of the searched models",
        reconstructed="the relaxation (two-path binary gates), the schedule's form (warm restarts, one architecture "
        "derived per cycle), how inputs are drawn, how derived architectures are compared, all hyper-parameters",
    )

    def setup(self) -> None:
        """Build the supernet, the distribution and their optimisers; reserve budget to compare the cycles' results."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet)
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.alpha_optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.thrifty = thrifty(problem.space, config.thrift).to(problem.device)
        self.expected_macs = problem.expected_macs()
        self.derived: list[Evaluation] = []
        self.epochs = max(round(config.comparison * problem.full_epochs), 1)
        problem.set_aside(trainings=config.cycles, epochs=self.epochs)

    def step(self) -> None:
        """Run one epoch of search-train, or the rest of the cycle; derive an architecture at its end."""
        problem, config = self.problem, self.config
        if len(self.derived) == config.cycles:
            raise SearchFinished
        for batch, held_out in problem.search_pairs():
            if self._cycle_over():
                break
            weights, alphas = self._rates()
            path = self.alphas.sample(problem.torch_rng("paths"), self.thrifty)
            self.weights.step(batch, path, weights)
            if problem.progress >= config.warmup:
                self._alpha_step(held_out, alphas)
        if self._cycle_over():
            self._derive()
        macs = float(self.expected_macs(self.alphas.log_table().exp()).detach())
        problem.log(alpha_entropy=self.alphas.mean_entropy(), learning_rate=self._rate(), expected_macs=macs)

    def _cycle_over(self) -> bool:
        config = self.config
        return cycles_ended(self.problem.progress, config.cycles, config.growth) > len(self.derived)

    def _rate(self) -> float:
        c = self.config
        return schedule(c.scheduler, self.problem.progress, c.cycles, c.decay, c.growth, c.floor)

    def _rates(self) -> tuple[float, float]:
        """The learning rates of weights and alphas."""
        rate, c = self._rate(), self.config
        weights, alphas = (1.0 if c.scheduled == other else rate for other in ("alphas", "weights"))
        return c.weight_rate * weights, c.alpha_rate * alphas

    def _alpha_step(self, batch: ClipBatch, rate: float) -> None:
        """Take an alpha step: cross-entropy through two gated candidates per block, leave-one-out for the input."""
        problem, log_p = self.problem, self.alphas.log_table()
        losses: list[float] = []
        loss = two_path_loss(
            problem.space,
            log_p,
            log_p + self.thrifty,
            recorded(lambda plan: self.supernet.loss(batch, plan, train_weights=False), losses),
            problem.torch_rng("paths"),
        )
        macs = self.config.macs_weight * self.expected_macs.penalty(log_p.exp(), self.config.target * problem.cap)
        share = CostShare(macs, self.alphas.parameters())
        problem.backward(loss + macs)
        share.log(problem)
        log_held_out_loss(problem, losses[0])
        set_rate(self.alpha_optimiser, rate)
        problem.update(self.alpha_optimiser)

    def _derive(self) -> None:
        """End a cycle: derive an architecture and measure it by a short stand-alone training."""
        best = self.alphas.best(self.problem.costs, self.problem.cap)
        self.derived.append(self.problem.compare(best, self.epochs))
        self.problem.log(val_top1=max(evaluation.top1 for evaluation in self.derived))

    def incumbent(self) -> Architecture:
        """The best of the derived architectures; before the first, the most probable one."""
        if not self.derived:
            return self.alphas.best(self.problem.costs, self.problem.cap)
        return max(self.derived, key=lambda evaluation: evaluation.top1).architecture

    def diagnostics(self) -> Mapping[str, Json]:
        """The derived architectures and how diverse they are."""
        derived = [evaluation.architecture for evaluation in self.derived]
        distances = [self.problem.space.hamming(a, b) for i, a in enumerate(derived) for b in derived[:i]]
        return {
            "derived": [[str(evaluation.architecture), evaluation.top1] for evaluation in self.derived],
            "distinct_derived": len(set(derived)),
            "mean_pairwise_hamming": float(np.mean(distances)) if distances else 0.0,
        }
