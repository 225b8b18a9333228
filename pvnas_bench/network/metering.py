"""MACs of what a supernet computes, and the expected MACs of a distribution over architectures."""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from pvnas_bench.network.cost import Cost, CostModel, block_cost
from pvnas_bench.network.supernet import Candidate, Gated, Mixture, Plan
from pvnas_bench.space import INACTIVE, KERNELS, Slot


def plan_macs(costs: CostModel, plan: Plan) -> int:
    """MACs of one clip's forward pass through a plan, every candidate that it computes included."""
    space = costs.space
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
    """All operators at the largest expansion, the expansion of unshifted inputs computed once for all of them.

    Channels that pass by the operators save their taps, and the shifted input's expansion.
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


class ExpectedMacs:
    """The expectation of MACs when every decision is drawn independently; differentiable in the probabilities."""

    def __init__(self, costs: CostModel, device: torch.device | str = "cpu") -> None:
        self._space = costs.space
        rows = [[self._row(costs, f, s) for s in range(len(costs.space.sizes))] for f in range(len(costs.space.frames))]
        self._fixed = torch.tensor([[row[0] for row in line] for line in rows], dtype=torch.float64, device=device)
        self._slots = [
            torch.tensor([[row[1][b] for row in line] for line in rows], dtype=torch.float64, device=device)
            for b in range(len(costs.space.slots))
        ]

    @staticmethod
    def _row(costs: CostModel, f: int, s: int) -> tuple[int, list[list[list[list[int]]]]]:
        table, space = costs.tables[f][s], costs.space
        slots = []
        for slot, candidates in zip(space.slots, table.slots, strict=True):
            slots.append(
                [
                    [
                        [
                            candidates.get((o, e, a), Cost(0, 0)).macs  # skip has no expansion: nothing
                            for a in range(len(space.se))
                        ]
                        for e in range(len(space.expansions))
                    ]
                    for o in range(len(slot.operators))
                ]
            )
        return table.fixed.macs, slots

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """E[MACs] of one clip.

        Args:
            probabilities: by decision name, (options,), conditional on the decision's existence.
        """
        p = {name: value.double() for name, value in probabilities.items()}
        cost = self._fixed
        for slot, table in zip(self._space.slots, self._slots, strict=True):
            depths = self._space.stages[slot.stage - 1].depths
            deep = torch.tensor([float(depth >= slot.index) for depth in depths], dtype=torch.float64)
            exists = (p[f"depth.{slot.stage}"] * deep.to(cost.device)).sum()
            name = slot.name
            mean = torch.einsum(
                "fsoea,o,e,a->fs", table, p[f"operator.{name}"], p[f"expansion.{name}"], p[f"se.{name}"]
            )
            cost = cost + exists * mean
        return torch.einsum("fs,f,s->", cost, p["frames"], p["size"])
