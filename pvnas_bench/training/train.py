"""Stand-alone training and testing of one network: the same recipe for every architecture."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench import seeding
from pvnas_bench.ledger import BACKWARD, Ledger
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import Protocol
from pvnas_bench.training import distributed, synchronised
from pvnas_bench.video import ClipBatch, ClipStore, FrameOrder, Views, clip_batches

EVALUATION_BATCH = 64
Pass = Callable[..., Tensor]
SKIPS = 3
"""Steps in a row whose loss or gradient is not finite, and that are left out; with one more a training has diverged."""


@dataclass
class Clock:
    """Wall seconds by activity, and those that a table says would have passed."""

    seconds: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.0
    active: str | None = None
    """The activity whose time passes now."""

    def __call__(self, activity: str) -> "Timed":
        """A context whose time counts as this activity's."""
        return Timed(self, activity)


class Timed:
    """Adds the wall seconds between entering and leaving."""

    __slots__ = ("_activity", "_clock", "_start")

    def __init__(self, clock: Clock, activity: str) -> None:
        self._clock, self._activity = clock, activity

    def __enter__(self) -> None:
        self._clock.active = self._activity
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        passed, clock = time.perf_counter() - self._start, self._clock
        clock.seconds[self._activity] = clock.seconds.get(self._activity, 0.0) + passed
        clock.active = None


class TrainingFailed(Exception):
    """A training that cannot be ended."""


class TrainingDiverged(TrainingFailed):
    """The loss, or its gradient, is not finite any more."""


class OutOfMemory(TrainingFailed):
    """Not even one clip at a time fits into the memory."""


@dataclass(frozen=True)
class Workbench:
    """What training needs beside the network: the clips, the recipe, the device, the meters, the other processes."""

    store: ClipStore
    protocol: Protocol
    device: torch.device
    ledger: Ledger
    clock: Clock
    world: distributed.World = distributed.ALONE

    def clips(self, batch: ClipBatch, frames: int, size: int) -> Tensor:
        """The batch's clips on the device, (N, T, 3, S, S)."""
        with self.clock("data"):
            return batch.clips(frames, size).to(self.device, non_blocking=True)

    def inputs(self, batch: ClipBatch, network: Classifier) -> Tensor:
        """What a stand-alone network takes of the batch on the device."""
        with self.clock("data"):
            return network.inputs(batch).to(self.device, non_blocking=True)

    def over(self, network: nn.Module, own: ClipBatch, weights: dict[str, Tensor] | None = None) -> Pass:
        """The network's forward pass over what this process has of a batch: from its inputs to the batch's logits.

        Args:
            own: of `world.share`.
            weights: to use in place of the network's own.
        """
        if own.part is not None:
            weights = dict(network.named_parameters()) if weights is None else weights
            return partial(synchronised.forward, network, synchronised.Part.of(own), weights=weights)
        if weights is not None:
            return lambda *inputs: torch.func.functional_call(network, weights, inputs)
        return network

    def batches(
        self,
        indices: npt.NDArray[np.int64],
        *,
        train: bool,
        seed: int,
        views: Views | None = None,
        order: FrameOrder = "forward",
    ) -> Iterator[ClipBatch]:
        """One epoch: shuffled and augmented, or in order and in these views, the protocol's unless given.

        Args:
            order: of the frames of a clip, where the epoch is no training.
        """
        protocol = self.protocol
        with self.clock("data"):
            batches = clip_batches(
                self.store,
                indices,
                batch_size=protocol.batch_size if train else EVALUATION_BATCH,
                train=train,
                rng=seed,
                sampling=protocol.sampling,
                stride=protocol.stride,
                crop_scale=protocol.crop_scale,
                views=views or protocol.test_views,
                drop_last=train and len(indices) >= protocol.batch_size,
                order=order,
            )
        while True:
            with self.clock("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


@dataclass(frozen=True)
class Scores:
    """Accuracy over a set of clips; fractions, and mean cross-entropy."""

    top1: float
    top5: float
    mean_class: float
    loss: float
    confusion: npt.NDArray[np.int64]


def learning_rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear warm-up over the first `warmup` fraction of the steps, then half a cosine to zero."""
    rising = max(round(warmup * steps), 1)
    if step < rising:
        return peak * (step + 1) / rising
    return 0.5 * peak * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def make_optimiser(network: nn.Module, protocol: Protocol) -> torch.optim.Optimizer:
    """AdamW; vectors (batch-norm, biases) are not decayed."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": protocol.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=protocol.learning_rate, fused=True)


