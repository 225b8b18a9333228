"""SM-NAS: structural-to-modular search for the front of accuracy and cost.

Stage 1 searches the combination: input, depth, width, and the start of temporal mixing. Stage 2 mutates the modules of
the front of stage 1, further away once all neighbours are known. Parents are drawn from the front by crowding distance.
Partial order pruning skips an architecture x when a larger one y of the same modules, evaluated before, is no better
than the front at the cost of x. It assumes acc(x) ≤ acc(y) over depth, frames and size; some skipped ones audit that.
"""

import functools
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Evaluation, Info, SearchFinished, Strategy, StrategyConfig
from pvnas_bench.methods import crowded_tournament, dominates, hypervolume, pareto_front


@functools.lru_cache(maxsize=2**17)
def smaller(space: BlockSpace, x: Architecture, y: Architecture) -> bool:
    """Return True if x ≼ y: no more frames, pixels or depth, and the same modules in every block of x."""
    for decision, a, b in zip(space.decisions, x.choices, y.choices, strict=True):
        if decision.level == "structural" and int(decision.options[a]) > int(decision.options[b]):
            return False
    depths = space.options(x)
    shared = [slot for slot in space.slots if slot.index <= int(depths[f"depth.{slot.stage}"])]
    return all(x.choices[i] == y.choices[i] for slot in shared for i in space.groups[slot.name])


class SMNASConfig(StrategyConfig):
    """Hyper-parameters of SM-NAS."""

    stages: Literal["both", "structural", "modular", "random"] = Field(
        "both", description="decisions to search; all but both are controls at equal budget"
    )
    structural_share: float = Field(0.3, gt=0, lt=1, description="part of the budget of stage 1 (tuned)")
    initial: int = Field(6, ge=1, description="random combinations before the first mutation (R)")
    population: int = Field(2, ge=1, description="evaluations per generation (tuned)")
    mutations: int = Field(1, ge=1, description="modular decisions that a child changes at first (tuned)")
    fidelity: int = Field(0, ge=0, description="epochs of an evaluation; 0: the protocol's proxy (R)")
    pruning: bool = Field(True, description="partial order pruning (SM-NAS)")
    audit: float = Field(0.1, ge=0, le=1, description="part of the skipped that is evaluated all the same (R)")


