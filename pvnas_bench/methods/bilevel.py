"""Bilevel search on a supernet: base classes of DARTS-like strategies.

Weights train on search-train and architecture parameters (alphas) on search-val, in alternation. Frames and size cannot
be mixed, as a forward pass has one input: they are those of the reference architecture, unless a strategy samples them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.shared_weights import SharedWeights, WeightsConfig
from pvnas_bench.methods.signals import log_held_out_loss
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Mixture, Plan, turns
from pvnas_bench.problem import Json
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.strategy import SearchFinished, Strategy
from pvnas_bench.video import ClipBatch

INPUT = ("frames", "size")
IMPOSSIBLE = -1e3
"""Logit of probability 0 in single precision, beside a logit of 0; finite, as log-probabilities are summed."""

Weights = Mapping[str, Tensor]
"""Weights of the options, by decision name."""


def mixture_plan(
    space: BlockSpace,
    weights: Weights,
    frames: int,
    size: int,
    part: int = 1,
    rng: np.random.Generator | None = None,
) -> Plan:
    """Plan of the weighted mixture of all candidates of each slot and all depths of each stage (DARTS, eq. 2).

    A stage's output is Σ_d w_d · (output of block d). A slot with a residual computes x + Σ_o w_o · branch_o, where the
    branch of ``skip`` is 0; if the weights sum to one, this equals Σ_o w_o · candidate_o(x).

    Args:
        frames, size: frames and size of the clips.
        part: operators see 1/part of their channels, the others bypass them (PC-DARTS).
        rng: draws which part of each slot's channels; None: the first.
    """
    counts = [turns(slot.cin * max(space.expansions), part) for slot in space.slots]
    drawn = [0] * len(counts) if rng is None else rng.integers(counts).tolist()
    slots = tuple(
        Mixture(weights[f"operator.{s.name}"], weights[f"expansion.{s.name}"], weights[f"se.{s.name}"], part, turn)
        for s, turn in zip(space.slots, drawn, strict=True)
    )
    depths = tuple(
        tuple((depth, weights[f"depth.{s}"][i]) for i, depth in enumerate(stage.depths))
        for s, stage in enumerate(space.stages, 1)
    )
    return Plan(frames, size, slots, depths)


def fix_input(distribution: FactorisedDistribution, architecture: Architecture) -> None:
    """Fix a distribution's frames and size to an architecture's, and exclude them from learning."""
    for decision, logit, choice in zip(
        distribution.space.decisions, distribution.logits, architecture.choices, strict=True
    ):
        if decision.name in INPUT:
            logit.data.fill_(IMPOSSIBLE)[choice] = 0.0
            logit.requires_grad_(False)


def learnt_entropy(distribution: FactorisedDistribution) -> float:
    """Mean entropy of the learnt decisions, as a fraction of the uniform distribution's."""
    free = [logit for logit in distribution.logits if logit.requires_grad and len(logit) > 1]
    with torch.no_grad():
        shares = [float(torch.special.entr(logit.softmax(0)).sum()) / math.log(len(logit)) for logit in free]
    return float(np.mean(shares))


def skips(space: BlockSpace, architecture: Architecture) -> int:
    """Number of skipped blocks of an architecture; many indicate the collapse of DARTS."""
    options = space.options(architecture)
    return sum(options.get(f"operator.{slot.name}") == "skip" for slot in space.slots)


def gradients(loss: Tensor, tensors: Sequence[Tensor], backward: Callable[[Tensor], None]) -> list[Tensor]:
    """Gradients of a loss with respect to leaf tensors, zero for unused ones; leaves their ``grad`` empty."""
    for tensor in tensors:
        tensor.grad = None
    backward(loss)
    result = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]
    for tensor in tensors:
        tensor.grad = None
    return result


class BilevelConfig(WeightsConfig):
    """Hyper-parameters of bilevel search; a strategy overrides defaults that differ in its paper."""

    alpha_rate: float = Field(
        0.03, gt=0, description="rate of Adam, β=(0.5, 0.999) (R: DARTS' 3e-4 times the ratio of alpha steps, 100)"
    )
    alpha_decay: float = Field(1e-3, ge=0, description="weight decay of the alphas (DARTS)")
    warmup: float = Field(0.0, ge=0, lt=1, description="part of the search that trains weights only (0 in DARTS)")


BC = TypeVar("BC", bound=BilevelConfig, default=BilevelConfig)


