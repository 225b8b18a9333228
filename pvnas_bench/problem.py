"""The problem: the whole interface of a strategy to the benchmark."""

import itertools
import json
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from pvnas_bench import seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger, SearchShare
from pvnas_bench.network.cost import Cost, CostModel
from pvnas_bench.network.families import Costs
from pvnas_bench.network.metering import CapLoad, ExpectedCost
from pvnas_bench.network.sums import most_macs
from pvnas_bench.network.supernet import Supernet
from pvnas_bench.space import Architecture, BlockSpace, Caps, SearchSpace
from pvnas_bench.training.metered import Metered
from pvnas_bench.training.null_labels import permuted, permuted_within_batches, relabelled
from pvnas_bench.training.search_supernet import SearchSupernet
from pvnas_bench.training.testing import test
from pvnas_bench.training.train import SKIPS, train, training_macs, untrained
from pvnas_bench.training.workbench import TrainingDiverged, TrainingFailed, Workbench
from pvnas_bench.video import ClipBatch, Views

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""Values that JSON can represent."""
SearchSplit = Literal["train", "val"]
S = TypeVar("S", bound=SearchSpace, default=SearchSpace)
ONE_VIEW = Views(1, 1)
TRIES = 10_000
"""Largest number of draws for one random architecture under the caps."""
ITERATION = 9
"""Cost in forward passes of a weight step (3) plus an architecture step along two paths (6)."""
MOST_SET_ASIDE = 0.75
"""Largest part of the budget that can be set aside."""


def in_mixed_order(splits: Mapping[SearchSplit, npt.NDArray[np.int64]]) -> dict[SearchSplit, npt.NDArray[np.int64]]:
    """Shuffle the clips of each split into a fixed order.

    Batch-norm on the statistics of a batch sorted by class would remove the differences between classes.
    """
    mixed = seeding.generator(0, "order of search splits")
    return {split: mixed.permutation(indices) for split, indices in splits.items()}


def evaluation_seed(seed: int, architecture: Architecture, epochs: int) -> int:
    """Seed of the stand-alone training of an evaluation.

    Args:
        seed: seed of the run or of a table.
    """
    return seeding.derive(seed, "evaluate", str(architecture), epochs)


def whole(name: str, value: int) -> int:
    """Return a count if it is a whole number of at least 1.

    Raises:
        ValueError: the value is not one.
    """
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__") or operator.index(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return operator.index(value)


@dataclass(frozen=True)
class Evaluation:
    """An architecture's accuracy on search-val after stand-alone training on search-train.

    Attributes:
        top1: fraction of search-val clips.
        loss: mean cross-entropy on search-val.
        epochs: epochs of the training (the fidelity).
        macs, parameters: cost of the architecture.
        curve: one row per epoch of the training.
    """

    architecture: Architecture
    top1: float
    loss: float
    epochs: int
    macs: int
    parameters: int
    curve: tuple[dict[str, float], ...] = field(default=(), compare=False)


def _named(evaluation: Evaluation, architecture: Architecture) -> Evaluation:
    """The evaluation of a network, by this architecture of it."""
    same = evaluation.architecture == architecture
    return evaluation if same else replace(evaluation, architecture=architecture)


@dataclass(frozen=True)
class TrialResult:
    """Result of an evaluation trained in another process.

    Attributes:
        macs, samples: its charges.
        failures: numbers of failures by reason, as in `Problem.failures`.
        cpu_seconds, memory: CPU seconds, and largest size in bytes, of its process.
    """

    top1: float
    loss: float
    curve: tuple[dict[str, float], ...]
    macs: int
    samples: int
    failures: Mapping[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    memory: int = 0


class Trials(Protocol):
    """Trains architectures in other processes, with the same results as `Problem.evaluate` in this one."""

    @property
    def room(self) -> bool:
        """True if another trial should be submitted now."""

    def __contains__(self, trial: tuple[Architecture, int]) -> bool:
        """Return True if a trial (architecture, epochs) was submitted and its result was not taken yet."""

    def submit(self, architecture: Architecture, epochs: int) -> None:
        """Submit an architecture for training."""

    def take(self, architecture: Architecture, epochs: int) -> TrialResult | None:
        """Wait for a submitted trial's result; None if its process was lost repeatedly."""


