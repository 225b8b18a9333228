"""The problem: all that a strategy may touch."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench import seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import BACKWARD
from pvnas_bench.network.cost import Cost, CostModel
from pvnas_bench.network.families import Costs, build
from pvnas_bench.network.metering import ExpectedMacs, plan_macs
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.network.supernet import Plan, Supernet, path_plan
from pvnas_bench.space import Architecture, BlockSpace, SearchSpace
from pvnas_bench.training.synchronised import Part, Synchronised
from pvnas_bench.training.testing import test
from pvnas_bench.training.train import SKIPS, train, training_macs
from pvnas_bench.training.workbench import TrainingDiverged, TrainingFailed, Workbench
from pvnas_bench.video import ClipBatch, Views

SearchSplit = Literal["train", "val"]
ONE_VIEW = Views(1, 1)
TRIES = 10_000


def in_mixed_order(splits: Mapping[SearchSplit, npt.NDArray[np.int64]]) -> dict[SearchSplit, npt.NDArray[np.int64]]:
    """The clips of each split in an order that is always the same one.

    Batch-norm on the statistics of a batch sorted by class would remove what tells classes apart.
    """
    mixed = seeding.generator(0, "order of search splits")
    return {split: mixed.permutation(indices) for split, indices in splits.items()}


def evaluation_seed(seed: int, architecture: Architecture, epochs: int) -> int:
    """The seed of everything random in the stand-alone training of an evaluation.

    Args:
        seed: of the run, or of a table.
    """
    return seeding.derive(seed, "evaluate", str(architecture), epochs)


@dataclass(frozen=True)
class Evaluation:
    """An architecture's accuracy on search-val after stand-alone training on search-train.

    Attributes:
        top1: fraction of search-val clips.
        loss: mean cross-entropy on search-val.
        epochs: the fidelity.
    """

    architecture: Architecture
    top1: float
    loss: float
    epochs: int
    macs: int
    parameters: int
    curve: tuple[dict[str, float], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Trained:
    """What the training of an evaluation in another process gave.

    Attributes:
        macs, samples: what it charged.
        failures: as of `Problem.failures`.
        cpu_seconds, memory: what its process used for it, and its largest size in bytes.
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
    """Trains architectures in other processes, as `Problem.evaluate` would in this one."""

    @property
    def room(self) -> bool:
        """Whether one more should be submitted now."""

    def __contains__(self, trial: tuple[Architecture, int]) -> bool:
        """Whether an architecture at so many epochs was submitted, and its result not taken."""

    def submit(self, architecture: Architecture, epochs: int) -> None:
        """Have it trained."""

    def take(self, architecture: Architecture, epochs: int) -> Trained | None:
        """Wait for the result of what was submitted; None: its process was lost, again and again."""


