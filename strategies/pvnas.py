"""PV-NAS: practical neural architecture search for video recognition, with its diversity scheduler.

A supernet holds all candidates. Its weights train on search-train along paths sampled from a distribution over
architectures; the distribution trains on search-val through binary gates on two sampled candidates per block
(ProxylessNAS), so that only paths are ever computed, not the mixture. A learning-rate scheduler with warm restarts
drives the search from basin to basin; the architecture at the end of each cycle is kept, and the best of them returned.

What was found while it was reconstructed (synthetic_motion, quick, cap L; random sampling has a mean test top-1 of 0.46
over six seeds): weights trained by SGD hardly leave chance in this budget. With inputs drawn evenly, too few steps are
left to learn what only time shows, and spatial operators may win: a mean of 0.57 over seeds 0-3, one of them at 0.13,
with comparisons by full trainings, and of 0.50 with half ones, after which most networks are near chance. Drawing
inputs by their cost gave 0.69 over seeds 0-3 with half and 0.66 over seeds 0-2 with full trainings: no difference can
be told. Seed 0 gives 0.79 on one thread and 0.60 on two: rounding alone moves a result that far.

The published runs, the same search with other random draws, have 0.70, 0.23 and 0.75 on synthetic_motion, and 0.55,
0.58 and 0.43 on words, where random search has 0.53 on both (standard deviations 0.07, 0.04). The network of 0.23 had
0.61 on search-val when the search compared it: that is how far two trainings of 8 epochs differ which begin at
different weights.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from pvnas_bench import Architecture, Info, Problem, SearchFinished, Strategy
from pvnas_bench.methods.bilevel import OptimiserConfig, make_weight_optimiser
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.gates import input_loss, sample_input, thrifty, two_path_plan

Schedule = Literal["diversity", "cosine", "step", "constant"]


def schedule(kind: Schedule, progress: float, cycles: int, decay: float, growth: float, floor: float) -> float:
    """The learning rate as a fraction of its peak.

    ``diversity``: floor + ½(γ^c − floor)(1 + cos(π t_c/T_c)) with cycle c, T_c = T_0·m^c (METHODS: reconstructed from
    SGDR, Loshchilov & Hutter 2017); ``cosine``: one such cycle; ``step``: a tenth at one half and at three quarters.

    Args:
        progress: of the search, in [0, 1].
        decay: γ of the peak per cycle.
        growth: m of the length per cycle.
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
    """The progress at which each cycle begins, and 1, at which the last one ends."""
    lengths = np.array([growth**c for c in range(cycles)])
    return (0.0, *(np.cumsum(lengths) / lengths.sum()).tolist())


def cycle_at(progress: float, cycles: int, growth: float) -> tuple[int, float]:
    """Which cycle a progress in [0, 1] lies in, and the fraction of that cycle that has passed."""
    bounds = cycle_bounds(cycles, growth)
    cycle = min(bisect_right(bounds, progress) - 1, cycles - 1)
    return cycle, min((progress - bounds[cycle]) / (bounds[cycle + 1] - bounds[cycle]), 1.0)


