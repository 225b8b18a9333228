"""PV-NAS: practical neural architecture search for video recognition, with its diversity scheduler.

A supernet holds all candidates. Its weights train on search-train along paths sampled from a distribution over
architectures; the distribution trains on search-val through gates on sampled candidates (`BinaryGates`), so only paths
are computed, never the mixture, and only once these are clearly better than chance. A learning-rate scheduler with warm
restarts drives the search from basin to basin; each cycle derives an architecture, and the search returns the best.
"""

import functools
import itertools
import math
from bisect import bisect_right
from typing import Literal

import numpy as np
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, SearchFinished, Strategy
from pvnas_bench.methods import BinaryGates, GatesConfig, OptimiserConfig, SharedWeights

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


@functools.lru_cache
def cycle_bounds(cycles: int, growth: float) -> tuple[float, ...]:
    """Progress at the start of each cycle, then 1, the end of the last."""
    lengths = np.array([growth**c for c in range(cycles)])
    return (0.0, *(np.cumsum(lengths)[:-1] / lengths.sum()).tolist(), 1.0)


def cycles_ended(progress: float, cycles: int, growth: float) -> int:
    """Number of cycles completed at a progress in [0, 1]."""
    return sum(progress >= bound for bound in cycle_bounds(cycles, growth)[1:])


def cycle_at(progress: float, cycles: int, growth: float) -> tuple[int, float]:
    """The cycle at a progress in [0, 1], and the completed fraction of it."""
    bounds = cycle_bounds(cycles, growth)
    cycle = min(bisect_right(bounds, progress) - 1, cycles - 1)
    return cycle, min((progress - bounds[cycle]) / (bounds[cycle + 1] - bounds[cycle]), 1.0)


class PVNASConfig(OptimiserConfig, GatesConfig):
    """Hyper-parameters of PV-NAS."""

    scheduler: Schedule = Field("diversity", description="learning-rate schedule; all but diversity are ablations")
    scheduled: Literal["weights", "alphas", "both"] = Field("both", description="target of the schedule (R)")
    cycles: int = Field(3, ge=1, le=32, description="warm-restart cycles, the first trains weights only (R, tuned)")
    decay: float = Field(1.0, gt=0, le=1, description="γ: the peak rate's factor per cycle, 1 or 0.7 (R)")
    growth: float = Field(1.0, ge=1, le=4, description="m: a cycle's length over the one before, 1 or 2 (R, SGDR)")
    floor: float = Field(0.01, ge=0, lt=1, description="η_min/η_max (R)")
    warmup: float = Field(0.55, ge=0, lt=1, description="least part of the search that trains weights only (R, tuned)")
    weight_rate: float = Field(0.016, gt=0, description="peak rate of the weights (R, tuned)")
    alpha_rate: float = Field(0.05, gt=0, description="peak rate of Adam, β=(0, 0.999) (R, tuned)")
    thrift: float = Field(1.0, ge=0, description="preference for cheap inputs; 1: all inputs get equal budgets (R)")
    restarted: Literal["kept", "fresh"] = Field("kept", description="fresh: alphas are uniform at each restart (R)")
    comparison: float = Field(
        0.0, ge=0, le=1, description="epochs that compare derived networks, of a full training; 0: supernet weights (R)"
    )
    recalibration: int = Field(8, ge=1, description="batches for the batch-norm statistics of a derived path (R, SPOS)")


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
        "derived per cycle), how inputs are drawn, how derived architectures are compared, the cost term, the guard "
        "before alphas move, all hyper-parameters",
    )

    def setup(self) -> None:
        """Build the supernet, the distribution and their optimisers; reserve budget to compare the cycles' results."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet)
        self.gates = BinaryGates(problem, config, config.thrift, config.label_smoothing)
        self.cycle, self.steps_before = 0, 0
        """Cycles that ended, and alpha steps until then."""
        self.derived: list[Architecture] = []
        self.top1: dict[Architecture, float] = {}
        self.scores: dict[Architecture, float] = {}
        """Of the derived architectures: accuracy on search-val, and what they are compared by."""
        self.fallback = problem.sample(problem.rng("fallback"))
        self.epochs = max(round(config.comparison * problem.full_epochs), 1)
        if config.comparison:
            problem.set_aside(trainings=config.cycles, epochs=self.epochs)
        else:
            problem.set_aside(validations=config.cycles, recalibration=config.recalibration)

    def step(self) -> None:
        """Run one epoch of search-train, or the rest of the cycle; derive an architecture at its end."""
        problem, config = self.problem, self.config
        if self.cycle == config.cycles:
            raise SearchFinished
        for batch, held_out in problem.search_pairs():
            if self._cycle_over():
                break
            weights, alphas = self._rates()
            self.gates.guard.see(self.weights.step(batch, self.gates.sample(), weights))
            if self.gates.guard.passed and problem.progress >= config.warmup and not self._cycle_over():
                self.gates.step(functools.partial(self.supernet.loss, held_out, train_weights=False), alphas)
        if self._cycle_over():
            self._end_cycle()
        macs = float(self.gates.expected_macs(self.gates.alphas.log_table().exp()).detach())
        problem.log(alpha_entropy=self.gates.alphas.mean_entropy(), learning_rate=self._rate(), expected_macs=macs)

    def _cycle_over(self) -> bool:
        config = self.config
        return cycles_ended(self.problem.progress, config.cycles, config.growth) > self.cycle

    def _rate(self) -> float:
        c = self.config
        return schedule(c.scheduler, self.problem.progress, c.cycles, c.decay, c.growth, c.floor)

    def _rates(self) -> tuple[float, float]:
        """The learning rates of weights and alphas."""
        rate, c = self._rate(), self.config
        weights, alphas = (1.0 if c.scheduled == other else rate for other in ("alphas", "weights"))
        return c.weight_rate * weights, c.alpha_rate * alphas

    def _end_cycle(self) -> None:
        """Derive an architecture, if alphas moved in this cycle, and compare it with the others."""
        self.cycle += 1
        if self.gates.steps > self.steps_before:
            self.steps_before = self.gates.steps
            self.derived.append(self.gates.best())
            if self.config.restarted == "fresh":
                self.gates.reset()
            self._compare()

    def _compare(self) -> None:
        """Measure on search-val the last derived one by a training, or all with the supernet's weights of now."""
        problem, derived = self.problem, self.derived
        for architecture in dict.fromkeys(derived[-1:] if self.config.comparison else derived):
            self.scores[architecture], self.top1[architecture] = self._measure(architecture)
        problem.log(val_top1=self.top1[self.incumbent()])
        distances = [problem.space.hamming(a, b) for a, b in itertools.combinations(derived, 2)]
        problem.note(
            derived=[[str(architecture), self.top1[architecture]] for architecture in derived],
            distinct_derived=len(self.top1),
            mean_pairwise_hamming=float(np.mean(distances)) if distances else 0.0,
        )

    def _measure(self, architecture: Architecture) -> tuple[float, float]:
        """Score and top-1; the score of a training is its top-1, that of a path of the supernet minus its loss."""
        problem = self.problem
        if self.config.comparison:
            top1 = problem.compare(architecture, self.epochs).top1
            return top1, top1
        recalibration = itertools.islice(problem.search_batches("train"), self.config.recalibration)
        top1, loss = self.supernet.validate(architecture, problem.validation_batches(), recalibration)
        return -loss, top1

    def incumbent(self) -> Architecture:
        """The best derived architecture; before the first the most probable one, a random one before an alpha step."""
        if self.scores:
            return max(self.scores, key=self.scores.__getitem__)
        return self.gates.best() if self.gates.steps else self.fallback