class Bilevel(Strategy[BC, BlockSpace]):
    """Alternating optimisation of weights and alphas; a strategy defines the plans to compute and the alphas' steps.

    Attributes:
        supernet, weights: the supernet, and the optimiser of its weights.
        alphas: the learnt distribution over architectures.
    """

    def setup(self) -> None:
        """Build the supernet, the alphas and their optimisers, and reserve budget for `finish`."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.alphas = FactorisedDistribution(problem.space, problem.device, problem.rng("ties"))
        self.prepare()
        self.weights = SharedWeights(problem, config, self.supernet)
        self.alpha_optimiser = torch.optim.Adam(
            [logit for logit in self.alphas.parameters() if logit.requires_grad],
            lr=config.alpha_rate,
            betas=(0.5, 0.999),
            weight_decay=config.alpha_decay,
        )
        self.final: dict[str, float] = {}
        self.stopped = False
        """True if the next step only calls `finish`."""
        problem.set_aside(validations=1)

    # --- to be implemented by a strategy ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Hook to change the alphas before the optimisers are built."""

    def weight_plan(self) -> Plan | Architecture:
        """Return the plan or path of a weight step, without gradients for the alphas."""
        raise NotImplementedError

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Update the alphas; return the loss on the held-out batch.

        Args:
            batch: batch of search-train, also used by the next weight step.
            held_out: batch of search-val.
        """
        raise NotImplementedError

    def distribution(self) -> FactorisedDistribution:
        """Distribution over architectures defined by the alphas."""
        return self.alphas

    def finish(self) -> None:
        """End the search: validate the final path with the supernet's weights."""
        top1, loss = self.supernet.validate(self.as_searched(self.incumbent()), self.problem.validation_batches())
        self.final = {"path_top1": top1, "path_loss": loss}
        self.problem.log(val_top1=top1)

    # --- the search ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Run one epoch of search-train, or as much of it as the budget allows."""
        problem, config = self.problem, self.config
        if self.final:
            raise SearchFinished
        for batch, held_out in problem.search_pairs():
            if self.stopped:
                break
            if problem.progress >= config.warmup:
                log_held_out_loss(problem, self.alpha_step(batch, held_out))
            self.weights.step(batch, self.weight_plan(), config.rate(problem.progress))
        if self.stopped or problem.progress >= 1:
            self.finish()
        skipped = skips(problem.space, self.incumbent())
        problem.log(alpha_entropy=learnt_entropy(self.distribution()), skips=skipped)

    def alpha_loss(self, held_out: ClipBatch, plan: Plan) -> Tensor:
        """Loss of a plan on a batch, with gradients for the alphas only: its passes cost 2 forward passes, not 3."""
        return self.supernet.loss(held_out, plan, train_weights=False)

    def descend(self, loss: Tensor) -> None:
        """Take a first-order step of the alphas down an `alpha_loss`, or down a sum of it and other terms."""
        self.problem.backward(loss)
        self.supernet.zero_grad(set_to_none=True)
        self.problem.update(self.alpha_optimiser)

    def as_searched(self, architecture: Architecture) -> Architecture:
        """Return an architecture with the search's frames and size, if these are fixed."""
        return architecture

    # --- results for the harness --------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The most probable architecture under the caps."""
        return self.distribution().best(self.problem.costs, self.problem.caps)

    def score(self, architecture: Architecture) -> float | None:
        """Top-1 on search-val with the supernet's weights, at the search's frames and size."""
        return self.supernet_score(self.as_searched(architecture))

    def diagnostics(self) -> Mapping[str, Json]:
        """Final accuracies of the search."""
        return self.final


class FixedInputConfig(BilevelConfig):
    """Hyper-parameters of strategies that search with fixed frames and size."""

    search_size: Literal["smallest", "reference"] = Field(
        "smallest",
        description="pixels of the clips that the search sees; the result has the reference's (R: DARTS "
        "too searches on a smaller network; at the smallest size the budget holds twice as many steps)",
    )


FC = TypeVar("FC", bound=FixedInputConfig, default=FixedInputConfig)


class FixedInputSearch(Bilevel[FC]):
    """Bilevel search at the reference's frames and one size; the result has the reference's frames and size."""

    def prepare(self) -> None:
        """Fix frames and size."""
        reference = self.problem.space.reference
        fix_input(self.alphas, reference)
        options, sizes = self.problem.space.options(reference), self.problem.space.sizes
        size = min(sizes) if self.config.search_size == "smallest" else int(options["size"])
        self.input = int(options["frames"]), size

    def as_searched(self, architecture: Architecture) -> Architecture:
        """Return an architecture with the search's frames and size."""
        space, (frames, size) = self.problem.space, self.input
        rest = [max(choice, 0) for choice in architecture.choices[2:]]
        return space.architecture([space.frames.index(frames), space.sizes.index(size), *rest])


class MixtureSearch(FixedInputSearch[FC]):
    """Bilevel search on the whole mixture in every step, with first-order steps of the alphas."""

    def setup(self) -> None:
        """Set up the search, and reserve budget for the mixture's validation."""
        super().setup()
        macs = plan_macs(self.problem.costs, self.plan(self.alphas.probabilities()))
        self.problem.set_aside(validations=1, macs=macs)

    def mixed(self) -> Weights:
        """Weights of the mixture in this step, differentiable in the alphas."""
        return self.alphas.probabilities()

    def plan(self, weights: Weights) -> Plan:
        """Plan of the mixture with these weights."""
        return mixture_plan(self.problem.space, weights, *self.input)

    def weight_plan(self) -> Plan:
        """Plan of the mixture, without gradients for the alphas."""
        with torch.no_grad():
            return self.plan(self.mixed())

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Take a first-order step on the mixture's loss."""
        loss = self.alpha_loss(held_out, self.plan(self.mixed()))
        self.descend(loss)
        return float(loss.detach())

    @torch.no_grad()
    def finish(self) -> None:
        """Measure the discretisation gap: the mixture's accuracy minus the path's, with the supernet's weights."""
        plan, hits = self.plan(self.distribution().probabilities()), 0
        for batch in self.problem.validation_batches():
            hits += int((self.supernet(batch, plan).argmax(1) == self.supernet.labels(batch)).sum())
        super().finish()
        top1 = hits / self.problem.clips_in("val")
        self.final |= {"mixture_top1": top1, "discretisation_drop": top1 - self.final["path_top1"]}
