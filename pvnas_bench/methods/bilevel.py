"""Bilevel search on a supernet: what DARTS-like strategies share.

Weights train on search-train and architecture parameters (alphas) on search-val, in alternation. Frames and size of
the input cannot be mixed, as one forward pass sees one clip: they stay at the reference architecture's, unless a
strategy samples them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Mixture, Plan
from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.strategy import SearchFinished, Strategy, StrategyConfig
from pvnas_bench.video import ClipBatch

INPUT = ("frames", "size")
IMPOSSIBLE = -1e3
"""A logit beside 0 whose probability is 0 in single precision; finite, as log-probabilities are summed."""

Weights = Mapping[str, Tensor]
"""By decision name, the weight of each option."""


def mixture_plan(space: BlockSpace, weights: Weights, frames: int, size: int, part: int = 1) -> Plan:
    """Every candidate of every slot and every depth of every stage, each times its weight (DARTS, eq. 2).

    A stage's output is Σ_d w_d · (output of block d). A slot with a residual is x + Σ_o w_o · branch_o, the branch of
    ``skip`` being 0: with weights that sum to one this is Σ_o w_o · candidate_o(x).

    Args:
        frames, size: of the clips.
        part: operators see 1/part of their channels, the others pass by (PC-DARTS).
    """
    slots = tuple(
        Mixture(weights[f"operator.{s.name}"], weights[f"expansion.{s.name}"], weights[f"se.{s.name}"], part)
        for s in space.slots
    )
    depths = tuple(
        tuple((depth, weights[f"depth.{s}"][i]) for i, depth in enumerate(stage.depths))
        for s, stage in enumerate(space.stages, 1)
    )
    return Plan(frames, size, slots, depths)


def fix_input(distribution: FactorisedDistribution, architecture: Architecture) -> None:
    """Make an architecture's frames and size certain, and take them out of the learning."""
    for decision, logit, choice in zip(
        distribution.space.decisions, distribution.logits, architecture.choices, strict=True
    ):
        if decision.name in INPUT:
            logit.data.fill_(IMPOSSIBLE)[choice] = 0.0
            logit.requires_grad_(False)


def learnt_entropy(distribution: FactorisedDistribution) -> float:
    """The mean entropy of the decisions that are learnt, as a fraction of the uniform one's."""
    free = [logit for logit in distribution.logits if logit.requires_grad and len(logit) > 1]
    with torch.no_grad():
        shares = [float(torch.special.entr(logit.softmax(0)).sum()) / math.log(len(logit)) for logit in free]
    return float(np.mean(shares))


def skips(space: BlockSpace, architecture: Architecture) -> int:
    """The number of blocks of an architecture that are skipped: many are a sign of DARTS' collapse."""
    options = space.options(architecture)
    return sum(options.get(f"operator.{slot.name}") == "skip" for slot in space.slots)


def rate_at(progress: float, peak: float, floor: float, rising: float = 0.0) -> float:
    """A linear rise to the peak, then half a cosine to the floor (SGDR, Loshchilov & Hutter 2017, no restarts).

    Args:
        progress: of the search, in [0, 1].
        rising: the part of it that the rise takes.
    """
    if progress < rising:
        return floor + (peak - floor) * progress / rising
    within = (progress - rising) / (1 - rising)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * within))


def gradients(loss: Tensor, tensors: Sequence[Tensor], backward: Callable[[Tensor], None]) -> list[Tensor]:
    """The gradients of a loss with respect to leaf tensors, whose ``grad`` is left empty; zero where it is not used."""
    for tensor in tensors:
        tensor.grad = None
    backward(loss)
    found = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]
    for tensor in tensors:
        tensor.grad = None
    return found


class OptimiserConfig(StrategyConfig):
    """Hyper-parameters of what optimises a supernet's weights."""

    optimiser: Literal["adamw", "sgd"] = Field(
        "adamw",
        description="adamw: the protocol's (R: the mixture's loss after 4 epochs on synthetic_motion is 2.56 with it, "
        "2.73 with sgd, 2.77 being chance); sgd with momentum 0.9: DARTS",
    )
    weight_rate: float = Field(
        8e-3, gt=0, description="peak rate of the weights (R: the protocol's; DARTS: sgd, 0.025)"
    )
    weight_decay: float = Field(0.05, ge=0, description="of the weights (R: the protocol's; DARTS: 3e-4)")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the weights' loss (R: the protocol's; DARTS: 0)")
    gradient_clip: float = Field(5.0, gt=0, description="largest norm of the weights' gradient (DARTS)")


