"""Our candidates as NNI's model space: every candidate of every slot with separate weights, each pass charged.

Imported when a strategy is set up, as NNI takes seconds to import.
"""

from typing import Any

from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn

from pvnas_bench.ledger import BACKWARD
from pvnas_bench.network.blocks import InvertedBottleneck
from pvnas_bench.network.cost import Candidate, candidates
from pvnas_bench.network.standalone import Head, Stem
from pvnas_bench.problem import Problem
from pvnas_bench.space import Block, BlockSpace


def label(slot: str) -> str:
    """The label of a slot's choice."""
    return f"slot_{slot.replace('.', '_')}"


def names(space: BlockSpace) -> dict[str, dict[str, Candidate]]:
    """Candidates of each slot by label and name, without those of left-out blocks."""
    found: dict[str, dict[str, Candidate]] = {}
    for slot in space.slots:
        own = found[label(slot.name)] = {}
        for (o, e, a), block in list(candidates(space, slot))[1:]:
            words = (
                [slot.operators[o]] if block is None else [slot.operators[o], f"e{space.expansions[e]}", space.se[a]]
            )
            own["-".join(words)] = (o, e, a)
    return found


class Metered(nn.Module):
    """A module that charges each of its passes, whoever calls it."""

    def __init__(self, module: nn.Module, macs: int, problem: Problem[BlockSpace], frames: int) -> None:
        super().__init__()
        self.module, self.macs, self.frames = module, macs, frames
        self._metered = problem.metered

    def forward(self, x: Tensor) -> Tensor:
        """(N·T, cin, H, W) → (N·T, cout, H', W')."""
        macs = self.macs * (len(x) // self.frames)
        self._metered.charge(macs)
        out: Tensor = self.module(x, self.frames)
        if out.requires_grad:
            out.register_hook(lambda _: self._metered.backward(BACKWARD * macs))
        return out


class Candidates(ModelSpace):  # type: ignore[misc]
    """Every candidate of every slot at one number of frames and one size, each with separate weights.

    Passes are charged here; the caller checks beforehand that they fit the budget.
    """

    def __init__(self, problem: Problem[BlockSpace], frames: int, size: int) -> None:
        super().__init__()
        space = problem.space
        table = problem.costs.tables[space.frames.index(frames)][space.sizes.index(size)]
        self.frames, self.fixed = frames, table.fixed.macs
        self._problem = problem
        self.stem = Stem(space.stem)
        choices = []
        self.mixture = self.fixed
        """MACs of one clip through all candidates."""
        self.largest = self.fixed
        """MACs of one clip through the most expensive path."""
        for slot, costs in zip(space.slots, table.slots, strict=True):
            blocks = {choice: block for choice, block in candidates(space, slot) if block is not None}
            options: dict[str, nn.Module] = {
                name: self.candidate(blocks[choice], costs[choice].macs) if choice in blocks else nn.Identity()
                for name, choice in names(space)[label(slot.name)].items()
            }
            choices.append(LayerChoice(options, label=label(slot.name)))
            self.mixture += sum(costs[choice].macs for choice in blocks)
            self.largest += max(costs[choice].macs for choice in blocks)
        self.choices = nn.ModuleList(choices)
        self.head = Head(space.stages[-1].channels, space.head, problem.classes)
        self.head.dropout = nn.Identity()  # type: ignore[assignment]

    def candidate(self, block: Block, macs: int) -> Metered:
        """A candidate with separate weights."""
        return Metered(InvertedBottleneck(block), macs, self._problem, self.frames)

    def logits(self, clips: Tensor) -> Tensor:
        """(N, T, 3, S, S) → logits (N, classes)."""
        x = self.stem(clips.flatten(0, 1))
        for choice in self.choices:
            x = choice(x)
        logits: Tensor = self.head(x, self.frames)
        return logits

    def layer_choices(self) -> list[Any]:
        """NNI's modules by slot; their attributes are untyped."""
        return list(self.choices)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, T, 3, S, S) → logits (N, classes)."""
        macs, metered = self.fixed * len(clips), self._problem.metered
        metered.charge(macs, len(clips))
        with metered.clock("forward"):
            logits = self.logits(clips)
        if logits.requires_grad:
            logits.register_hook(lambda _: metered.backward(BACKWARD * macs))
        return logits
