"""Binary gates on sampled candidates: gradients for architecture parameters at the cost of two paths.

ProxylessNAS (Cai, Zhu & Han 2019, section 3.2.1): of two sampled candidates one runs as the block's output; the
gradient with respect to their gates gives that of their probabilities, renormalised over the two.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pvnas_bench.distribution import FactorisedDistribution
from pvnas_bench.network.supernet import Candidate, Gated, Plan
from pvnas_bench.space import BlockSpace


def straight_through(log_weights: Tensor, generator: torch.Generator) -> Tensor:
    """A random one-hot vector of probabilities softmax(log_weights), with the gradient of those probabilities.

    Args:
        log_weights: (k,) differentiable.
    """
    probabilities = log_weights.softmax(0)
    picked = int(torch.multinomial(probabilities.detach().cpu(), 1, generator=generator))
    hard = torch.zeros_like(probabilities)
    hard[picked] = 1.0
    return hard + (probabilities - probabilities.detach())  # the bracket is exactly zero


def input_log_probabilities(distribution: FactorisedDistribution, thrift: float = 0.0) -> list[Tensor]:
    """log Q of each option of ``frames`` and of ``size``, Q(f, s) ∝ P(f) P(s) / (f s²)^thrift, differentiable.

    The MACs of a path grow with f s²: at a thrift of 1 and a uniform P every input takes the same share of a budget.
    """
    space = distribution.space
    assert isinstance(space, BlockSpace)
    logarithms = []
    for name, options, power in (("frames", space.frames, 1), ("size", space.sizes, 2)):
        logit = distribution.logit(name)
        logarithms.append((logit - thrift * power * logit.new_tensor(options).log()).log_softmax(0))
    return logarithms


def sample_input(
    distribution: FactorisedDistribution, generator: torch.Generator, thrift: float = 0.0
) -> tuple[int, int]:
    """Random option indices of the decisions ``frames`` and ``size``; see `input_log_probabilities`."""
    frames, size = (
        int(torch.multinomial(log_q.detach().exp().cpu(), 1, generator=generator))
        for log_q in input_log_probabilities(distribution, thrift)
    )
    return frames, size


def input_loss(
    distribution: FactorisedDistribution,
    first: tuple[int, int],
    loss: Tensor,
    loss_at: Callable[[int, int], Tensor],
    generator: torch.Generator,
    thrift: float = 0.0,
) -> Tensor:
    """A term whose gradient is REINFORCE's for (frames, size); another sample is the baseline (leave-one-out).

    Args:
        first: option indices of the input that had this loss.
        loss_at: the loss at other numbers of frames and sizes.
        thrift: with which the first was sampled, see `input_log_probabilities`.
    """
    second = sample_input(distribution, generator, thrift)
    if second == first:
        return loss.new_zeros(())
    space = distribution.space
    assert isinstance(space, BlockSpace)
    with torch.no_grad():
        other = loss_at(space.frames[second[0]], space.sizes[second[1]])
    log_p = input_log_probabilities(distribution, thrift)
    difference = [log_p[0][f] + log_p[1][s] for f, s in (first, second)]
    term: Tensor = 0.5 * (loss - other) * (difference[0] - difference[1])
    return term


def two_path_plan(distribution: FactorisedDistribution, frames: int, size: int, generator: torch.Generator) -> Plan:
    """Two sampled candidates in every slot, and two sampled depths in every stage, one of them switched on.

    Args:
        frames, size: option indices of the input.
    """
    space = distribution.space
    assert isinstance(space, BlockSpace)
    log_p = distribution.log_probabilities()
    depths = []
    reached = []
    for s, stage in enumerate(space.stages, 1):
        options = _two(log_p[f"depth.{s}"], generator)
        gates = straight_through(log_p[f"depth.{s}"][options], generator) if len(options) > 1 else None
        depths.append(tuple((stage.depths[o], None if gates is None else gates[i]) for i, o in enumerate(options)))
        reached.append(max(stage.depths[o] for o in options))
    slots: list[Gated | None] = []
    for slot in space.slots:
        if slot.index > reached[slot.stage - 1]:
            slots.append(None)
            continue
        own = [log_p[f"{kind}.{slot.name}"] for kind in ("operator", "expansion", "se")]
        pair = _two_candidates(own, slot.operators, generator)
        weights = torch.stack([_log_weight(candidate, own, slot.operators) for candidate in pair])
        gates = straight_through(weights, generator)
        slots.append([(candidate, gates[i]) for i, candidate in enumerate(pair)])
    return Plan(space.frames[frames], space.sizes[size], tuple(slots), tuple(depths))


def _two(log_p: Tensor, generator: torch.Generator) -> list[int]:
    """Two different options drawn by their probabilities (fewer where there are fewer), in order."""
    p = log_p.detach().exp().cpu()
    drawn: list[int] = torch.multinomial(p, min(2, len(p)), generator=generator).tolist()
    return sorted(drawn)


def _two_candidates(log_p: list[Tensor], operators: tuple[str, ...], generator: torch.Generator) -> list[Candidate]:
    """Two different candidates of a slot, drawn by their probabilities without replacement."""
    p = [lp.detach().exp().cpu() for lp in log_p]
    joint = torch.einsum("o,e,a->oea", *p).clone()
    for o, operator in enumerate(operators):
        if operator == "skip":  # one candidate whatever its expansion and SE would be
            joint[o] = 0.0
            joint[o, 0, 0] = p[0][o]
    flat = torch.multinomial(joint.flatten(), 2, generator=generator)
    pair = []
    for index in flat.tolist():
        o, rest = divmod(index, joint.shape[1] * joint.shape[2])
        pair.append((o, *divmod(rest, joint.shape[2])))
    return pair


def _log_weight(candidate: Candidate, log_p: list[Tensor], operators: tuple[str, ...]) -> Tensor:
    """log P(candidate), differentiable."""
    o, e, a = candidate
    return log_p[0][o] if operators[o] == "skip" else log_p[0][o] + log_p[1][e] + log_p[2][a]