def clips_per_epoch(clips: int, protocol: Protocol) -> int:
    """Full batches only, unless there is not even one."""
    return clips // protocol.batch_size * protocol.batch_size or clips


def training_macs(macs: int, clips: int, epochs: int, protocol: Protocol) -> int:
    """MACs of a stand-alone training, forward and backward over every clip of every epoch.

    Args:
        macs: of one clip's forward pass.
    """
    return (1 + BACKWARD) * macs * epochs * clips_per_epoch(clips, protocol)


def train(
    network: Classifier,
    macs: int,
    bench: Workbench,
    indices: npt.NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
    validation: npt.NDArray[np.int64] | None = None,
    progress: Callable[[int], None] | None = None,
    state: Mapping[str, Any] | None = None,
    boundary: Callable[[Callable[[], dict[str, Any]]], None] | None = None,
) -> list[dict[str, float]]:
    """Train a stand-alone network, of any family, by the protocol's recipe.

    Args:
        macs: of one clip's forward pass, for the ledger.
        indices: of the store's clips to train on.
        validation: clips to measure the top-1 on after each epoch; it selects nothing.
        progress: called with the number of epochs done.
        state: of the same training, to go on from.
        boundary: called after each epoch, with what returns the state of the training.

    Returns:
        per epoch: epoch, train_loss, and val_top1 where there is validation; skipped_steps where there were steps whose
        loss or gradient was not finite; batch_parts where a batch did not fit into the memory at once.

    Raises:
        BudgetExhausted: the next batch does not fit.
        TrainingDiverged: the loss or its gradient stays not finite.
        OutOfMemory: a batch of one clip does not fit.
    """
    protocol, clock = bench.protocol, bench.clock
    optimiser = make_optimiser(network, protocol)
    steps = epochs * max(len(indices) // protocol.batch_size, 1)
    curve: list[dict[str, float]] = []
    step, parts, in_a_row = 0, 1, 0
    with seeding.torch_seeded(seed, "training"):
        if state is not None:
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            curve, step, parts, in_a_row = list(state["curve"]), state["step"], state["parts"], state["in_a_row"]
            seeding.set_torch_state(state["chance"])

        def reached() -> dict[str, Any]:
            return {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "curve": list(curve),
                "step": step,
                "parts": parts,
                "in_a_row": in_a_row,
                "chance": seeding.torch_state(),
            }

        for epoch in range(len(curve) + 1, epochs + 1):
            network.train()
            losses, skipped = [], 0
            for batch in bench.batches(indices, train=True, seed=seeding.derive(seed, "batches", epoch)):
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate_at(step, steps, protocol.learning_rate, protocol.warmup)
                bench.ledger.forward(macs * len(batch), len(batch), BACKWARD)
                own = bench.world.share(batch)
                inputs, labels = bench.inputs(own, network), batch.labels.to(bench.device)
                if own.part is None:
                    loss, parts = _gradients(network, optimiser, inputs, labels, bench, parts)
                else:  # in one part: the others would not know that memory ran out in this process
                    loss = _gradient(bench.over(network, own), optimiser, inputs, labels, bench)
                bench.ledger.backward(BACKWARD * macs * len(batch))
                with clock("optimiser"):
                    norm = nn.utils.clip_grad_norm_(network.parameters(), protocol.gradient_clip, foreach=True)
                    finite = math.isfinite(loss) and math.isfinite(float(norm))
                    if finite:
                        optimiser.step()
                        losses.append(loss)
                in_a_row = 0 if finite else in_a_row + 1
                skipped += not finite
                if in_a_row > SKIPS or (not finite and not _sound(network)):
                    raise TrainingDiverged(f"loss is {loss:g}, norm of its gradient {float(norm):g} in epoch {epoch}")
                step += 1
            row = {"epoch": float(epoch), "train_loss": float(np.mean(losses)) if losses else math.nan}
            if skipped:
                row["skipped_steps"] = float(skipped)
            if parts > 1:
                row["batch_parts"] = float(parts)
            if validation is not None and len(validation):
                row["val_top1"] = test(network, macs, bench, validation).top1
            curve.append(row)
            if progress is not None:
                progress(epoch)
            if boundary is not None:
                boundary(reached)
    return curve


def _gradients(
    network: Classifier, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor, bench: Workbench, parts: int
) -> tuple[float, int]:
    """The mean loss of a batch and its gradients, from as many parts one after the other as the memory needs.

    Batch-norm sees the statistics of a part.

    Returns:
        the loss, and the number of parts, at least that asked for.

    Raises:
        OutOfMemory: one clip does not fit.
    """
    smoothing = bench.protocol.label_smoothing
    while True:
        try:
            if parts == 1:
                return _gradient(network, optimiser, inputs, labels, bench), 1
            optimiser.zero_grad(set_to_none=True)
            total = 0.0
            for some, theirs in zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True):
                with bench.clock("forward"):
                    loss = F.cross_entropy(network(some), theirs, label_smoothing=smoothing) * (len(some) / len(inputs))
                with bench.clock("backward"):
                    loss.backward()
                total += float(loss.detach())
            return total, parts
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = str(error)
        # Outside the handler, which holds the activations of the pass that failed.
        optimiser.zero_grad(set_to_none=True)
        if parts >= len(inputs):
            raise OutOfMemory(reason)
        parts = min(2 * parts, len(inputs))


