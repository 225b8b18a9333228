"""NNI's one-shot search over the candidates of the space: base class of the `nni_*` strategies.

Every slot is a `LayerChoice` of all its (operator, expansion, SE) candidates as stand-alone blocks with separate
weights, and of the identity where it may be skipped. NNI has no choice of the input: frames and size are the
reference architecture's (a mixture sees smaller clips), every stage has its largest depth, and skips make it
shallower (R). NNI's search knows no cap: its probabilities yield the most probable architecture under the caps (R).
Cost is not penalised: the probabilities that NNI's penalty works on carry no gradient.

Every pass of every candidate is charged as NNI runs it. A mixture of some 25 candidates a slot costs as much as 25
paths, so a budget for sampled paths buys few steps of it.

Not exported by `pvnas_bench.methods`: ``from pvnas_bench.methods.nni_search import NNIDifferentiable``. Importing it
does not import NNI, which takes seconds; `setup` does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypeVar

from pvnas_bench.errors import UsageError
from pvnas_bench.methods.distribution import tie_break
from pvnas_bench.methods.knapsack import CandidateScores, best_under_caps
from pvnas_bench.methods.nni_apart import apart
from pvnas_bench.methods.shared_weights import WeightsConfig
from pvnas_bench.network.cost import Candidate, candidates
from pvnas_bench.problem import Json, Problem
from pvnas_bench.space import INACTIVE, Architecture, BlockSpace
from pvnas_bench.strategy import SearchFinished, Strategy

if TYPE_CHECKING:
    from pvnas_bench.methods.nni_candidates import Candidates
    from pvnas_bench.methods.nni_training import Training

PAPER = "Microsoft, NNI v3.0 (github.com/microsoft/nni, 2023)"
SPACE = (
    "every slot a choice of all its candidates, each with separate weights; reference input, full depth with skips; "
    "the most probable architecture under the caps"
)


def reference_input(problem: Problem[BlockSpace]) -> tuple[int, int]:
    """Frames and size of the reference architecture.

    Raises:
        UsageError: no architecture at that input is under the caps.
    """
    space = problem.space
    options = space.options(space.reference)
    frames, size = int(options["frames"]), int(options["size"])
    at = f"NNI searches at the reference input, {frames} frames of {size} px, where"
    table = problem.costs.tables[space.frames.index(frames)][space.sizes.index(size)]
    cheapest = table.fixed.macs + sum(
        min(cost.macs for choice, cost in slot.items() if choice[0] != INACTIVE) for slot in table.slots
    )
    if cheapest > problem.cap:
        raise UsageError(
            f"{at} the cheapest network has {cheapest:,} MACs, above the cap of {problem.cap:,}: raise --cap"
        )
    alike = [{choice: 1.0 for choice, _ in candidates(space, slot) if choice[0] != INACTIVE} for slot in space.slots]
    try:
        most_probable(problem, frames, size, alike)
    except ValueError:
        raise UsageError(f"{at} no network of full depth is under {problem.caps}: raise --cap") from None
    return frames, size


def most_probable(
    problem: Problem[BlockSpace], frames: int, size: int, slots: Sequence[Mapping[Candidate, float]]
) -> Architecture:
    """The most probable architecture under the caps, at this input and full depth; ties as in `tie_break`."""
    space = problem.space

    def only(chosen: int, options: tuple[int, ...]) -> Any:
        return np.where(np.array(options) == chosen, 0.0, -np.inf)

    scores = CandidateScores(
        only(frames, space.frames),
        only(size, space.sizes),
        tuple(only(max(stage.depths), stage.depths) for stage in space.stages),
        tuple({choice: math.log(max(p, 1e-30)) for choice, p in slot.items()} for slot in slots),
    )
    return best_under_caps(problem.costs, problem.caps, scores, ties=tie_break(space, None))


class DifferentiableConfig(WeightsConfig):
    """Hyper-parameters shared by NNI's differentiable strategies."""

    epochs: int = Field(10, ge=1, le=1000, description="epochs of the budget, for NNI's schedules (R)")
    alpha_rate: float = Field(
        0.03,
        gt=0,
        description="Adam's rate for the alphas (R; NNI and DARTS: 3e-4, at most 0.03 in 100 steps)",
    )
    search_size: Literal["smallest", "reference"] = Field(
        "smallest",
        description="pixels of the clips that the search sees; the result has the reference's (R: the "
        "budget holds twice as many steps)",
    )


NC = TypeVar("NC", bound=DifferentiableConfig, default=DifferentiableConfig)


class NNIDifferentiable(Strategy[NC, BlockSpace]):
    """Search by one of NNI's differentiable one-shot strategies."""

    kind: ClassVar[str]
    """The name of NNI's class."""

    def extra(self) -> dict[str, Any]:
        """Further arguments of NNI's class."""
        return {}

    def candidates(self) -> "Candidates":
        """NNI's model space of the problem."""
        from pvnas_bench.methods.nni_candidates import Candidates

        return Candidates(self.problem, *self.seen)

    def setup(self) -> None:
        """Build NNI's supernet and its training."""
        with apart():
            from pvnas_bench.methods import nni_candidates, nni_training

        problem = self.problem
        self.input = reference_input(problem)
        config = self.config
        size = min(problem.space.sizes) if config.search_size == "smallest" else self.input[1]
        self.seen = self.input[0], size
        settings = {"arc_learning_rate": config.alpha_rate, "gradient_clip_val": config.gradient_clip}
        with apart():
            model = self.candidates()
        self.training: Training = nni_training.differentiable(
            problem, model, self.kind, config, settings | self.extra()
        )
        self.names = list(nni_candidates.names(problem.space).items())
        self._pairs = nni_training.pairs
        step = self.training.step_macs * problem.batch_size
        affordable = max(int(problem.ledger.left * problem.ledger.reference / step), 1)
        self.epochs = min(config.epochs, affordable)
        self.steps = math.ceil(affordable / self.epochs)
        self.done = 0

    def step(self) -> None:
        """Run one of NNI's epochs: pairs of an alpha step and a weight step."""
        if self.done == self.epochs:
            raise SearchFinished
        loaders = self._pairs(self.problem, self.steps, *self.seen)
        loss = self.training.epoch(self.done, self.epochs, loaders)
        self.done += 1
        shares = [_entropy(slot.values()) / math.log(len(slot)) for slot in self.slots()]
        self.problem.log(train_loss=loss, alpha_entropy=float(np.mean(shares)))

    def slots(self) -> list[dict[Candidate, float]]:
        """Probability of each candidate, per slot."""
        probabilities = self.training.probabilities()
        return [{own[name]: p for name, p in probabilities[label].items()} for label, own in self.names]

    def incumbent(self) -> Architecture:
        """The most probable architecture under the caps."""
        return most_probable(self.problem, *self.input, self.slots())

    def diagnostics(self) -> Mapping[str, Json]:
        """Numbers of skipped blocks and of steps."""
        options = self.problem.space.options(self.incumbent())
        skips = sum(token == "skip" for name, token in options.items() if name.startswith("operator"))
        return {"skips": skips, "steps": self.done * self.steps}


def _entropy(probabilities: Iterable[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)
