"""SM-NAS: structural-to-modular search for the front of accuracy and cost.

Stage 1 searches the combination: what the network sees (frames, size), how deep and wide it is, where temporal mixing
starts. Stage 2 starts from the front of stage 1 and mutates the modules of its members. Parents are drawn from the
whole front by crowding distance. Partial order pruning (both stages) skips an architecture x when a larger one y of
the same modules, evaluated before, is no better than what the front has at the cost of x: acc(x) ≤ acc(y) is assumed
over depth, frames and size only. Some skipped ones are evaluated all the same, to audit that assumption.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import moocore
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pvnas_bench import (
    INACTIVE,
    Architecture,
    BlockSpace,
    Evaluation,
    Info,
    Json,
    SearchFinished,
    Strategy,
    StrategyConfig,
)

Floats = npt.NDArray[np.float64]


def smaller(space: BlockSpace, x: Architecture, y: Architecture) -> bool:
    """x ≼ y: nowhere more frames, pixels or depth, and the same modules in every block that x has."""
    for decision, a, b in zip(space.decisions, x.choices, y.choices, strict=True):
        if decision.level == "structural" and int(decision.options[a]) > int(decision.options[b]):
            return False
    depths = space.options(x)
    shared = [slot for slot in space.slots if slot.index <= int(depths[f"depth.{slot.stage}"])]
    return all(x.choices[i] == y.choices[i] for slot in shared for i in space.groups[slot.name])


def crowding_distance(points: Floats) -> Floats:
    """NSGA-II's: the sum over objectives of the gap between both neighbours, of the range; infinite at the ends."""
    distance = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]] or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distance


class SMNASConfig(StrategyConfig):
    """Hyper-parameters of SM-NAS."""

    stages: Literal["both", "structural", "modular", "random"] = Field(
        "both", description="what is searched; all but both are controls at equal budget"
    )
    structural_share: float = Field(0.5, gt=0, lt=1, description="part of the budget of stage 1 (R)")
    initial: int = Field(6, ge=1, description="random combinations before the first mutation (R)")
    population: int = Field(4, ge=1, description="evaluations per generation (R)")
    mutations: int = Field(2, ge=1, description="modular decisions that a child changes (R)")
    fidelity: int = Field(0, ge=0, description="epochs of an evaluation; 0: the protocol's proxy (R)")
    pruning: bool = Field(True, description="partial order pruning (SM-NAS)")
    audit: float = Field(0.1, ge=0, le=1, description="part of the skipped that is evaluated all the same (R)")