class SMNAS(Strategy[SMNASConfig, BlockSpace]):
    """Structural, then modular search for a front (SM-NAS)."""

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
        "distance; the audit of the partial order; the protocol's batch-norm in place of group norm; all numbers",
    )

    def setup(self) -> None:
        """Start without evaluations."""
        problem, space = self.problem, self.problem.space
        self.rng = problem.rng("sm_nas")
        self.evaluated: list[Evaluation] = []
        self.combinations: dict[Architecture, list[int]] = {}
        self.combined = False  # stage 1 has no new combination that may reach the front
        self.further = 0  # modular changes beyond `mutations`, once all nearer children are known
        self.modules = sum(decision.level == "modular" and len(decision.options) > 1 for decision in space.decisions)
        self.skipped: set[Architecture] = set()
        self.audited: list[bool] = []  # True for each audited skipped architecture that belongs to the front
        self.pairs = self.violations = 0  # evaluated pairs x ≼ y, and those with acc(x) > acc(y)
        self.fallback = problem.sample(problem.rng("fallback"))
        self.axes = [len(space.frames), len(space.sizes), *(len(stage.depths) for stage in space.stages)]
        self.axes += [len(space.stages) + 1, len(space.expansions)]  # numbers of options, see `combine`

    def step(self) -> None:
        """Run one generation of the current stage."""
        for _ in range(self.config.population):
            child = self._candidate()
            evaluation = self.problem.evaluate(child, self.config.fidelity or None)
            on_front = not dominates(self.evaluated, evaluation)
            if child in self.skipped:
                self.audited.append(on_front)
            self.further *= not on_front  # a new member has neighbours of its own
            self._note(evaluation)
        best, volume = max(e.top1 for e in self.evaluated), hypervolume(self.evaluated, self.problem.cap)
        self.problem.log(val_top1=best, hypervolume=volume, structural=self.stage == "structural")

    @property
    def stage(self) -> str:
        """The current stage of the search."""
        if self.config.stages != "both":
            return self.config.stages
        within = self.problem.progress_to(self.config.structural_share) < 1
        return "structural" if within and not self.combined else "modular"

    def _candidate(self) -> Architecture:
        """A new architecture of the current stage."""
        propose = {"structural": self._structural, "modular": self._modular}.get(self.stage, self._random)
        known = {*self.skipped, *(evaluation.architecture for evaluation in self.evaluated)}
        while (child := self.problem.draw(propose, known)) is not None:
            if not self.config.pruning or self.stage == "random" or not self.hopeless(child):
                return child
            self.skipped.add(child)
            known.add(child)
            self.problem.note(skipped=len(self.skipped))
            if self.rng.random() < self.config.audit:
                return child
        if self.config.stages == "both" and self.stage == "structural":
            self.combined = True
        elif self.stage == "modular" and self.config.mutations + self.further < self.modules:
            self.further += 1
        else:
            raise SearchFinished
        return self._candidate()

    def _random(self) -> Architecture:
        return self.problem.sample(self.rng)

    def _structural(self) -> Architecture:
        """A random combination, or a member of the front with one of its axes changed."""
        if len(self.evaluated) < self.config.initial:
            combination = [int(self.rng.integers(n)) for n in self.axes]
        else:
            combination = list(self.combinations[self._parent()])
            axis = int(self.rng.choice([i for i, n in enumerate(self.axes) if n > 1]))
            combination[axis] = (combination[axis] + 1 + int(self.rng.integers(self.axes[axis] - 1))) % self.axes[axis]
        child = self.combine(combination)
        self.combinations[child] = combination
        return child

    def combine(self, combination: Sequence[int]) -> Architecture:
        """The architecture of a combination: option indices of frames, size and depths, then the number of stages
        before time is mixed (by ``f3`` in place of ``s3``), then the expansion of all blocks.
        """
        space, (frames, size, *depths, start, expansion) = self.problem.space, combination
        offered = space.slots[0].operators
        operators = [token if token in offered else offered[0] for token in ("s3", "f3")]
        return space.uniform(
            frames=space.frames[frames],
            size=space.sizes[size],
            depths=[stage.depths[depth] for stage, depth in zip(space.stages, depths, strict=True)],
            operators=[operators[s > start] for s in range(1, len(space.stages) + 1)],
            expansion=space.expansions[expansion],
        )

    def _modular(self) -> Architecture:
        """A member of the front (at first the reference) with some modules changed; its structure stays."""
        if not self.evaluated and self.problem.feasible(self.problem.space.reference):
            return self.problem.space.reference
        most = self.config.mutations + self.further
        return self.problem.space.mutate_level(self._parent(), self.rng, "modular", most)

    def _parent(self) -> Architecture:
        """The less crowded of two random members of the front; before the first evaluation, a random architecture."""
        if not self.evaluated:
            return self.fallback
        return crowded_tournament(self.evaluated, self.problem.cap, self.rng).architecture

    def hopeless(self, x: Architecture) -> bool:
        """Return True if an evaluated y ≽ x is no better than the front at the cost of x (partial order pruning)."""
        cost = self.problem.cost(x).macs
        at_cost = max((e.top1 for e in self.evaluated if e.macs <= cost), default=-1.0)
        return any(e.top1 <= at_cost and smaller(self.problem.space, x, e.architecture) for e in self.evaluated)

    def _note(self, new: Evaluation) -> None:
        """Note the front, the audit, and how many evaluated pairs x ≼ y violate the order: acc(x) > acc(y)."""
        pairs = [pair for old in self.evaluated for pair in ((new, old), (old, new))]
        ordered = [x.top1 > y.top1 for x, y in pairs if smaller(self.problem.space, x.architecture, y.architecture)]
        self.pairs, self.violations = self.pairs + len(ordered), self.violations + sum(ordered)
        self.evaluated.append(new)
        self.problem.note(
            front=[[e.macs, e.top1] for e in pareto_front(self.evaluated)],
            audited=len(self.audited),
            audited_wrong=sum(self.audited),
            order_pairs=self.pairs,
            order_violations=self.violations,
            order_violation_rate=self.violations / self.pairs if self.pairs else 0.0,
        )

    def incumbent(self) -> Architecture:
        """The most accurate architecture; ties go to the smallest."""
        if not self.evaluated:
            return self.fallback
        return max(self.evaluated, key=lambda e: (e.top1, -e.macs)).architecture

    def front(self) -> Sequence[Architecture]:
        """The non-dominated architectures in accuracy and MACs."""
        return [e.architecture for e in pareto_front(self.evaluated)]