class WeightsConfig(OptimiserConfig):
    """The same with a schedule of one rise and one cosine."""

    weight_floor: float = Field(0.0, ge=0, description="last rate of the weights' cosine (R; DARTS: 0.001)")
    rising: float = Field(0.1, ge=0, lt=1, description="part of the search in which the weights' rate rises (R)")


def make_weight_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser of a supernet's weights."""
    if config.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=config.weight_rate, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.SGD(
        parameters, lr=config.weight_rate, momentum=0.9, weight_decay=config.weight_decay, foreach=True
    )


def set_rate(optimiser: torch.optim.Optimizer, config: WeightsConfig, progress: float) -> None:
    """Set the weights' learning rate for this progress of the search."""
    for group in optimiser.param_groups:
        group["lr"] = rate_at(progress, config.weight_rate, config.weight_floor, config.rising)


class BilevelConfig(WeightsConfig):
    """Hyper-parameters of bilevel search; a strategy overrides those that its paper sets otherwise."""

    alpha_rate: float = Field(
        0.03, gt=0, description="rate of Adam, β=(0.5, 0.999) (R: DARTS' 3e-4 times the ratio of alpha steps, 100)"
    )
    alpha_decay: float = Field(1e-3, ge=0, description="weight decay of the alphas (DARTS)")
    warmup: float = Field(0.0, ge=0, lt=1, description="part of the search that trains weights only (0 in DARTS)")


class Bilevel(Strategy):
    """Alternating optimisation; a strategy says which plans it computes, and how alphas become an architecture."""

    Config: ClassVar[type[StrategyConfig]] = BilevelConfig

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet = problem.supernet()
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.prepare()
        self.weight_optimiser = make_weight_optimiser(self.supernet.parameters(), config)
        self.alpha_optimiser = torch.optim.Adam(
            [logit for logit in self.alphas.parameters() if logit.requires_grad],
            lr=config.alpha_rate,
            betas=(0.5, 0.999),
            weight_decay=config.alpha_decay,
        )
        self.history: dict[str, list[float]] = {"alpha_entropy": [], "skips": []}
        self.final: dict[str, float] = {}
        self.stopped = False
        """Whether the strategy wants no more than to `finish`."""
        self.finished = False
        self.iteration = 0.0
        """Reference trainings of the dearest iteration so far."""
        self.budget = problem.ledger.budget - min(self.reserve(), 0.25 * problem.ledger.budget)

    # --- what a strategy fills in -------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Change the alphas before the optimisers see them."""

    def weight_plan(self) -> Plan | Architecture:
        """What one weight step computes, without gradients to the alphas."""
        raise NotImplementedError

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """One step of the alphas; returns the loss on the held-out batch.

        Args:
            batch: of search-train, which the weights' next step sees as well.
            held_out: of search-val.
        """
        raise NotImplementedError

    def distribution(self) -> FactorisedDistribution:
        """The distribution over architectures that the alphas stand for."""
        return self.alphas

    def reserve(self) -> float:
        """Reference trainings that `finish` needs."""
        problem = self.problem
        return problem.cap * problem.clips_in("val") / problem.ledger.reference

    def finish(self) -> None:
        """The end of the search: measure the path found, with the supernet's weights."""
        top1, loss = self.supernet.validate(self.as_searched(self.incumbent()), self.problem.validation_batches())
        self.final = {"path_top1": top1, "path_loss": loss}
        self.problem.log(val_top1=top1)

    # --- the search ---------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """The part of the search's budget that is spent."""
        return min(self.problem.ledger.spent / self.budget, 1.0)

    def step(self) -> None:
        """One epoch of search-train, or as much of it as the budget allows."""
        if self.finished:
            raise SearchFinished
        held_out: Iterator[ClipBatch] = iter(())
        losses, held_out_losses = [], []
        for batch in self.problem.search_batches("train"):
            before = self.problem.ledger.spent
            if self.stopped or before + self.iteration > self.budget:
                self.finished = True
                self.finish()
                break
            if self.progress >= self.config.warmup:
                validation = next(held_out, None)
                if validation is None:
                    held_out = self.problem.search_batches("val")
                    validation = next(held_out)
                held_out_losses.append(self.alpha_step(batch, validation))
            losses.append(self.weight_step(batch))
            self.iteration = max(self.iteration, self.problem.ledger.spent - before)
        self.history["alpha_entropy"].append(learnt_entropy(self.distribution()))
        self.history["skips"].append(skips(self.problem.space, self.incumbent()))
        self.problem.log(alpha_entropy=self.history["alpha_entropy"][-1])
        for name, values in (("train_loss", losses), ("search_val_loss", held_out_losses)):
            if values:
                self.problem.log(**{name: float(np.mean(values))})

    def weight_step(self, batch: ClipBatch) -> float:
        """One step of the weights; returns the loss."""
        config = self.config
        set_rate(self.weight_optimiser, config, self.progress)
        loss = self.supernet.loss(batch, self.weight_plan(), config.label_smoothing)
        self.problem.backward(loss)
        self.problem.update(self.weight_optimiser, clip=config.gradient_clip)
        return float(loss.detach())

    def descend(self, loss: Tensor) -> None:
        """One first-order step of the alphas; the weights' gradients of this loss are dropped."""
        self.problem.backward(loss)
        self.supernet.zero_grad(set_to_none=True)
        self.problem.update(self.alpha_optimiser)

    def as_searched(self, architecture: Architecture) -> Architecture:
        """An architecture as the search has seen it: on its input, where that is fixed."""
        return architecture

    # --- what the harness asks for ------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        return self.distribution().best(self.problem.costs, self.problem.cap)

    def score(self, architecture: Architecture) -> float:
        """Top-1 on search-val with the supernet's weights."""
        return self.supernet.validate(self.as_searched(architecture), self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Any]:
        return self.history | self.final

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "alphas": self.alphas.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "history": {name: list(values) for name, values in self.history.items()},
            "final": dict(self.final),
            "stopped": self.stopped,
            "finished": self.finished,
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.supernet.load_state_dict(state["supernet"])
        self.alphas.load_state_dict(state["alphas"])
        self.weight_optimiser.load_state_dict(state["weight_optimiser"])
        self.alpha_optimiser.load_state_dict(state["alpha_optimiser"])
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.final = dict(state["final"])
        self.stopped, self.finished, self.iteration = state["stopped"], state["finished"], state["iteration"]


