"""Gates on sampled candidates: gradients for architecture parameters at the cost of one or two paths.

Two paths, ProxylessNAS (Cai, Zhu & Han 2019, section 3.2.1): of two sampled candidates, one is the block's output. The
gradients of their gates give those of their probabilities, renormalised over the two. One path, GDAS (Dong & Yang
2019): each decision is a hard Gumbel-softmax.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.shared_weights import set_rate
from pvnas_bench.methods.signals import ChanceGuard, CostShare, GuardConfig, log_held_out_loss, recorded
from pvnas_bench.network.supernet import Candidate, Gated, Plan
from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, BlockSpace


def straight_through(log_weights: Tensor, generator: torch.Generator) -> Tensor:
    """Sample a one-hot vector from softmax(log_weights), with the gradient of these probabilities.

    Args:
        log_weights: (k,) log-weights, differentiable.
    """
    probabilities = log_weights.softmax(0)
    picked = int(torch.multinomial(probabilities.detach().cpu(), 1, generator=generator))
    hard = torch.zeros_like(probabilities)
    hard[picked] = 1.0
    return hard + (probabilities - probabilities.detach())  # the bracket is exactly zero: it only adds the gradient


def thrifty(space: BlockSpace, thrift: float) -> Tensor:
    """Cost correction (decisions, most options) to add to log-probabilities before sampling frames and size.

    They are then sampled from Q(f, s) ∝ P(f) P(s) / (f s²)^thrift. The MACs of a path grow with f s², so with thrift 1
    and uniform P all inputs use the same share of a budget.
    """
    added = torch.zeros(len(space.decisions), max(len(decision.options) for decision in space.decisions))
    for name, options, power in (("frames", space.frames, 1), ("size", space.sizes, 2)):
        added[space.position(name), : len(options)] = -thrift * power * torch.tensor(options).log()
    return added


def input_log_probabilities(space: BlockSpace, log_p: Tensor) -> Tensor:
    """Log-probabilities Q of ``frames`` and ``size``: (2, most options), renormalised, differentiable.

    Args:
        log_p: (decisions, most options), `FactorisedDistribution.log_table`, optionally with `thrifty` added.
    """
    return log_p[[space.position("frames"), space.position("size")]].log_softmax(1)


@torch.no_grad()
def sample_input(space: BlockSpace, log_p: Tensor, generator: torch.Generator) -> tuple[int, int]:
    """Sample option indices of the decisions ``frames`` and ``size``; see `input_log_probabilities`."""
    p = input_log_probabilities(space, log_p).exp().cpu()
    frames, size = (p / torch.empty_like(p).exponential_(generator=generator)).argmax(1).tolist()
    return frames, size


def input_loss(
    space: BlockSpace,
    log_p: Tensor,
    first: tuple[int, int],
    loss: Tensor,
    loss_at: Callable[[int, int], Tensor],
    generator: torch.Generator,
) -> Tensor:
    """Loss term with REINFORCE's gradient for (frames, size); a second sample is the baseline (leave-one-out).

    Args:
        log_p: log-probabilities from which `first` was sampled, see `input_log_probabilities`.
        first: option indices of the input that has this loss.
        loss_at: returns the loss at other frames and size.
    """
    second = sample_input(space, log_p, generator)
    if second == first:
        return loss.new_zeros(())
    with torch.no_grad():
        other = loss_at(space.frames[second[0]], space.sizes[second[1]])
    log_q = input_log_probabilities(space, log_p)
    difference = [log_q[0, f] + log_q[1, s] for f, s in (first, second)]
    term: Tensor = 0.5 * (loss - other) * (difference[0] - difference[1])
    return term


def two_path_plan(space: BlockSpace, log_p: Tensor, frames: int, size: int, generator: torch.Generator) -> Plan:
    """Plan with two sampled candidates per slot and two sampled depths per stage, one of each active.

    Args:
        log_p: (decisions, most options), `FactorisedDistribution.log_table`; the gates carry its gradient.
        frames, size: option indices of the input.
    """
    p = log_p.detach().exp().cpu().numpy()
    depths, reached = [], []
    for s, stage in enumerate(space.stages, 1):
        position = space.position(f"depth.{s}")
        options = sorted(_two(p[position, : len(stage.depths)], generator))
        gates = straight_through(log_p[position][options], generator) if len(options) > 1 else None
        depths.append(tuple((stage.depths[o], None if gates is None else gates[i]) for i, o in enumerate(options)))
        reached.append(max(stage.depths[o] for o in options))
    pairs: list[list[Candidate] | None] = []
    races = []
    for slot in space.slots:
        if slot.index > reached[slot.stage - 1]:
            pairs.append(None)
            continue
        probabilities = [p[i, : len(space.decisions[i].options)] for i in space.groups[slot.name]]
        pairs.append(_two_candidates(probabilities, slot.operators, generator))
        races.append(torch.empty(2).exponential_(generator=generator))
    gate = iter(_gates(_log_weights(space, log_p, pairs), torch.stack(races)))
    slots = [None if pair is None else list(zip(pair, next(gate), strict=True)) for pair in pairs]
    return Plan(space.frames[frames], space.sizes[size], tuple(slots), tuple(depths))


def two_path_loss(
    space: BlockSpace, log_p: Tensor, log_q: Tensor, loss_at: Callable[[Plan], Tensor], generator: torch.Generator
) -> Tensor:
    """Loss of a random two-path plan, with gradients for all logits: by gates for blocks, by REINFORCE for the input.

    Args:
        log_p: (decisions, most options), `FactorisedDistribution.log_table`.
        log_q: log-probabilities to sample the input from: log_p, optionally with `thrifty` added.
        loss_at: returns the loss of a plan.
    """
    drawn = sample_input(space, log_q, generator)
    plan = two_path_plan(space, log_p, *drawn, generator)
    loss = loss_at(plan)
    return loss + input_loss(space, log_q, drawn, loss.detach(), lambda f, s: loss_at(plan.at(f, s)), generator)


def gumbel_one_hot(log_p: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A one-hot sample of softmax(log_p) with the gradient of its Gumbel-softmax relaxation (GDAS, eqs. 5 and 6).

    Args:
        log_p: (options,) log-probabilities, differentiable.
        temperature: temperature τ.
    """
    uniform = torch.rand(log_p.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
    perturbed = log_p - uniform.log().neg().log().to(log_p)
    soft = (perturbed / temperature).softmax(0)
    hard = torch.zeros_like(soft)
    hard[perturbed.detach().argmax()] = 1.0
    return hard + soft - soft.detach()


def one_path_plan(space: BlockSpace, gates: dict[str, Tensor], frames: int, size: int) -> Plan:
    """Plan of the sampled candidate of each slot, times its gates, and the sampled depth of each stage (GDAS).

    A candidate's branch is multiplied, its residual is not: ``skip`` is the zero that others are measured against.
    The outputs at all depths lie on the deepest path and are all computed: the depths' gradient is exact.

    Args:
        gates: one-hot values by name of the decision, of all blocks and depths; they carry a gradient.
        frames, size: frames and size of the clips.

    Raises:
        ValueError: the gates of a block are not one-hot.
    """
    slots: list[Gated] = []
    for slot in space.slots:
        own = [gates[f"{kind}.{slot.name}"] for kind in ("operator", "expansion", "se")]
        o, e, a = (int(gate.detach().argmax()) for gate in own)
        candidate: Candidate = (o, e, a)
        weight = own[0][o] * own[1][e] * own[2][a]
        if abs(float(weight.detach()) - 1) > 1e-3:
            raise ValueError(f"gates must be one-hot: those of block {slot.name} multiply to {float(weight):.3f}")
        slots.append([(candidate, weight)])
    depths = tuple(
        tuple((depth, gates[f"depth.{s}"][i]) for i, depth in enumerate(stage.depths))
        for s, stage in enumerate(space.stages, 1)
    )
    return Plan(frames, size, tuple(slots), depths)


def gumbel_loss(
    space: BlockSpace,
    log_p: Tensor,
    log_q: Tensor,
    loss_at: Callable[[Plan], Tensor],
    generator: torch.Generator,
    temperature: float,
) -> Tensor:
    """Loss of a random one-path plan, with gradients for all logits: by Gumbel-softmax, by REINFORCE for the input.

    Args:
        log_p, log_q, loss_at: as of `two_path_loss`.
        temperature: τ of the Gumbel-softmax.
    """
    drawn = sample_input(space, log_q, generator)
    gates = {
        decision.name: gumbel_one_hot(row[: len(decision.options)], temperature, generator)
        for decision, row in zip(space.decisions, log_p, strict=True)
    }
    plan = one_path_plan(space, gates, space.frames[drawn[0]], space.sizes[drawn[1]])
    loss = loss_at(plan)
    return loss + input_loss(space, log_q, drawn, loss.detach(), lambda f, s: loss_at(plan.at(f, s)), generator)


Relaxation = Literal["two_path", "gumbel"]
CostTerm = Literal["none", "hinge", "symmetric", "multiplicative"]
PARTS = ("alphas", "optimiser", "guard", "signal")
"""Attributes of `BinaryGates` that have a state."""


class GatesConfig(GuardConfig):
    """Hyper-parameters of `BinaryGates`, and of the guard before its steps."""

    relaxation: Relaxation = Field(
        "two_path",
        description="two_path: binary gates (ProxylessNAS); gumbel: one path, hard Gumbel-softmax (GDAS) (R)",
    )
    temperature: float = Field(1.0, gt=0, description="τ of the Gumbel-softmax; 10 to 0.1 in GDAS (R)")
    alpha_rate: float = Field(
        0.02, gt=0, description="peak rate of Adam, β=(0, 0.999) (β: ProxylessNAS; rate R: times hundreds of steps)"
    )
    cost: CostTerm = Field("hinge", description="cost term, see `cost_term`; none: the cap is kept at the end only (R)")
    macs_weight: float = Field(
        0.1, ge=0, description="λ of hinge and symmetric, β of multiplicative (R; β in ProxylessNAS: 0.6)"
    )
    macs_share: float = Field(
        0.5, gt=0, le=1, description="largest share of the cost term in the norm of the alphas' gradient; 1: any (R)"
    )
    target: float = Field(1.0, gt=0, description="target of the expected cost over the cap that binds (R)")


def cost_term(kind: CostTerm, weight: float, load: Tensor, loss: float) -> tuple[float, Tensor]:
    """Factor of the loss' gradient, and the term to add, whose gradient is that of the cost.

    With r = E[cost]/target the objective is, and its gradient is `factor` · ∇loss + ∇`term`:

    - ``hinge``: loss + λ max(0, r - 1), which is silent under the target;
    - ``symmetric``: loss + λ |r - 1|;
    - ``multiplicative``: loss · r^β (as ProxylessNAS' and MnasNet's);
    - ``none``: loss.

    Args:
        weight: λ or β.
        load: r, differentiable in the probabilities.
        loss: value of the loss.
    """
    if kind == "hinge":
        return 1.0, weight * (load - 1).clamp_min(0)
    if kind == "symmetric":
        return 1.0, weight * (load - 1).abs()
    if kind == "multiplicative":
        factor = load**weight
        return float(factor.detach()), loss * factor
    return 1.0, load.new_zeros(())


class BinaryGates:
    """A distribution over architectures that learns through gated plans, with a term for its expected cost.

    Attributes:
        alphas: the distribution, at first uniform per decision.
        optimiser: Adam on its logits with β = (0, 0.999), as in ProxylessNAS.
        guard: to be shown the loss of each weight step; steps of the alphas should wait until it is passed.
        signal: the same on search-val, shown the loss of each step of the alphas.
        expected_macs: E[MACs], a function of `alphas.log_table().exp()`.
        steps: number of steps.
    """

    def __init__(
        self, problem: Problem[BlockSpace], config: GatesConfig, thrift: float | None = None, smoothing: float = 0.0
    ) -> None:
        """Make the distribution and its optimiser.

        Args:
            smoothing: label smoothing of the weights' loss, for `guard`.
            thrift: draw inputs with `thrifty` of this thrift added; None: by the distribution itself.
        """
        self._problem, self._config = problem, config
        self.alphas = FactorisedDistribution(problem.space, problem.device, problem.rng("ties"))
        self.optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.expected_macs, self._load = problem.expected_macs(), problem.cap_load()
        self._thrifty = None if thrift is None else thrifty(problem.space, thrift).to(problem.device)
        self.guard = ChanceGuard(problem, config, smoothing)
        self.signal = ChanceGuard(problem, config, split="val")
        self.steps, self._walked = 0, 0.0

    def start(self, classes: Sequence[int]) -> None:
        """Start both guards anew, with batches of these classes."""
        self.guard.start(classes)
        self.signal.start(classes)

    def sample(self) -> Architecture:
        """A random architecture."""
        return self.alphas.sample(self._problem.torch_rng("paths"), self._thrifty)

    def step(self, loss_at: Callable[[Plan], Tensor], rate: float | None = None, classes: int | None = None) -> float:
        """Take a step down the loss of a random plan and the cost term; return the loss.

        See `two_path_loss`, `gumbel_loss` and `cost_term`.

        It logs the plan's loss (`log_held_out_loss`) and the term's share of the gradient (`CostShare`).

        Args:
            loss_at: returns the loss of a plan.
            rate: learning rate from this step on; None: as before.
            classes: number of classes that the batch may contain; None: all.
        """
        problem, config, log_p = self._problem, self._config, self.alphas.log_table()
        log_q = log_p if self._thrifty is None else log_p + self._thrifty
        losses: list[float] = []
        words = problem.space, log_p, log_q, recorded(loss_at, losses), problem.torch_rng("paths")
        loss = two_path_loss(*words) if config.relaxation == "two_path" else gumbel_loss(*words, config.temperature)
        load = self._load(log_p.exp(), config.target)
        factor, term = cost_term(config.cost, config.macs_weight, load, losses[0])
        share = CostShare(term, self.alphas.parameters())
        problem.backward(factor * loss + term)
        share.limit(config.macs_share)
        share.log(problem)
        log_held_out_loss(problem, losses[0], classes)
        if rate is not None:
            set_rate(self.optimiser, rate)
        problem.update(self.optimiser)
        self.signal.see(losses[0])
        self.steps += 1
        self._walked += self.optimiser.param_groups[0]["lr"] ** 2
        return losses[0]

    @torch.no_grad()
    def sharpness(self) -> float:
        """Distance from uniform as a multiple of what steps without a signal give, about 1 for these; 0 at first.

        The distance is Σ (ln k - H) over the decisions, k options left. A step of Adam with β1 = 0 on noise moves each
        logit by about the rate η at random, so that Σ η²/2 of all steps is its mean per decision, while small.
        """
        rows = [row.log_softmax(0) for row in (logit[logit.isfinite()] for logit in self.alphas.logits) if len(row) > 1]
        distance = sum(math.log(len(log_p)) + float((log_p.exp() * log_p).sum()) for log_p in rows)
        expected = len(rows) * self._walked / 2
        return distance / expected if expected > 0 else 0.0

    def prune_least(self, ratio: float) -> list[tuple[str, str]]:
        """`FactorisedDistribution.prune_least`, which keeps the options of the best architecture."""
        return self.alphas.prune_least(ratio, self.best(), self.optimiser)

    @torch.no_grad()
    def reset(self) -> None:
        """Make the distribution uniform over the unpruned options again, and clear the optimiser's state."""
        for logit in self.alphas.logits:
            logit[logit.isfinite()] = 0.0
        self.optimiser.state.clear()
        self._walked = 0.0

    def best(self) -> Architecture:
        """The most probable architecture under the caps; see `FactorisedDistribution.best`."""
        return self.alphas.best(self._problem.costs, self._problem.caps)

    def state_dict(self) -> dict[str, Any]:
        """State of the distribution, its optimiser and the guards, and the number and lengths of the steps."""
        parts = {name: getattr(self, name).state_dict() for name in PARTS}
        return {**parts, "steps": self.steps, "walked": self._walked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.steps, self._walked = state["steps"], state["walked"]


def _two(p: npt.NDArray[np.float32], generator: torch.Generator) -> list[int]:
    """Sample two different indices by probability, without replacement; fewer if there are fewer.

    It uses an exponential race: the first two arrivals at rates p (Efraimidis & Spirakis 2006).
    """
    rates = p / torch.empty(len(p)).exponential_(generator=generator).numpy()
    first: list[int] = np.argsort(-rates)[:2].tolist()
    return first


def _two_candidates(
    p: Sequence[npt.NDArray[np.float32]], operators: tuple[str, ...], generator: torch.Generator
) -> list[Candidate]:
    """Sample two different candidates of a slot by probability, without replacement."""
    joint = p[0][:, None, None] * p[1][:, None] * p[2]
    for o, operator in enumerate(operators):
        if operator == "skip":  # a single candidate: expansion and SE have no effect
            joint[o] = 0.0
            joint[o, 0, 0] = p[0][o]
    pair = []
    for index in _two(joint.ravel(), generator):
        o, rest = divmod(index, joint.shape[1] * joint.shape[2])
        pair.append((o, *divmod(rest, joint.shape[2])))
    return pair


def _log_weights(space: BlockSpace, log_p: Tensor, pairs: Sequence[list[Candidate] | None]) -> Tensor:
    """Log-probabilities (slots, 2) of both candidates, for each slot with a pair; differentiable.

    Args:
        log_p: (decisions, most options) log-probabilities.
    """
    width, nothing = log_p.shape[1], log_p.numel()
    places = []
    for slot, pair in zip(space.slots, pairs, strict=True):
        for o, e, a in pair or ():
            at = [i * width + choice for i, choice in zip(space.groups[slot.name], (o, e, a), strict=True)]
            places.append([at[0], nothing, nothing] if slot.operators[o] == "skip" else at)
    parts = torch.cat([log_p.flatten(), log_p.new_zeros(1)])[torch.tensor(places, device=log_p.device)]
    return (parts[:, 0] + parts[:, 1] + parts[:, 2]).view(-1, 2)


def _gates(log_weights: Tensor, races: Tensor) -> list[tuple[Tensor, ...]]:
    """Apply `straight_through` to each row; the winner of its race is active.

    Args:
        races: (slots, 2) exponential random times.
    """
    probabilities = log_weights.softmax(1)
    won = (probabilities.detach() / races.to(probabilities.device)).argmax(1, keepdim=True)
    hard = torch.zeros_like(probabilities).scatter_(1, won, 1.0)
    return [row.unbind() for row in (hard + (probabilities - probabilities.detach())).unbind()]