def _gradient(run: Pass, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor, bench: Workbench) -> float:
    """The mean loss of a batch, of which these inputs are all or a share, and its gradients."""
    with bench.clock("forward"):
        loss = F.cross_entropy(run(inputs), labels, label_smoothing=bench.protocol.label_smoothing)
    with bench.clock("backward"):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        mean = float(loss.detach())
        del loss  # and with it the graph, whose end takes time
    return mean


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of a GPU, or of the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _sound(network: nn.Module) -> bool:
    """Whether the statistics of batch-norm are finite: without them nothing that the network says is."""
    return all(bool(buffer.isfinite().all()) for buffer in network.buffers())


@torch.no_grad()
def test(
    network: Classifier,
    macs: int,
    bench: Workbench,
    indices: npt.NDArray[np.int64],
    order: FrameOrder = "forward",  # noqa: PT028 (this is no test function of pytest's)
) -> Scores:
    """Accuracy of a network over these clips, the mean of the softmax over the protocol's views.

    Args:
        macs: of one clip's forward pass, for the ledger.
        order: in which each clip's frames are shown; an accuracy that another order does not change owes nothing to it.

    Raises:
        BudgetExhausted: the next batch does not fit.
        OutOfMemory: one view of a clip does not fit.
    """
    network.eval()
    probabilities, labels = [], []
    for batch in bench.batches(indices, train=False, seed=0, order=order):
        bench.ledger.forward(macs * len(batch) * len(batch.views), len(batch), 0)
        own = bench.world.share(batch)
        inputs = bench.inputs(own, network)
        with bench.clock("forward"):
            logits = _logits(network, inputs) if own.part is None else bench.over(network, own)(inputs)
            views = logits.softmax(-1).unflatten(0, (len(batch), -1))
            probabilities.append(views.mean(1).cpu())
        labels.append(batch.labels)
    return score(torch.cat(probabilities), torch.cat(labels))


def _logits(network: Classifier, inputs: Tensor) -> Tensor:
    """What a network says of a batch, from as many parts as the memory needs."""
    parts = 1
    while True:
        try:
            if parts == 1:
                logits: Tensor = network(inputs)
                return logits
            return torch.cat([network(some) for some in inputs.tensor_split(parts)])
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = str(error)
        if parts >= len(inputs):
            raise OutOfMemory(reason)
        parts = min(2 * parts, len(inputs))


def score(probabilities: Tensor, labels: Tensor) -> Scores:
    """Scores of class probabilities (N, classes) against labels (N,)."""
    classes = probabilities.shape[1]
    ranked = probabilities.argsort(dim=1, descending=True, stable=True)
    hit = ranked == labels[:, None]
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    confusion.index_put_((labels, ranked[:, 0]), torch.ones_like(labels), accumulate=True)
    present = confusion.sum(1) > 0
    per_class = confusion.diagonal()[present] / confusion.sum(1)[present]
    picked = probabilities.gather(1, labels[:, None]).clamp_min(torch.finfo(probabilities.dtype).tiny)
    return Scores(
        top1=float(hit[:, 0].float().mean()),
        top5=float(hit[:, :5].any(1).float().mean()),
        mean_class=float(per_class.mean()),
        loss=float(-picked.log().mean()),
        confusion=confusion.numpy(),
    )