class FixedInputConfig(BilevelConfig):
    """Hyper-parameters of strategies that search on one fixed input."""

    search_size: Literal["smallest", "reference"] = Field(
        "smallest",
        description="pixels of the clips that the search sees; the architecture found has the reference's (R: DARTS "
        "too searches on a smaller network. At the smallest size the budget holds twice as many steps, without which "
        "shared weights learn next to nothing)",
    )


class FixedInputSearch(Bilevel):
    """The search sees clips of the reference's frames and of one size; the architecture found has the reference's."""

    Config: ClassVar[type[StrategyConfig]] = FixedInputConfig

    def prepare(self) -> None:
        reference = self.problem.space.reference
        fix_input(self.alphas, reference)
        options, sizes = self.problem.space.options(reference), self.problem.space.sizes
        size = min(sizes) if self.config.search_size == "smallest" else int(options["size"])
        self.input = int(options["frames"]), size

    def as_searched(self, architecture: Architecture) -> Architecture:
        space, (frames, size) = self.problem.space, self.input
        rest = [max(choice, 0) for choice in architecture.choices[2:]]
        return space.architecture([space.frames.index(frames), space.sizes.index(size), *rest])


class MixtureSearch(FixedInputSearch):
    """Every step computes the whole mixture; alphas take first-order steps."""

    part = 1
    """See `mixture_plan`."""

    def mixed(self) -> Weights:
        """The weights of the mixture in this step, differentiable in the alphas."""
        return self.alphas.probabilities()

    def plan(self, weights: Weights) -> Plan:
        """The mixture with these weights."""
        return mixture_plan(self.problem.space, weights, *self.input, self.part)

    def weight_plan(self) -> Plan:
        with torch.no_grad():
            return self.plan(self.mixed())

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        loss = self.supernet.loss(held_out, self.plan(self.mixed()))
        self.descend(loss)
        return float(loss.detach())

    def reserve(self) -> float:
        problem = self.problem
        macs = plan_macs(problem.costs, self.plan(self.alphas.probabilities()))
        return super().reserve() + macs * problem.clips_in("val") / problem.ledger.reference

    @torch.no_grad()
    def finish(self) -> None:
        """Measure what discretisation costs: the mixture's accuracy less the path's, on the supernet's weights."""
        plan, hits = self.plan(self.distribution().probabilities()), 0
        for batch in self.problem.validation_batches():
            hits += int((self.supernet(batch, plan).argmax(1) == self.supernet.labels(batch)).sum())
        super().finish()
        top1 = hits / self.problem.clips_in("val")
        self.final |= {"mixture_top1": top1, "discretisation_drop": top1 - self.final["path_top1"]}
