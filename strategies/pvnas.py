"""PV-NAS: practical neural architecture search for video recognition, with its diversity scheduler.

A supernet holds all candidates. Its weights train on search-train along paths sampled from a distribution over
architectures; the distribution trains on search-val through binary gates on two sampled candidates per block
(ProxylessNAS), so that only paths are ever computed, not the mixture. A learning-rate scheduler with warm restarts
drives the search from basin to basin; the architecture at the end of each cycle is kept, and the best of them returned.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from pvnas_bench import Architecture, Info, Problem, SearchFinished, Strategy, StrategyConfig
from pvnas_bench.distribution import FactorisedDistribution
from pvnas_bench.gates import input_loss, sample_input, two_path_plan

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


def cycle_at(progress: float, cycles: int, growth: float) -> tuple[int, float]:
    """Which cycle a progress in [0, 1] lies in, and the fraction of that cycle that has passed."""
    lengths = np.array([growth**c for c in range(cycles)])
    ends = np.cumsum(lengths) / lengths.sum()
    cycle = min(int(np.searchsorted(ends, progress, side="right")), cycles - 1)
    start = ends[cycle - 1] if cycle else 0.0
    return cycle, min((progress - start) / (ends[cycle] - start), 1.0)


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
        "derived per cycle), how derived architectures are compared, all hyper-parameters",
    )

    class Config(StrategyConfig):
        scheduler: Schedule = Field("diversity", description="learning-rate schedule; all but diversity are ablations")
        scheduled: Literal["weights", "alphas", "both"] = Field("both", description="what it schedules (R)")
        cycles: int = Field(4, ge=1, le=32, description="warm-restart cycles, 4-6 (R)")
        decay: float = Field(1.0, gt=0, le=1, description="γ: the peak rate's factor per cycle, 1 or 0.7 (R)")
        growth: float = Field(1.0, ge=1, le=4, description="m: a cycle's length over the one before, 1 or 2 (R, SGDR)")
        floor: float = Field(0.01, ge=0, lt=1, description="η_min/η_max (R)")
        warmup: float = Field(0.15, ge=0, lt=1, description="part of the search that trains weights only (R)")
        weight_rate: float = Field(0.1, gt=0, description="peak rate of SGD-Nesterov, momentum 0.9 (R)")
        weight_decay: float = Field(4e-5, ge=0, description="of the weights (ProxylessNAS)")
        label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the weights' loss (ProxylessNAS)")
        alpha_rate: float = Field(0.1, gt=0, description="peak rate of Adam, β=(0, 0.999) (β: ProxylessNAS)")
        macs_weight: float = Field(0.5, ge=0, description="λ of |E[MACs]/target - 1| (R)")
        target: float = Field(0.9, gt=0, description="target MACs over the cap (R)")

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet = problem.supernet()
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.expected_macs = problem.expected_macs()
        self.weight_optimiser = torch.optim.SGD(
            self.supernet.parameters(),
            lr=config.weight_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=config.weight_decay,
            foreach=True,
        )
        self.alpha_optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.derived: list[tuple[str, float]] = []
        self.comparing = 0.0
        self.history: dict[str, list[float]] = {"alpha_entropy": [], "learning_rate": [], "expected_macs": []}
        reference = problem.cost(problem.space.reference).macs
        comparison = problem.evaluation_cost(problem.space.reference) * max(problem.cap / reference, 1.0)
        pair_of_steps = 9 * problem.cap * problem.batch_size / problem.ledger.reference
        self.budget = max(problem.ledger.budget - config.cycles * (comparison + pair_of_steps), 0.0)

    @property
    def progress(self) -> float:
        """The part of the search's budget that is spent, comparisons of derived architectures aside."""
        return min((self.problem.ledger.spent - self.comparing) / self.budget, 1.0) if self.budget else 1.0

    def step(self) -> None:
        """One epoch of search-train, or as much of it as is left of the cycle."""
        if len(self.derived) == self.config.cycles:
            raise SearchFinished
        validation: Iterator[Any] = iter(())
        rng = self.problem.torch_rng("paths")
        losses = []
        for batch in self.problem.search_batches("train"):
            if self.cycle > len(self.derived) or self.progress >= 1:
                self._derive()
                break
            self._set_rates()
            loss = self.supernet.loss(batch, self.alphas.sample(rng), self.config.label_smoothing)
            self.problem.backward(loss)
            self.problem.update(self.weight_optimiser, clip=5.0)
            losses.append(float(loss.detach()))
            if self.progress >= self.config.warmup:
                held_out = next(validation, None)
                if held_out is None:
                    validation = self.problem.search_batches("val")
                    held_out = next(validation)
                self._alpha_step(held_out, rng)
        self.history["alpha_entropy"].append(self.alphas.mean_entropy())
        self.history["learning_rate"].append(self._rate())
        self.history["expected_macs"].append(float(self.expected_macs(self.alphas.probabilities()).detach()))
        if losses:
            self.problem.log(train_loss=float(np.mean(losses)))
        self.problem.log(alpha_entropy=self.history["alpha_entropy"][-1])

    @property
    def cycle(self) -> int:
        return cycle_at(self.progress, self.config.cycles, self.config.growth)[0]

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
        frames, size = sample_input(self.alphas, rng)
        plan = two_path_plan(self.alphas, frames, size, rng)
        cross_entropy = self.supernet.loss(batch, plan, train_weights=False)
        loss = cross_entropy + input_loss(
            self.alphas,
            (frames, size),
            cross_entropy.detach(),
            lambda f, s: self.supernet.loss(batch, plan.at(f, s)),
            rng,
        )
        macs = self.expected_macs(self.alphas.probabilities())
        loss = loss + self.config.macs_weight * (macs / (self.config.target * self.problem.cap) - 1).abs().float()
        self.problem.backward(loss)
        self.problem.update(self.alpha_optimiser)

    def _derive(self) -> None:
        """The end of a cycle: derive an architecture and measure it by a short stand-alone training."""
        architecture = self.alphas.best(self.problem.costs, self.problem.cap)
        before = self.problem.ledger.spent
        known = dict(self.derived)
        top1 = known.get(str(architecture))
        if top1 is None:
            top1 = self.problem.evaluate(architecture).top1
        self.comparing += self.problem.ledger.spent - before
        self.derived.append((str(architecture), top1))
        self.problem.log(val_top1=max(score for _, score in self.derived))

    def incumbent(self) -> Architecture:
        if not self.derived:
            return self.alphas.best(self.problem.costs, self.problem.cap)
        return self.problem.space.parse(max(self.derived, key=lambda pair: pair[1])[0])

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
            "comparing": self.comparing,
            "history": {name: list(values) for name, values in self.history.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.supernet.load_state_dict(state["supernet"])
        self.alphas.load_state_dict(state["alphas"])
        self.weight_optimiser.load_state_dict(state["weight_optimiser"])
        self.alpha_optimiser.load_state_dict(state["alpha_optimiser"])
        self.derived = [(string, score) for string, score in state["derived"]]
        self.comparing = state["comparing"]
        self.history = {name: list(values) for name, values in state["history"].items()}