class SMNAS(Strategy[SMNASConfig, BlockSpace]):
    """SM-NAS."""

    info = Info(
        name="sm_nas",
        title="SM-NAS: structural-to-modular search",
        paper="Yao et al., SM-NAS: Structural-to-Modular Neural Architecture Search for Object Detection, AAAI 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="two stages, combination then modules; the Pareto front of accuracy and latency between them; "
        "partial order pruning; candidates trained from scratch on a fast schedule",
        reconstructed="the analogue for video of what each level holds; MACs of the exact table for latency; crowding "
        "distance; the audit of the partial order; batch-norm in place of group norm with weight standardisation, as "
        "the protocol's recipe is fixed; all numbers",
    )

    def setup(self) -> None:
        """Begin without evaluations."""
        problem = self.problem
        self.rng = problem.rng("sm_nas")
        self.evaluated: list[Evaluation] = []
        self.combinations: dict[Architecture, list[int]] = {}
        self.combined = False
        """Whether stage 1 found no new combination that may reach the front."""
        self.skipped: set[Architecture] = set()
        self.audited: list[bool] = []
        """Of the skipped that were evaluated, whether each belongs to the front."""
        self.fallback = problem.sample(problem.rng("fallback"))
        space = problem.space
        self.axes = [len(space.frames), len(space.sizes), *(len(stage.depths) for stage in space.stages)]
        self.axes += [len(space.stages) + 1, len(space.expansions)]

    @property
    def stage(self) -> str:
        """The stage that the search is in."""
        if self.config.stages != "both":
            return self.config.stages
        within = self.problem.progress_to(self.config.structural_share) < 1
        return "structural" if within and not self.combined else "modular"

    # --- candidates ---------------------------------------------------------------------------------------------------

    def combine(self, combination: Sequence[int]) -> Architecture:
        """The architecture of a combination: option indices of frames, size and depths, then the number of stages
        before time is mixed (by ``f3`` in place of ``s3``), then the expansion of all blocks.
        """
        space = self.problem.space
        options = {"frames": str(space.frames[combination[0]]), "size": str(space.sizes[combination[1]])}
        start, expansion = combination[-2], space.expansions[combination[-1]]
        for s, stage in enumerate(space.stages, 1):
            options[f"depth.{s}"] = str(stage.depths[combination[1 + s]])
        for slot in space.slots:
            if slot.index <= int(options[f"depth.{slot.stage}"]):
                wanted = "f3" if slot.stage > start else "s3"
                operator = wanted if wanted in slot.operators else slot.operators[0]
                options |= {f"operator.{slot.name}": operator, f"expansion.{slot.name}": f"e{expansion}"}
                options[f"se.{slot.name}"] = space.se[0]
        return space.from_options(options)

    def _candidate(self) -> Architecture:
        """A new architecture of the current stage, not looked at before."""
        propose = {"structural": self._structural, "modular": self._modular, "random": self._random}[self.stage]
        known = {*self.skipped, *(evaluation.architecture for evaluation in self.evaluated)}
        while (child := self.problem.draw(propose, known)) is not None:
            if not self.config.pruning or self.stage == "random" or not self.hopeless(child):
                return child
            self.skipped.add(child)
            known.add(child)
            if self.rng.random() < self.config.audit:
                return child
        if self.config.stages == "both" and self.stage == "structural":
            self.combined = True
            return self._candidate()
        raise SearchFinished

    def _random(self) -> Architecture:
        return self.problem.sample(self.rng)

    def _structural(self) -> Architecture:
        """A random combination, or a member of the front with one of its axes changed."""
        if len(self.evaluated) < self.config.initial:
            combination = [int(self.rng.integers(n)) for n in self.axes]
        else:
            combination = list(self.combinations[self._parent()])
            axis = int(self.rng.choice([i for i, n in enumerate(self.axes) if n > 1]))
            shift = 1 + int(self.rng.integers(self.axes[axis] - 1))
            combination[axis] = (combination[axis] + shift) % self.axes[axis]
        child = self.combine(combination)
        self.combinations[child] = combination
        return child

    def _modular(self) -> Architecture:
        """A member of the front (at first the reference) with some of its modules changed; its structure stays."""
        if not self.evaluated and self.problem.feasible(self.problem.space.reference):
            return self.problem.space.reference
        space, parent = self.problem.space, self._parent()
        choices = [
            int(self.rng.integers(len(decision.options))) if choice == INACTIVE else choice
            for decision, choice in zip(space.decisions, parent.choices, strict=True)
        ]
        movable = [
            i
            for i, decision in enumerate(space.decisions)
            if decision.level == "modular" and parent.choices[i] != INACTIVE and len(decision.options) > 1
        ]
        count = min(1 + int(self.rng.integers(self.config.mutations)), len(movable))
        for i in self.rng.choice(movable, count, replace=False).tolist():
            n = len(space.decisions[i].options)
            choices[i] = (choices[i] + 1 + int(self.rng.integers(n - 1))) % n
        return space.architecture(choices)

    def _parent(self) -> Architecture:
        """Of two members of the front drawn at random the one in the emptier region."""
        if not self.evaluated:
            return self.fallback
        front = self._front()
        distance = crowding_distance(self._points(front))
        one, other = (int(i) for i in self.rng.integers(len(front), size=2))
        return front[one if distance[one] >= distance[other] else other].architecture

    def hopeless(self, x: Architecture) -> bool:
        """Some evaluated y ≽ x is no better than the front at the cost of x (partial order pruning)."""
        cost = self.problem.cost(x).macs
        at_cost = max((e.top1 for e in self.evaluated if e.macs <= cost), default=-1.0)
        space = self.problem.space
        return any(e.top1 <= at_cost and smaller(space, x, e.architecture) for e in self.evaluated)

    # --- the search ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One generation, in whichever stage the budget has reached."""
        for _ in range(self.config.population):
            child = self._candidate()
            front_before = self._points(self._front())
            evaluation = self.problem.evaluate(child, self.config.fidelity or None)
            self.evaluated.append(evaluation)
            if child in self.skipped:
                point = self._points([evaluation])
                wrong = bool(moocore.is_nondominated(np.concatenate([front_before, point]), keep_weakly=False)[-1])
                self.audited.append(wrong)
        structural, front = self.stage == "structural", self._front()
        self.problem.log(val_top1=max(e.top1 for e in front), hypervolume=self.hypervolume(), structural=structural)

    def _points(self, evaluations: Sequence[Evaluation]) -> Floats:
        """(n, 2): error, and MACs over the cap; both are minimised."""
        return np.array([[1 - e.top1, e.macs / self.problem.cap] for e in evaluations]).reshape(-1, 2)

    def _front(self) -> list[Evaluation]:
        """The evaluations that none dominates, by MACs."""
        if not self.evaluated:
            return []
        kept = moocore.is_nondominated(self._points(self.evaluated), keep_weakly=True)
        return sorted((e for e, keep in zip(self.evaluated, kept, strict=True) if keep), key=lambda e: e.macs)

    def hypervolume(self) -> float:
        """Of the front, in units of (accuracy × cap), against error 1 at the cap."""
        return float(moocore.hypervolume(self._points(self._front()), ref=[1.0, 1.0]))

    def incumbent(self) -> Architecture:
        """The most accurate architecture; of equals the smallest."""
        if not self.evaluated:
            return self.fallback
        return max(self.evaluated, key=lambda e: (e.top1, -e.macs)).architecture

    def front(self) -> Sequence[Architecture]:
        """The architectures that none dominates in accuracy and MACs."""
        return [e.architecture for e in self._front()]

    def violations(self) -> tuple[int, int]:
        """Of all evaluated pairs x ≼ y: those with acc(x) > acc(y), and how many there are."""
        space = self.problem.space
        pairs = [
            x.top1 > y.top1
            for x in self.evaluated
            for y in self.evaluated
            if x is not y and smaller(space, x.architecture, y.architecture)
        ]
        return sum(pairs), len(pairs)

    def diagnostics(self) -> Mapping[str, Json]:
        """The front, and how often the partial order was broken."""
        broken, pairs = self.violations()
        return {
            "front": [[e.macs, e.top1] for e in self._front()],
            "skipped": len(self.skipped),
            "audited": len(self.audited),
            "audited_wrong": sum(self.audited),
            "order_pairs": pairs,
            "order_violations": broken,
            "order_violation_rate": broken / pairs if pairs else 0.0,
        }