class PVNAS(Strategy):
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

    class Config(OptimiserConfig):
        scheduler: Schedule = Field("diversity", description="learning-rate schedule; all but diversity are ablations")
        scheduled: Literal["weights", "alphas", "both"] = Field("both", description="what it schedules (R)")
        cycles: int = Field(3, ge=1, le=32, description="warm-restart cycles (R; 4-6 where the budget is larger)")
        decay: float = Field(1.0, gt=0, le=1, description="γ: the peak rate's factor per cycle, 1 or 0.7 (R)")
        growth: float = Field(1.0, ge=1, le=4, description="m: a cycle's length over the one before, 1 or 2 (R, SGDR)")
        floor: float = Field(0.01, ge=0, lt=1, description="η_min/η_max (R)")
        warmup: float = Field(0.15, ge=0, lt=1, description="part of the search that trains weights only (R)")
        alpha_rate: float = Field(0.1, gt=0, description="peak rate of Adam, β=(0, 0.999) (β: ProxylessNAS)")
        thrift: float = Field(
            1.0,
            ge=0,
            description="how much rarer the search draws inputs of many MACs; 1: each has one budget (R)",
        )
        comparison: float = Field(
            1.0, gt=0, le=1, description="epochs that compare derived networks, of a full training (R)"
        )
        macs_weight: float = Field(0.5, ge=0, description="λ of |E[MACs]/target - 1| (R)")
        target: float = Field(0.9, gt=0, description="target MACs over the cap (R)")

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet = problem.supernet()
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.thrifty = thrifty(problem.space, config.thrift).to(problem.device)
        self.expected_macs = problem.expected_macs()
        self.weight_optimiser = make_weight_optimiser(self.supernet.parameters(), config)
        self.alpha_optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.derived: list[tuple[str, float]] = []
        self.history: dict[str, list[float]] = {"alpha_entropy": [], "learning_rate": [], "expected_macs": []}
        reference = problem.cost(problem.space.reference).macs
        self.epochs = max(round(config.comparison * problem.full_epochs), 1)
        comparison = problem.evaluation_cost(problem.space.reference, self.epochs) * max(problem.cap / reference, 1.0)
        pair_of_steps = 9 * problem.cap * problem.batch_size / problem.ledger.reference
        self.reserve = comparison + pair_of_steps
        self._begin_cycle()

    def _begin_cycle(self) -> None:
        """Give the cycle its share of the budget; what comparing derived architectures may need is set aside."""
        done, ledger = len(self.derived), self.problem.ledger
        begin, end = cycle_bounds(self.config.cycles, self.config.growth)[done : done + 2]
        left = max(ledger.left - (self.config.cycles - done) * self.reserve, 0.0)
        self.start, self.budget = ledger.spent, left * (end - begin) / (1 - begin)

    @property
    def progress(self) -> float:
        """The part of the search that is done, in [0, 1]; comparisons of derived architectures do not count."""
        done = len(self.derived)
        if done == self.config.cycles:
            return 1.0
        begin, end = cycle_bounds(self.config.cycles, self.config.growth)[done : done + 2]
        within = min((self.problem.ledger.spent - self.start) / self.budget, 1.0) if self.budget else 1.0
        return begin + within * (end - begin)

    @property
    def cycle_ended(self) -> bool:
        return bool(self.problem.ledger.spent - self.start >= self.budget)

    def step(self) -> None:
        """One epoch of search-train, or as much of it as is left of the cycle."""
        if len(self.derived) == self.config.cycles:
            raise SearchFinished
        validation: Iterator[Any] = iter(())
        rng = self.problem.torch_rng("paths")
        losses = []
        for batch in self.problem.search_batches("train"):
            if self.cycle_ended:
                self._derive()
                break
            self._set_rates()
            path = self.alphas.sample(rng, self.thrifty)
            loss = self.supernet.loss(batch, path, self.config.label_smoothing)
            self.problem.backward(loss)
            self.problem.update(self.weight_optimiser, clip=self.config.gradient_clip)
            losses.append(float(loss.detach()))
            if self.progress >= self.config.warmup:
                held_out = next(validation, None)
                if held_out is None:
                    validation = self.problem.search_batches("val")
                    held_out = next(validation)
                self._alpha_step(held_out, rng)
        self.history["alpha_entropy"].append(self.alphas.mean_entropy())
        self.history["learning_rate"].append(self._rate())
        self.history["expected_macs"].append(float(self.expected_macs(self.alphas.log_table().exp()).detach()))
        if losses:
            self.problem.log(train_loss=float(np.mean(losses)))
        self.problem.log(alpha_entropy=self.history["alpha_entropy"][-1])

    def _rate(self) -> float:
        c = self.config
        return schedule(c.scheduler, self.progress, c.cycles, c.decay, c.growth, c.floor)

    def _set_rates(self) -> None:
        rate, c = self._rate(), self.config
        for optimiser, peak, on in (
            (self.weight_optimiser, c.weight_rate, c.scheduled != "alphas"),
            (self.alpha_optimiser, c.alpha_rate, c.scheduled != "weights"),
        ):
            for group in optimiser.param_groups:
                group["lr"] = peak * (rate if on else 1.0)

    def _alpha_step(self, batch: Any, rng: torch.Generator) -> None:
        """Cross-entropy through two gated candidates per block, the MACs term, and leave-one-out for the input."""
        space, log_p = self.problem.space, self.alphas.log_table()
        log_q = log_p + self.thrifty
        frames, size = sample_input(space, log_q, rng)
        plan = two_path_plan(space, log_p, frames, size, rng)
        cross_entropy = self.supernet.loss(batch, plan, train_weights=False)
        loss = cross_entropy + input_loss(
            space,
            log_q,
            (frames, size),
            cross_entropy.detach(),
            lambda f, s: self.supernet.loss(batch, plan.at(f, s)),
            rng,
        )
        macs = self.expected_macs(log_p.exp())
        loss = loss + self.config.macs_weight * (macs / (self.config.target * self.problem.cap) - 1).abs().float()
        self.problem.backward(loss)
        self.problem.update(self.alpha_optimiser)

    def _derive(self) -> None:
        """The end of a cycle: derive an architecture and measure it by a short stand-alone training."""
        architecture = self.alphas.best(self.problem.costs, self.problem.cap)
        known = dict(self.derived)
        top1 = known.get(str(architecture))
        if top1 is None:
            top1 = self.problem.evaluate(architecture, self.epochs).top1
        self.derived.append((str(architecture), top1))
        if len(self.derived) < self.config.cycles:
            self._begin_cycle()
        self.problem.log(val_top1=max(score for _, score in self.derived))

    def incumbent(self) -> Architecture:
        if not self.derived:
            return self.alphas.best(self.problem.costs, self.problem.cap)
        return self.problem.space.parse(max(self.derived, key=lambda pair: pair[1])[0])

    def score(self, architecture: Architecture) -> float:
        """Top-1 on search-val with the supernet's weights."""
        return self.supernet.validate(architecture, self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Any]:
        space = self.problem.space
        architectures = [space.parse(string) for string, _ in self.derived]
        distances = [space.hamming(a, b) for i, a in enumerate(architectures) for b in architectures[:i]]
        return self.history | {
            "derived": [list(pair) for pair in self.derived],
            "distinct_derived": len(set(architectures)),
            "mean_pairwise_hamming": float(np.mean(distances)) if distances else 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "alphas": self.alphas.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "derived": [list(pair) for pair in self.derived],
            "cycle": [self.start, self.budget],
            "history": {name: list(values) for name, values in self.history.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.supernet.load_state_dict(state["supernet"])
        self.alphas.load_state_dict(state["alphas"])
        self.weight_optimiser.load_state_dict(state["weight_optimiser"])
        self.alpha_optimiser.load_state_dict(state["alpha_optimiser"])
        self.derived = [(string, score) for string, score in state["derived"]]
        self.start, self.budget = state["cycle"]
        self.history = {name: list(values) for name, values in state["history"].items()}