class Problem:
    """A search problem: a space, clips to search on, a budget.

    Attributes:
        space: the search space, of a family that the strategy works on (`Info.families`).
        classes: number of classes.
        cap: most MACs of one clip's forward pass that an architecture may have.
        ledger: the budget and what is spent of it; read it to plan, the problem charges it.
        seed: of this run.
    """

    def __init__(
        self,
        space: SearchSpace,
        costs: Costs,
        bench: Workbench,
        splits: Mapping[SearchSplit, npt.NDArray[np.int64]],
        cap: int,
        seed: int,
        trials: Trials | None = None,
    ) -> None:
        self.space = cast(BlockSpace, space)  # the setup holds a strategy to the families that it names
        self.cap, self.seed = cap, seed
        self.classes = costs.classes
        self.ledger = bench.ledger
        self._costs, self._bench, self._trials = costs, bench, trials
        self._splits = in_mixed_order(splits)
        self._rngs: dict[str, np.random.Generator] = {}
        self._torch_rngs: dict[str, torch.Generator] = {}
        self._epochs: dict[str, int] = {}
        self._evaluations: dict[tuple[Architecture, int], Evaluation] = {}
        self.metrics: dict[str, float] = {}
        """What was logged since the last step; the harness takes it."""
        self.failures: dict[str, int] = {}
        """Trainings of `evaluate` that did not end, and updates left out, by the reason."""
        self._skips = 0

    # --- chance -----------------------------------------------------------------------------------------------------

    def rng(self, name: str) -> np.random.Generator:
        """The numpy generator of this name: one stream per name, the same in every run of the seed."""
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
    def costs(self) -> CostModel:
        """The cost model, with its per-candidate tables."""
        return cast(CostModel, self._costs)

    def cost(self, architecture: Architecture) -> Cost:
        """MACs and parameters; free of charge."""
        return self._costs(architecture)

    def expected_macs(self) -> ExpectedMacs:
        """E[MACs] as a differentiable function of the probabilities of all options."""
        return ExpectedMacs(self.costs, self.device)

    def feasible(self, architecture: Architecture) -> bool:
        """Whether an architecture is under the cap."""
        return self._costs(architecture).macs <= self.cap

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A random architecture under the cap: `space.sample`, again until it fits."""
        for _ in range(TRIES):
            if self.feasible(architecture := self.space.sample(rng)):
                return architecture
        raise RuntimeError(f"no architecture under {self.cap} MACs in {TRIES} samples of {self.space.name}")

    # --- search data --------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return self._bench.device

    @property
    def batch_size(self) -> int:
        """Clips per training batch."""
        return self._bench.protocol.batch_size

    def clips_in(self, split: SearchSplit) -> int:
        """The number of clips of a search split."""
        return len(self._splits[split])

    def labels_in(self, split: SearchSplit) -> npt.NDArray[np.int64]:
        """The class of each clip of a search split, in the order of its clips."""
        labels: npt.NDArray[np.int64] = self._bench.store.labels[self._splits[split]].astype(np.int64)
        return labels

    def search_batches(self, split: SearchSplit, *, subset: npt.NDArray[np.int64] | None = None) -> Iterator[ClipBatch]:
        """One epoch of shuffled, augmented batches of a search split; each call is another epoch.

        Args:
            subset: positions within the split to draw from; None: all.
        """
        epoch = self._epochs[split] = self._epochs.get(split, 0) + 1
        indices = self._splits[split] if subset is None else self._splits[split][subset]
        return self._bench.batches(indices, train=True, seed=seeding.derive(self.seed, "search", split, epoch))

    def validation_batches(self) -> Iterator[ClipBatch]:
        """All of search-val in a fixed, mixed order, not augmented, in large batches of one view of each clip."""
        return self._bench.batches(self._splits["val"], train=False, seed=0, views=ONE_VIEW)

    def clips(self, batch: ClipBatch, frames: int, size: int) -> Tensor:
        """A batch's clips on the device, (N, T, 3, S, S), for networks that are not a `supernet`: charge their passes.

        `ledger.forward` and `ledger.backward` do that; `clock` takes their time. Where several processes make a run,
        each computes such a network on the whole batch.
        """
        return self._bench.clips(batch, frames, size)

    def clock(self, activity: Literal["forward", "backward", "optimiser"]) -> AbstractContextManager[None]:
        """Within the context time is on the clock, as this activity's."""
        return self._bench.clock(activity)

    # --- work, metered ------------------------------------------------------------------------------------------------

    def supernet(self, name: str = "supernet") -> "SearchSupernet":
        """A new supernet of the space, initialised from the stream of this name.

        Raises:
            UsageError: the space is of a family that has none.
        """
        if not isinstance(self.space, BlockSpace):
            raise UsageError(
                f"{self.space.name} has no supernet (its family is {self.space.family}): "
                "a strategy that trains one works on spaces of the family mbconv, such as st_default"
            )
        with seeding.torch_seeded(self.seed, "init", name):
            return SearchSupernet(Supernet(self.space, self.classes).to(self.device), self.costs, self._bench)

    def inputs(self, batch: ClipBatch, network: Classifier) -> Tensor:
        """What a `network` takes of a batch, on the device."""
        return self._bench.inputs(batch, network)

    def network(self, architecture: Architecture, name: str = "network") -> Classifier:
        """A new stand-alone network whose every pass is charged, initialised from the stream of this name.

        Calling it raises BudgetExhausted where the pass, or the backward pass that will follow it, does not fit, and
        ValueError for inputs that have not the architecture's shape.
        """
        macs, ledger = self._costs(architecture).macs, self.ledger
        with seeding.torch_seeded(self.seed, "init", name, str(architecture)):
            network = build(self.space, architecture, self.classes).to(self.device)
        expected = tuple(network.blank().shape[1:])

        def charge(_: nn.Module, inputs: tuple[Tensor]) -> None:
            shape = tuple(inputs[0].shape)
            if shape[1:] != expected:
                raise ValueError(f"{architecture} takes clips of shape (N, {expected}), got {shape}")
            ledger.forward(macs * shape[0], shape[0], BACKWARD if torch.is_grad_enabled() else 0)

        def owe(_: nn.Module, inputs: tuple[Tensor], logits: Tensor) -> None:
            clips = len(inputs[0])
            if logits.requires_grad:
                logits.register_hook(lambda _: ledger.backward(BACKWARD * macs * clips))

        network.register_forward_pre_hook(charge)
        network.register_forward_hook(owe)
        return network

    def backward(self, loss: Tensor) -> None:
        """`loss.backward()`, with its time on the clock."""
        with self._bench.clock("backward"):
            loss.backward()

    def update(self, *optimisers: torch.optim.Optimizer, clip: float | None = None) -> None:
        """Step these optimisers, after clipping the norm of their gradients, and clear the gradients.

        An optimiser whose gradients are clipped and not finite is not stepped.

        Raises:
            TrainingDiverged: that happened more than `SKIPS` times in a row.
        """
        with self._bench.clock("optimiser"):
            for optimiser in optimisers:
                if clip is None or self._clipped(optimiser, clip):
                    optimiser.step()
                optimiser.zero_grad(set_to_none=True)

    def _clipped(self, optimiser: torch.optim.Optimizer, norm: float) -> bool:
        """Clip the norm of an optimiser's gradients; whether it is finite."""
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        if math.isfinite(found := float(nn.utils.clip_grad_norm_(parameters, norm, foreach=True))):
            self._skips = 0
            return True
        self._skips += 1
        self.failures["skipped updates"] = self.failures.get("skipped updates", 0) + 1
        if self._skips > SKIPS:
            raise TrainingDiverged(f"the norm of the gradients was {found:g} in {self._skips} updates in a row")
        return False

    @property
    def full_epochs(self) -> int:
        """Epochs of a full training."""
        return self._bench.protocol.epochs

    @property
    def proxy_epochs(self) -> int:
        """Epochs of `evaluate` when none are named."""
        return self._bench.protocol.proxy_epochs

    def evaluation_cost(self, architecture: Architecture, epochs: int | None = None) -> float:
        """What `evaluate` will charge, in reference trainings."""
        return self._evaluation_macs(architecture, epochs or self.proxy_epochs) / self.ledger.reference

    def _evaluation_macs(self, architecture: Architecture, epochs: int) -> int:
        macs, protocol = self._costs(architecture).macs, self._bench.protocol
        views = len(protocol.test_views)
        return training_macs(macs, self.clips_in("train"), epochs, protocol) + macs * views * self.clips_in("val")

    def evaluate(self, architecture: Architecture, epochs: int | None = None) -> Evaluation:
        """Train an architecture on search-train, stand-alone, and measure it on search-val.

        The same architecture at the same number of epochs gives the same result within a run; it is charged again.
        A training that diverges or does not fit into the memory has a top-1 of 0 and an infinite loss.

        Args:
            epochs: the fidelity; None: the protocol's proxy.

        Raises:
            BudgetExhausted: the whole evaluation does not fit; nothing was done.
            ValueError: the architecture is above the cap.
        """
        epochs = epochs or self.proxy_epochs
        if not self.feasible(architecture):
            raise ValueError(f"{architecture} has {self.cost(architecture).macs} MACs, above the cap of {self.cap}")
        macs = self._evaluation_macs(architecture, epochs)
        self.ledger.require(macs)
        key = (architecture, epochs)
        if key in self._evaluations:
            self.ledger.macs += macs
        else:
            elsewhere = self._trials is not None and key in self._trials
            self._evaluations[key] = (self._taken if elsewhere else self._evaluate)(architecture, epochs)
        self.ledger.evaluations += 1
        return self._evaluations[key]

    def _evaluate(self, architecture: Architecture, epochs: int) -> Evaluation:
        cost, bench = self._costs(architecture), self._bench
        seed = evaluation_seed(self.seed, architecture, epochs)
        with seeding.torch_seeded(seed, "init"):
            network = build(self.space, architecture, self.classes).to(self.device)
        try:
            curve = train(network, cost.macs, bench, self._splits["train"], epochs=epochs, seed=seed)
            scores = test(network, cost.macs, bench, self._splits["val"])
            if not math.isfinite(scores.loss):
                raise TrainingDiverged(f"the loss on search-val is {scores.loss:g}")
        except TrainingFailed as failure:
            kind = type(failure).__name__
            self.failures[kind] = self.failures.get(kind, 0) + 1
            return Evaluation(architecture, 0.0, math.inf, epochs, cost.macs, cost.parameters)
        return Evaluation(architecture, scores.top1, scores.loss, epochs, cost.macs, cost.parameters, tuple(curve))

    def _taken(self, architecture: Architecture, epochs: int) -> Evaluation:
        """`_evaluate`, in another process. A training that is lost for good failed, and is charged as a whole."""
        assert self._trials is not None
        with self._bench.clock("trials"):
            trained = self._trials.take(architecture, epochs)
        if trained is None:
            macs = self._evaluation_macs(architecture, epochs)
            trained = Trained(0.0, math.inf, (), macs, 0, {"WorkerLost": 1})
        self.ledger.macs += trained.macs
        self.ledger.samples += trained.samples
        for kind, count in trained.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + count
        cost = self._costs(architecture)
        return Evaluation(architecture, trained.top1, trained.loss, epochs, cost.macs, cost.parameters, trained.curve)

    def restore(self, architecture: str, top1: float, loss: float, epochs: int) -> Evaluation:
        """An evaluation made earlier in this run, from what a strategy's `state_dict` kept of it; free of charge."""
        found = self.space.parse(architecture)
        cost = self._costs(found)
        return Evaluation(found, top1, loss, epochs, cost.macs, cost.parameters)

    def evaluate_many(self, architectures: Sequence[Architecture], epochs: int | None = None) -> list[Evaluation]:
        """`evaluate` each, in order.

        Raises:
            BudgetExhausted: not all of them fit; nothing was done.
        """
        self.ledger.require(sum(self._evaluation_macs(a, epochs or self.proxy_epochs) for a in architectures))
        found = []
        for done, architecture in enumerate(architectures):
            self.prefetch(architectures[done:], epochs)
            found.append(self.evaluate(architecture, epochs))
        return found

    def prefetch(self, architectures: Iterable[Architecture], epochs: int | None = None) -> None:
        """Say what `evaluate` will be asked next, in this order, so that other processes may train it side by side.

        It changes no result and no charge, which `evaluate` makes; what the budget has nothing left for is not trained.
        Without an executor this does nothing.

        Args:
            architectures: may be without end.
            epochs: as in `evaluate`.
        """
        if self._trials is None:
            return
        epochs, macs = epochs or self.proxy_epochs, 0
        for architecture in architectures:
            macs += self._evaluation_macs(architecture, epochs)
            key = (architecture, epochs)
            if not self._trials.room or not self.ledger.fits(macs) or not self.feasible(architecture):
                return
            if key not in self._evaluations and key not in self._trials:
                self._trials.submit(architecture, epochs)

    def log(self, **metrics: float) -> None:
        """Attach numbers to this step of the trajectory, ``val_top1`` for the incumbent's accuracy on search-val."""
        self.metrics.update({name: float(value) for name, value in metrics.items()})

    # --- going on -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state of chance and of the ledger, and the evaluations made."""
        return {
            "rngs": {name: rng.bit_generator.state for name, rng in self._rngs.items()},
            "torch_rngs": {name: rng.get_state() for name, rng in self._torch_rngs.items()},
            "epochs": dict(self._epochs),
            "failures": dict(self.failures),
            "skips": self._skips,
            "ledger": [self.ledger.macs, self.ledger.samples, self.ledger.evaluations],
            "evaluations": [
                [str(e.architecture), e.top1, e.loss, e.epochs, [dict(row) for row in e.curve]]
                for e in self._evaluations.values()
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        for name, rng_state in state["rngs"].items():
            self.rng(name).bit_generator.state = rng_state
        for name, rng_state in state["torch_rngs"].items():
            self.torch_rng(name).set_state(rng_state)
        self._epochs = dict(state["epochs"])
        self.failures, self._skips = dict(state["failures"]), state["skips"]
        self.ledger.macs, self.ledger.samples, self.ledger.evaluations = state["ledger"]
        for *found, curve in state["evaluations"]:
            evaluation = replace(self.restore(*found), curve=tuple(curve))
            self._evaluations[evaluation.architecture, evaluation.epochs] = evaluation


class SearchSupernet(nn.Module):
    """A supernet whose every pass is charged."""

    def __init__(self, network: Supernet, costs: CostModel, bench: Workbench) -> None:
        super().__init__()
        self.network = network
        self._costs, self._bench = costs, bench
        self._ledger, self._clock = bench.ledger, bench.clock

    def forward(self, batch: ClipBatch, path: Architecture | Plan, train_weights: bool = True) -> Tensor:
        """Logits (N, classes) of a batch through one path or a plan.

        Args:
            train_weights: False: the weights get no gradient, only what the plan holds does; a backward pass then costs
                half as much.

        Raises:
            BudgetExhausted: the pass, or the backward pass that will follow it, does not fit.
        """
        plan = path_plan(self.network.space, path) if isinstance(path, Architecture) else path
        macs = plan_macs(self._costs, plan) * len(batch)
        backward = (BACKWARD if train_weights else 1) if torch.is_grad_enabled() else 0
        self._ledger.forward(macs, len(batch), backward)
        own = self._bench.world.share(batch)
        clips = self._bench.clips(own, plan.frames, plan.size)
        run = self._bench.over(self.network, own, None if train_weights else self._frozen)
        with self._clock("forward"):
            logits = run(clips, plan)
        if logits.requires_grad:
            logits.register_hook(lambda _: self._ledger.backward(macs * backward))
        return logits

    @cached_property
    def _frozen(self) -> dict[str, Tensor]:
        """The parameters as constants that share their memory."""
        return {name: parameter.detach() for name, parameter in self.network.named_parameters()}

    def labels(self, batch: ClipBatch) -> Tensor:
        """The batch's labels (N,) on the device."""
        return batch.labels.to(self._bench.device)

    def loss(
        self,
        batch: ClipBatch,
        path: Architecture | Plan,
        label_smoothing: float = 0.0,
        *,
        train_weights: bool = True,
    ) -> Tensor:
        """Mean cross-entropy of a batch through one path or a plan; see `forward`."""
        logits = self(batch, path, train_weights)
        with self._clock("forward"):
            return F.cross_entropy(logits, self.labels(batch), label_smoothing=label_smoothing)

    @torch.no_grad()
    def validate(
        self, architecture: Architecture, batches: Iterable[ClipBatch], recalibration: Iterable[ClipBatch] | None = None
    ) -> tuple[float, float]:
        """Top-1 and mean cross-entropy of one path over these batches; counts as one architecture evaluated.

        Args:
            recalibration: batches to estimate the path's batch-norm statistics on (SPOS), charged as well; None:
                the statistics of each batch serve.

        Raises:
            BudgetExhausted: the next batch does not fit.
        """
        self._ledger.evaluations += 1
        if recalibration is None:
            return self._measure(architecture, batches)
        with self.network.recalibrated(architecture, self._charged_clips(architecture, recalibration)):
            return self._measure(architecture, batches)

    def _charged_clips(self, architecture: Architecture, batches: Iterable[ClipBatch]) -> Iterator[Tensor]:
        spec, macs = self.network.space.spec(architecture), self._costs(architecture).macs
        for batch in batches:
            self._ledger.forward(macs * len(batch), len(batch), 0)
            own = self._bench.world.share(batch)
            clips = self._bench.clips(own, spec.frames, spec.size)
            with nullcontext() if own.part is None else Synchronised(Part.of(own)):
                yield clips  # the context lasts until the supernet has seen them

    def _measure(self, architecture: Architecture, batches: Iterable[ClipBatch]) -> tuple[float, float]:
        hits, loss, count = 0, 0.0, 0
        for batch in batches:
            logits, labels = self(batch, architecture), self.labels(batch)
            hits += int((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            count += len(batch)
        return hits / count, loss / count