class Problem(Generic[S]):
    """A search problem: a space, clips to search on, a budget.

    Attributes:
        space: the search space.
        classes: number of classes.
        caps: the most that an architecture may cost.
        ledger: budget and spending; the problem charges it.
        seed: seed of this run.
        null: True in a null search, which can learn nothing about architectures. The labels of search-val are permuted:
            within each batch of `search_batches` and `search_pairs`, anew in each epoch; over the whole split in each
            pass of `validation_batches` and in each `evaluate`. Search-train, its batches, the random streams of the
            strategy and the prices are those of the real search.
        metered: metered passes of networks other than the supernet.
        failures: numbers of failed `evaluate` trainings and of skipped updates, by reason.
        facts: what was noted, by name; for the harness.
    """

    def __init__(
        self,
        space: S,
        costs: Costs,
        bench: Workbench,
        splits: Mapping[SearchSplit, npt.NDArray[np.int64]],
        caps: Caps,
        seed: int,
        trials: Trials | None = None,
        *,
        null: bool = False,
    ) -> None:
        if caps.latency_ms is not None and costs.latencies is None:
            raise ValueError("a cap on latency needs a cost model with a latency table")
        self.space, self.caps, self.seed, self.null = space, caps, seed, null
        self.classes = costs.classes
        self.ledger: Ledger = bench.ledger
        self.metered = Metered(space, costs, bench, seed)
        self.failures: dict[str, int] = {}
        self.facts: dict[str, Json] = {}
        self._costs, self._bench, self._trials = costs, bench, trials
        self._splits = in_mixed_order(splits)
        self._share = SearchShare(bench.ledger)
        self._rngs: dict[str, np.random.Generator] = {}
        self._torch_rngs: dict[str, torch.Generator] = {}
        self._epochs: dict[str, int] = {}
        self._evaluations: dict[tuple[Architecture, int], Evaluation] = {}
        self._logged: defaultdict[str, list[float]] = defaultdict(list)
        self._skips = 0
        self._most_macs: int | None = None

    # --- chance -----------------------------------------------------------------------------------------------------

    def rng(self, name: str) -> np.random.Generator:
        """The numpy generator of this name: one stream per name, equal in every run of the seed."""
        if name not in self._rngs:
            self._rngs[name] = seeding.generator(self.seed, "strategy", name)
        return self._rngs[name]

    def torch_rng(self, name: str) -> torch.Generator:
        """The torch generator (CPU) of this name."""
        if name not in self._torch_rngs:
            self._torch_rngs[name] = seeding.torch_generator(self.seed, "strategy", name)
        return self._torch_rngs[name]

    # --- architectures ------------------------------------------------------------------------------------------------

    @property
    def costs(self: "Problem[BlockSpace]") -> CostModel:
        """The cost model of a space of blocks, with its per-candidate tables.

        Raises:
            UsageError: the space has another family.
        """
        if not isinstance(self._costs, CostModel):
            raise UsageError(
                f"{self.space.name} has no cost tables per candidate (its family is {self.space.family}): "
                "choose a space of the family mbconv, such as st_default"
            )
        return self._costs

    def cost(self, architecture: Architecture) -> Cost:
        """MACs, parameters, and the predicted latency where that is capped; free of charge."""
        return self._costs(architecture)

    @property
    def cap(self) -> int:
        """The cap on MACs; without one, about the most MACs of an architecture under the other caps.

        It prices trainings that are still unknown; `feasible` and `caps` decide what is allowed.
        """
        if self.caps.macs is not None:
            return self.caps.macs
        if self._most_macs is None:
            self._most_macs = most_macs(self._costs, self.caps)
        return self._most_macs

    def expected_macs(self: "Problem[BlockSpace]") -> ExpectedCost:
        """E[MACs], differentiable in the probabilities of all options."""
        return ExpectedCost(self.costs, self.device)

    def cap_load(self: "Problem[BlockSpace]") -> CapLoad:
        """``E[cost] / (share × cap)`` of the cap that binds, differentiable in the probabilities of options."""
        return CapLoad(self.costs, self.caps, self.device)

    def feasible(self, architecture: Architecture) -> bool:
        """Return True if an architecture is under every cap."""
        return self.caps.allow(self._costs(architecture))

    def sample(self, rng: np.random.Generator | None = None) -> Architecture:
        """A random architecture under the caps: `space.sample`, repeated until it fits.

        Args:
            rng: random generator; None: the stream "sample".
        """
        rng = self.rng("sample") if rng is None else rng
        return self._under_cap(self.draw(lambda: self.space.sample(rng)), "sample")

    def mutate(
        self, parent: Architecture, rng: np.random.Generator | None = None, rate: float | None = None
    ) -> Architecture:
        """An architecture under the caps other than its parent: `space.mutate`, repeated until it fits.

        Args:
            rng: random generator; None: the stream "mutate".
            rate: probability that a decision changes; None: exactly one decision changes.
        """
        rng = self.rng("mutate") if rng is None else rng
        return self._under_cap(self.draw(lambda: self.space.mutate(parent, rng, rate)), f"mutation of {parent}")

    def draw(self, make: Callable[[], Architecture], known: Collection[Architecture] = ()) -> Architecture | None:
        """Call `make` until it returns an architecture under the caps that is not among the known ones.

        Returns:
            The architecture; None after `TRIES` unsuccessful calls.
        """
        for _ in range(TRIES):
            if (architecture := make()) not in known and self.feasible(architecture):
                return architecture
        return None

    def _under_cap(self, architecture: Architecture | None, what: str) -> Architecture:
        if architecture is None:
            raise RuntimeError(f"no {what} under {self.caps} in {TRIES:,} draws: raise --cap")
        return architecture

    # --- search data --------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self._bench.device

    @property
    def batch_size(self) -> int:
        """Clips per training batch."""
        return self._bench.protocol.batch_size

    def clips_in(self, split: SearchSplit) -> int:
        """Number of clips of a search split."""
        return len(self._splits[split])

    def labels_in(self, split: SearchSplit) -> npt.NDArray[np.int64]:
        """True class of each clip of a search split, in the order of its clips."""
        labels: npt.NDArray[np.int64] = self._bench.store.labels[self._splits[split]].astype(np.int64)
        return labels

    def search_batches(self, split: SearchSplit, *, classes: Sequence[int] | None = None) -> Iterator[ClipBatch]:
        """One epoch of shuffled, augmented batches of a search split; each call is another epoch.

        Args:
            classes: classes of the clips to use; None: all.
        """
        epoch = self._epochs[split] = self._epochs.get(split, 0) + 1
        indices = self._splits[split]
        if classes is not None:
            indices = indices[np.isin(self._bench.store.labels[indices], list(classes))]
        batches = self._bench.batches(indices, train=True, seed=seeding.derive(self.seed, "search", split, epoch))
        if self.null and split == "val":
            return permuted_within_batches(batches, seeding.derive(self.seed, "null", split, epoch))
        return batches

    def repeated_batches(self, split: SearchSplit) -> Iterator[ClipBatch]:
        """Epochs of `search_batches`, one after another without end."""
        first, others = self.search_batches(split), (self.search_batches(split) for _ in itertools.count())
        return itertools.chain(first, itertools.chain.from_iterable(others))

    def search_pairs(self, *, classes: Sequence[int] | None = None) -> Iterator[tuple[ClipBatch, ClipBatch]]:
        """One epoch of pairs: a batch of search-train with one of search-val, which restarts when exhausted.

        If budget is set aside, the epoch ends before the first iteration that would exceed the search's share, and
        `progress` becomes 1.

        Args:
            classes: only clips of these classes; None: all.

        Raises:
            ValueError: search-val has no clip of these classes.
        """
        held_out: Iterator[ClipBatch] = iter(())
        for batch in self.search_batches("train", classes=classes):
            if not self._share.room():
                return
            other = next(held_out, None)
            if other is None:
                held_out = self.search_batches("val", classes=classes)
                other = next(held_out, None)
            if other is None:
                raise ValueError(f"search-val has no clip of the classes {list(classes or ())}")
            before = self._share.spent
            yield batch, other
            self._share.dearest = max(self._share.dearest, self._share.spent - before)

    def validation_batches(self) -> Iterator[ClipBatch]:
        """Large batches of all of search-val: one view per clip, not augmented, in a fixed shuffled order."""
        batches = self._bench.batches(self._splits["val"], train=False, seed=0, views=ONE_VIEW)
        if self.null:
            number = self._epochs["validation"] = self._epochs.get("validation", 0) + 1
            return relabelled(batches, self._permuted("validation", number))
        return batches

    def _permuted(self, *words: str | int) -> npt.NDArray[np.int64]:
        """The labels of search-val in a random order, one per stream."""
        return permuted(self.labels_in("val"), seeding.derive(self.seed, "null", *words))

    def permuted_if_null(self, scores: list[float], name: str) -> list[float]:
        """Scores of alternatives that use no label of search-val; in a null search, permuted among the alternatives.

        Args:
            name: random stream; equal names permute equally.
        """
        if not self.null:
            return scores
        order = seeding.generator(self.seed, "null", "scores", name).permutation(len(scores))
        return [scores[i] for i in order]

    # --- work, metered ------------------------------------------------------------------------------------------------

    def supernet(self: "Problem[BlockSpace]", name: str = "supernet") -> SearchSupernet:
        """A new supernet of the space, initialised from the stream of this name.

        Raises:
            UsageError: the space's family has no supernet.
        """
        if not isinstance(self.space, BlockSpace):
            raise UsageError(
                f"{self.space.name} has no supernet (its family is {self.space.family}): "
                "choose a space of the family mbconv, such as st_default"
            )
        with seeding.torch_seeded(self.seed, "init", name):
            return SearchSupernet(Supernet(self.space, self.classes).to(self.device), self.costs, self._bench)

    def backward(self, loss: Tensor) -> None:
        """Run `loss.backward()` and time it with the clock."""
        with self._bench.clock("backward"):
            loss.backward()

    def update(
        self,
        *optimisers: torch.optim.Optimizer,
        clip: float | None = None,
        clipped: Literal["norm", "value"] = "norm",
    ) -> None:
        """Clip the gradients, step these optimisers, and clear the gradients.

        With a bound, an optimiser whose gradients are not finite is skipped.

        Args:
            clip: bound of each optimiser's gradients; None: none.
            clipped: what is bounded: the norm of all gradients together, or each of their values.

        Raises:
            TrainingDiverged: more than `SKIPS` updates in a row were skipped.
        """
        with self._bench.clock("optimiser"):
            for optimiser in optimisers:
                if clip is None or self._clipped(optimiser, clip, clipped):
                    optimiser.step()
                optimiser.zero_grad(set_to_none=True)

    def _clipped(self, optimiser: torch.optim.Optimizer, bound: float, what: Literal["norm", "value"]) -> bool:
        """Clip an optimiser's gradients; return True if their norm is finite."""
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = bound if what == "norm" else math.inf
        if math.isfinite(total := float(nn.utils.clip_grad_norm_(parameters, norm, foreach=True))):
            if what == "value":
                nn.utils.clip_grad_value_(parameters, bound, foreach=True)
            self._skips = 0
            return True
        self._skips += 1
        self.failures["skipped updates"] = self.failures.get("skipped updates", 0) + 1
        if self._skips > SKIPS:
            raise TrainingDiverged(f"the norm of the gradients was {total:g} in {self._skips} updates in a row")
        return False

    # --- trainings ----------------------------------------------------------------------------------------------------

    @property
    def full_epochs(self) -> int:
        """Epochs of a full training."""
        return self._bench.protocol.epochs

    @property
    def proxy_epochs(self) -> int:
        """Default epochs of `evaluate`."""
        return self._bench.protocol.proxy_epochs

    def evaluation_cost(self, architecture: Architecture, epochs: int | None = None) -> float:
        """Cost of `evaluate`, in reference trainings.

        Raises:
            ValueError: epochs is not a whole number of at least 1.
        """
        return self._evaluation_macs(architecture, self._fidelity(epochs)) / self.ledger.reference

    def _fidelity(self, epochs: int | None) -> int:
        return self.proxy_epochs if epochs is None else whole("epochs", epochs)

    def _evaluation_macs(self, architecture: Architecture, epochs: int) -> int:
        macs, protocol = self._costs(architecture).macs, self._bench.protocol
        views = len(protocol.test_views)
        return training_macs(macs, self.clips_in("train"), epochs, protocol) + macs * views * self.clips_in("val")

    def evaluate(self, architecture: Architecture, epochs: int | None = None) -> Evaluation:
        """Train an architecture on search-train, stand-alone, and measure it on search-val.

        The same network and epochs give the same result within a run, by whichever of its architectures; each call is
        charged.
        A training that diverges or runs out of memory has a top-1 of 0 and an infinite loss.

        Args:
            epochs: epochs of the training (the fidelity); None: the protocol's proxy.

        Raises:
            BudgetExhausted: the whole evaluation does not fit; nothing was done.
            ValueError: the architecture is above a cap, or epochs is not a whole number of at least 1.
        """
        epochs = self._fidelity(epochs)
        if not self.feasible(architecture):
            raise ValueError(f"{architecture} has {self.caps.exceeded(self.cost(architecture))}")
        macs = self._evaluation_macs(architecture, epochs)
        self.ledger.require(macs)
        key = (self.space.canonical(architecture), epochs)
        if key in self._evaluations:
            self.ledger.charge(macs)
        else:
            elsewhere = self._trials is not None and key in self._trials
            self._evaluations[key] = (self._taken if elsewhere else self._evaluate)(*key)
        self.ledger.charge(0, evaluations=1)
        return _named(self._evaluations[key], architecture)

    def _evaluate(self, architecture: Architecture, epochs: int) -> Evaluation:
        cost, bench = self._costs(architecture), self._bench
        seed = evaluation_seed(self.seed, architecture, epochs)
        network = untrained(self.space, architecture, self.classes, bench.protocol, seed).to(self.device)
        try:
            curve = train(network, cost.macs, bench, self._splits["train"], epochs=epochs, seed=seed)
            labels = self._permuted("evaluate", str(architecture), epochs) if self.null else None
            scores = test(network, cost.macs, bench, self._splits["val"], labels=labels)
            if not math.isfinite(scores.loss):
                raise TrainingDiverged(f"the loss on search-val is {scores.loss:g}")
        except TrainingFailed as failure:
            kind = type(failure).__name__
            self.failures[kind] = self.failures.get(kind, 0) + 1
            return Evaluation(architecture, 0.0, math.inf, epochs, cost.macs, cost.parameters)
        return Evaluation(architecture, scores.top1, scores.loss, epochs, cost.macs, cost.parameters, tuple(curve))

    def _taken(self, architecture: Architecture, epochs: int) -> Evaluation:
        """Take the result of a training in another process; a lost training fails and is charged in full."""
        assert self._trials is not None
        with self._bench.clock("trials"):
            trained = self._trials.take(architecture, epochs)
        if trained is None:
            macs = self._evaluation_macs(architecture, epochs)
            trained = TrialResult(0.0, math.inf, (), macs, 0, {"WorkerLost": 1})
        self.ledger.charge(trained.macs, samples=trained.samples)
        for kind, count in trained.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + count
        cost = self._costs(architecture)
        return Evaluation(architecture, trained.top1, trained.loss, epochs, cost.macs, cost.parameters, trained.curve)

    def evaluate_many(self, architectures: Sequence[Architecture], epochs: int | None = None) -> list[Evaluation]:
        """Evaluate several architectures, in order; see `evaluate`.

        Raises:
            BudgetExhausted: the evaluations do not all fit; nothing was done.
            ValueError: epochs is not a whole number of at least 1.
        """
        fidelity = self._fidelity(epochs)
        self.ledger.require(sum(self._evaluation_macs(a, fidelity) for a in architectures))
        evaluations = []
        for done, architecture in enumerate(architectures):
            self.prefetch(architectures[done:], epochs)
            evaluations.append(self.evaluate(architecture, epochs))
        return evaluations

    def prefetch(self, architectures: Iterable[Architecture], epochs: int | None = None) -> None:
        """Announce the next calls of `evaluate`, in order, so that other processes can train in parallel.

        Results and charges do not change; `evaluate` charges, not this method. Trainings beyond the budget are not
        submitted. Without an executor this does nothing.

        Args:
            architectures: the next architectures; may be infinite.
            epochs: as in `evaluate`.

        Raises:
            ValueError: epochs is not a whole number of at least 1.
        """
        epochs, macs = self._fidelity(epochs), 0
        if self._trials is None:
            return
        for architecture in architectures:
            macs += self._evaluation_macs(architecture, epochs)
            key = (self.space.canonical(architecture), epochs)
            if not self._trials.room or not self.ledger.fits(macs) or not self.feasible(architecture):
                return
            if key not in self._evaluations and key not in self._trials:
                self._trials.submit(*key)

    # --- the search's share of the budget -----------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Progress of the search in [0, 1]: the spent fraction of its share of the budget.

        The share excludes budget that is `set_aside` or spent by `compare`.
        """
        return self._share.progress()

    def progress_to(self, share: float) -> float:
        """Progress in [0, 1] within the first `share` of the search."""
        return self._share.progress(share)

    def set_aside(
        self,
        *,
        trainings: int | None = None,
        epochs: int | None = None,
        validations: int | None = None,
        macs: int = 0,
        recalibration: int = 0,
    ) -> None:
        """Reserve up to three quarters of the budget for comparing architectures and measuring the result.

        Args:
            trainings: number of trainings by `compare`, each priced at the cap.
            epochs: epochs of each training; None: the protocol's proxy.
            validations: number of passes of search-val through one network.
            macs: MACs of that network for one clip; 0: the cap.
            recalibration: training batches through the network before each pass, for its batch-norm statistics.

        Raises:
            ValueError: a count is not a whole number of at least 1.
        """
        reference, count, each, measured = self.space.reference, 0, 0.0, 0.0
        if trainings is not None:
            count, fidelity = whole("trainings", trainings), self._fidelity(epochs)
            at_cap = max(self.cap / self._costs(reference).macs, 1.0)
            slack = ITERATION * self.cap * self.batch_size / self.ledger.reference  # an iteration may overshoot
            each = self.evaluation_cost(reference, fidelity) * at_cap + slack
        if validations is not None:
            clips = whole("validations", validations) * (self.clips_in("val") + recalibration * self.batch_size)
            measured = (macs or self.cap) * clips / self.ledger.reference
        self._share.reserve(count, each, measured, MOST_SET_ASIDE)

    def compare(self, architecture: Architecture, epochs: int | None = None) -> Evaluation:
        """Evaluate an architecture from the reserved budget; repeated comparisons are free.

        Raises:
            BudgetExhausted: the whole evaluation does not fit; nothing was done.
            ValueError: the architecture is above a cap, or epochs is not a whole number of at least 1.
        """
        fidelity, before = self._fidelity(epochs), self.ledger.spent
        known = self._evaluations.get((self.space.canonical(architecture), fidelity))
        evaluation = _named(known, architecture) if known else self.evaluate(architecture, fidelity)
        self._share.release(self.ledger.spent - before)
        return evaluation

    # --- history ------------------------------------------------------------------------------------------------------

    def log(self, **metrics: float) -> None:
        """Log metrics; the trajectory gets the mean of each over a step.

        ``val_top1`` is the incumbent's accuracy on search-val.
        """
        for name, value in metrics.items():
            self._logged[name].append(float(value))

    def note(self, **facts: Json) -> None:
        """Note facts for the diagnostics of the record, which have the latest value of each name.

        Raises:
            TypeError: a value is not JSON.
        """
        self.facts |= json.loads(json.dumps(facts))

    def take_logged(self) -> dict[str, float]:
        """Mean of each metric logged since the last call; for the harness only."""
        means = {name: sum(v) if len(v) == 1 else float(np.mean(v)) for name, v in self._logged.items()}
        self._logged.clear()
        return means

    def _state(self) -> dict[str, Any]:
        """State of the random streams, the ledger, the search's share, the evaluations and the facts."""
        share = self._share
        return {
            "rngs": {name: rng.bit_generator.state for name, rng in self._rngs.items()},
            "torch_rngs": {name: rng.get_state() for name, rng in self._torch_rngs.items()},
            "epochs": dict(self._epochs),
            "failures": dict(self.failures),
            "facts": dict(self.facts),
            "skips": self._skips,
            "ledger": [self.ledger.macs, self.ledger.samples, self.ledger.evaluations],
            "share": {name: value for name, value in vars(share).items() if name != "ledger"},
            "evaluations": [
                [str(e.architecture), e.top1, e.loss, e.epochs, [dict(row) for row in e.curve]]
                for e in self._evaluations.values()
            ],
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        """Resume from a `_state`."""
        for name, rng_state in state["rngs"].items():
            self.rng(name).bit_generator.state = rng_state
        for name, rng_state in state["torch_rngs"].items():
            self.torch_rng(name).set_state(rng_state)
        self._epochs = dict(state["epochs"])
        self.failures, self._skips = dict(state["failures"]), state["skips"]
        self.facts = dict(state["facts"])
        self.ledger.resume(*state["ledger"])
        self._share = SearchShare(self.ledger, **state["share"])
        for string, top1, loss, epochs, curve in state["evaluations"]:
            architecture = self.space.parse(string)
            cost = self._costs(architecture)
            evaluation = Evaluation(architecture, top1, loss, epochs, cost.macs, cost.parameters, tuple(curve))
            self._evaluations[architecture, epochs] = evaluation
        self._logged.clear()
