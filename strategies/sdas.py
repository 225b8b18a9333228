"""SDAS: differentiable search that fixes the operations of edges gradually.

DARTS keeps the mixture of all candidates to the end and discretises it at once, which costs accuracy. SDAS fixes the
operation of one edge after another during the search: the remaining alphas and the weights adapt to what is fixed, and
a fixed edge costs one operation instead of the mixture. An edge is a block here; the next one to be fixed is the one
whose operators have the lowest entropy, relative to the uniform distribution's.
"""

import math
from dataclasses import replace

import torch
from pydantic import Field, model_validator

from pvnas_bench import INACTIVE, Candidate, ClipBatch, Info, Plan, Slot
from pvnas_bench.methods import FixedInputConfig, MixtureSearch, Weights

CERTAIN = 1e3
"""Distance of the logits of options that are not chosen: their probability is 0, their score under the caps finite."""


class SDASConfig(FixedInputConfig):
    """Hyper-parameters of SDAS."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    fix_from: float = Field(0.3, ge=0, lt=1, description="progress at which the fixing of blocks begins (R)")
    fix_to: float = Field(0.9, gt=0, le=1, description="progress at which the last block is fixed (R)")

    @model_validator(mode="after")
    def _in_order(self) -> "SDASConfig":
        if self.fix_to <= self.fix_from:
            raise ValueError(f"fix_to is {self.fix_to:g}: it must be above fix_from, {self.fix_from:g}")
        return self


class SDAS(MixtureSearch[SDASConfig]):
    """DARTS with gradual discretisation (SDAS).

    Attributes:
        fixed: candidate of each fixed block, by the block's name, in the order of fixing.
    """

    info = Info(
        name="sdas",
        title="SDAS: gradual discretisation",
        paper="SDAS, 2019; Liu, Simonyan & Yang, DARTS: Differentiable Architecture Search, ICLR 2019",
        year=2019,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="the operations of edges are fixed one after another during the search; no more is known to us",
        reconstructed="an edge is a block; the order, by the entropy of its operators, and the schedule; depths stay a "
        "mixture to the end; first-order alternation; frames and size stay at the reference's; the caps",
    )

    def prepare(self) -> None:
        """Fix the input; no block is fixed yet."""
        super().prepare()
        self.fixed: dict[str, Candidate] = {}

    def plan(self, weights: Weights) -> Plan:
        """Plan of the mixture, where a fixed block has one candidate."""
        plan, slots = super().plan(weights), self.problem.space.slots
        chosen = (self.fixed.get(slot.name, mixture) for slot, mixture in zip(slots, plan.slots, strict=True))
        return replace(plan, slots=tuple(chosen))

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Fix the blocks that are due, then take a first-order step of the other alphas."""
        config, slots = self.config, self.problem.space.slots
        done = (self.problem.progress - config.fix_from) / (config.fix_to - config.fix_from)
        while len(self.fixed) < min(math.floor(done * len(slots)), len(slots)):
            self.fix(min((slot for slot in slots if slot.name not in self.fixed), key=self.entropy))
        return super().alpha_step(batch, held_out)

    @torch.no_grad()
    def entropy(self, slot: Slot) -> float:
        """Entropy of a block's operators, as a fraction of the uniform distribution's."""
        if len(slot.operators) == 1:
            return 0.0
        p = self.alphas.probabilities()[f"operator.{slot.name}"]
        return float(torch.special.entr(p).sum()) / math.log(len(p))

    @torch.no_grad()
    def fix(self, slot: Slot) -> None:
        """Fix a block to its most probable options: its mixture becomes one candidate, its alphas a certainty."""
        names = [f"{kind}.{slot.name}" for kind in ("operator", "expansion", "se")]
        best = {name: int(self.alphas.logit(name).argmax()) for name in names}
        for name, option in best.items():
            self.alphas.logit(name).fill_(-CERTAIN)[option] = 0.0
        operator, expansion, se = best.values()
        skipped = slot.operators[operator] == "skip"
        self.fixed[slot.name] = (operator, INACTIVE, INACTIVE) if skipped else (operator, expansion, se)
        self.problem.note(fixed=list(self.fixed))
