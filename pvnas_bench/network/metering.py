"""MACs of a supernet's passes, and expected costs of a distribution over architectures."""

import math
from typing import cast

import torch
from torch import Tensor

from pvnas_bench.network.cost import CostModel, block_cost
from pvnas_bench.network.supernet import Candidate, Gated, Mixture, Plan
from pvnas_bench.space import INACTIVE, KERNELS, Caps, Limit, Slot


def plan_macs(costs: CostModel, plan: Plan) -> int:
    """MACs of one clip's forward pass through a plan, over all computed candidates.

    Raises:
        ValueError: the space does not have the plan's frames or size.
    """
    space = costs.space
    for name, value, options in (("frames", plan.frames, space.frames), ("size", plan.size, space.sizes)):
        if value not in options:
            raise ValueError(f"{name} of a plan must be one of {', '.join(map(str, options))}, got {value!r}")
    table = costs.tables[space.frames.index(plan.frames)][space.sizes.index(plan.size)]
    macs = table.fixed.macs
    size = math.ceil(plan.size / 2)
    for slot, choice, candidates in zip(space.slots, plan.slots, table.slots, strict=True):
        if isinstance(choice, Mixture):
            macs += _mixture_macs(costs, slot, plan.frames, size, choice.part)
        elif choice is not None:
            single = isinstance(choice[0], int)
            gated = [cast(Candidate, choice)] if single else [candidate for candidate, _ in cast(Gated, choice)]
            for o, e, a in gated:
                real = slot.operators[o] != "skip"
                macs += candidates[(o, e, a) if real else (o, INACTIVE, INACTIVE)].macs
        size = math.ceil(size / slot.stride)
    return macs


def _mixture_macs(costs: CostModel, slot: Slot, frames: int, size: int, part: int) -> int:
    """MACs of all operators at the largest expansion; they share the expansion of the unshifted input.

    For channels that bypass the operators, the taps and the shifted input's expansion are not computed.
    """
    space = costs.space
    expansion, se = f"e{max(space.expansions)}", "se" if "se" in space.se else "no"
    operators = [operator for operator in slot.operators if operator != "skip"]
    total = sum(block_cost(slot.block(o, expansion, se), frames, size).macs for o in operators)
    expand = slot.cin**2 * max(space.expansions) * frames * size**2
    computed = 1 + ("tsm" in operators)
    total -= expand * (len(operators) - computed)
    channels = slot.cin * max(space.expansions)
    passing = channels - channels // part
    taps = sum(math.prod(kernel) for o in operators for kernel in KERNELS[o])
    saved = taps * math.ceil(size / slot.stride) ** 2 + ("tsm" in operators) * slot.cin * size**2
    return total - frames * passing * saved


class ExpectedCost:
    """Expected MACs, parameters or latency for independent decisions; differentiable in the probabilities."""

    def __init__(self, costs: CostModel, device: torch.device | str = "cpu", key: str = "macs") -> None:
        """Arrange the costs as tensors.

        Args:
            key: the quantity, one of `KEYS`.
        """
        quantity = Limit(key, 0.0)
        space = self._space = costs.space
        frames, sizes = len(space.frames), len(space.sizes)
        widest = max(len(slot.operators) for slot in space.slots)
        fixed = torch.zeros(frames, sizes, dtype=torch.float64)
        slots = torch.zeros(
            len(space.slots), frames, sizes, widest, len(space.expansions), len(space.se), dtype=torch.float64
        )
        for f, row in enumerate(costs.tables):
            for s, table in enumerate(row):
                fixed[f, s] = quantity.of(table.fixed)
                for b, candidates in enumerate(table.slots):
                    for choice, cost in candidates.items():
                        if min(choice) != INACTIVE:  # a skipped block has no expansion, and no cost
                            slots[(b, f, s, *choice)] = quantity.of(cost)
        self._fixed, self._slots = fixed.to(device), slots.to(device)
        reached = torch.zeros(len(space.slots), max(len(stage.depths) for stage in space.stages), dtype=torch.float64)
        for b, slot in enumerate(space.slots):
            for d, depth in enumerate(space.stages[slot.stage - 1].depths):
                reached[b, d] = float(depth >= slot.index)
        self._reached = reached.to(device)
        groups = [[*space.groups[slot.name], space.position(f"depth.{slot.stage}")] for slot in space.slots]
        self._groups = torch.tensor(groups, device=device)
        self._input = (space.position("frames"), space.position("size"))

    def __call__(self, probabilities: Tensor) -> Tensor:
        """The expectation for one clip.

        Args:
            probabilities: (decisions, most options), probability of each option given that its decision exists,
                zero-padded for decisions with fewer options.
        """
        operators, expansions, se = self._slots.shape[-3:]
        p = probabilities.double()
        operator, expansion, attention, depth = (p[rows] for rows in self._groups.unbind(1))
        exists = (depth[:, : self._reached.shape[1]] * self._reached).sum(1)
        options = (operator[:, :operators], expansion[:, :expansions], attention[:, :se])
        mean = torch.einsum("bfsoea,bo,be,ba,b->fs", self._slots, *options, exists)
        frames, size = (p[i, :count] for i, count in zip(self._input, self._fixed.shape, strict=True))
        return torch.einsum("fs,f,s->", self._fixed + mean, frames, size)


class CapLoad:
    """Expected cost as a fraction of a share of the cap, of the quantity that is nearest to its cap."""

    def __init__(self, costs: CostModel, caps: Caps, device: torch.device | str = "cpu") -> None:
        self._expected = [(ExpectedCost(costs, device, limit.key), limit.most) for limit in caps.limits]

    def __call__(self, probabilities: Tensor, share: float) -> Tensor:
        """max(E[cost]/(share × cap)), the maximum over the caps; differentiable.

        Args:
            probabilities: as of `ExpectedCost`.
        """
        loads = [expected(probabilities) / (share * most) for expected, most in self._expected]
        return torch.stack(loads).max().float()
