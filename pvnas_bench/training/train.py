"""Stand-alone training of networks, with the same recipe for every architecture."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pvnas_bench import seeding
from pvnas_bench.ledger import BACKWARD
from pvnas_bench.network.families import build
from pvnas_bench.network.operators import Operator
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import Protocol
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.training.testing import test
from pvnas_bench.training.workbench import OutOfMemory, Pass, TrainingDiverged, Workbench, out_of_memory
from pvnas_bench.video import ClipBatch

SKIPS = 3
"""Maximum number of consecutive skipped steps (loss or gradient not finite); one more means divergence."""


def untrained(
    space: SearchSpace, architecture: Architecture, classes: int, protocol: Protocol, seed: int
) -> Classifier:
    """The network of an architecture with the protocol's initial weights, drawn from a seed."""
    with seeding.torch_seeded(seed, "init"):
        network = build(space, architecture, classes)
        if protocol.temporal_init == "near_identity":
            for module in network.modules():
                if isinstance(module, Operator):
                    module.begin_near_identity()
    return network


def learning_rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """Learning rate at a step: linear warm-up over the first `warmup` fraction, then half a cosine to zero."""
    rising = max(round(warmup * steps), 1)
    if step < rising:
        return peak * (step + 1) / rising
    return 0.5 * peak * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def make_optimiser(network: nn.Module, protocol: Protocol) -> torch.optim.Optimizer:
    """Make an AdamW optimiser without weight decay on vectors (batch-norm, biases)."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": protocol.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=protocol.learning_rate, fused=True)


def clips_per_epoch(clips: int, protocol: Protocol) -> int:
    """Number of clips per epoch: full batches only, or all clips if there are fewer than one batch."""
    return clips // protocol.batch_size * protocol.batch_size or clips


def training_macs(macs: int, clips: int, epochs: int, protocol: Protocol) -> int:
    """MACs of a stand-alone training: forward and backward passes over every clip of every epoch.

    Args:
        macs: MACs of one clip's forward pass.
    """
    return (1 + BACKWARD) * macs * epochs * clips_per_epoch(clips, protocol)


class Training:
    """Training of one stand-alone network of any family with the protocol's recipe, epoch by epoch.

    Random draws, such as dropout masks, use a separate stream, so that code between epochs does not affect them.

    Attributes:
        curve: one row per epoch: epoch, train_loss; val_top1 with validation; skipped_steps if the loss or gradient of
            some steps was not finite; batch_parts if a batch did not fit into memory at once.
    """

    def __init__(
        self,
        network: Classifier,
        macs: int,
        bench: Workbench,
        indices: npt.NDArray[np.int64],
        *,
        epochs: int,
        seed: int,
        validation: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Prepare the training.

        Args:
            macs: MACs of one clip's forward pass, for the ledger.
            indices: indices of the store's clips to train on.
            validation: indices of clips for the top-1 after each epoch, which has no influence on the training.
        """
        self._network, self._macs, self._bench, self._indices = network, macs, bench, indices
        self._epochs, self._seed, self._validation = epochs, seed, validation
        self._optimiser = make_optimiser(network, bench.protocol)
        self._steps = epochs * max(len(indices) // bench.protocol.batch_size, 1)
        self._step = 0
        self._parts = 1
        """Number of parts into which a batch is split to fit into memory."""
        self._in_a_row = 0
        """Number of consecutive skipped steps."""
        self._average = averaged(network, bench.protocol.average) if bench.protocol.average else None
        """Moving average of the network, which takes its place after the last epoch."""
        with seeding.torch_seeded(seed, "training"):
            self._chance = seeding.torch_state()
        self.curve: list[dict[str, float]] = []

    @property
    def finished(self) -> bool:
        """True once every epoch is done."""
        return len(self.curve) >= self._epochs

    @property
    def tested(self) -> Classifier:
        """The network to validate and test: the moving average, if the protocol has one."""
        return self._network if self._average is None else cast(Classifier, self._average.module)

    def state_dict(self) -> dict[str, Any]:
        """State between two epochs to resume from; its tensors are shared with the training, not copied."""
        return {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "curve": list(self.curve),
            "step": self._step,
            "parts": self._parts,
            "in_a_row": self._in_a_row,
            "chance": self._chance,
            **({} if self._average is None else {"average": self._average.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict` of the same training."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.curve, self._step = list(state["curve"]), state["step"]
        self._parts, self._in_a_row = state["parts"], state["in_a_row"]
        self._chance = state["chance"]
        if self._average is not None:
            self._average.load_state_dict(state["average"])

    def epoch(self) -> None:
        """Train one more epoch.

        Raises:
            BudgetExhausted: the next batch does not fit into the budget.
            TrainingDiverged: the loss or its gradient is repeatedly not finite.
            OutOfMemory: a batch of one clip does not fit into memory.
        """
        with seeding.torch_seeded(self._seed, "training"):
            seeding.set_torch_state(self._chance)
            self.curve.append(self._next_row(len(self.curve) + 1))
            self._chance = seeding.torch_state()
        if self.finished and self._average is not None:
            self._network.load_state_dict(self.tested.state_dict())

    def _next_row(self, epoch: int) -> dict[str, float]:
        """Train one epoch; return its row of the curve."""
        bench = self._bench
        self._network.train()
        losses: list[float] = []
        skipped = 0
        for batch in bench.batches(self._indices, train=True, seed=seeding.derive(self._seed, "batches", epoch)):
            loss, norm = self._update(batch)
            finite = math.isfinite(loss) and math.isfinite(norm)
            if finite:
                losses.append(loss)
            self._in_a_row = 0 if finite else self._in_a_row + 1
            skipped += not finite
            if self._in_a_row > SKIPS or (not finite and not _sound(self._network)):
                raise TrainingDiverged(f"loss is {loss:g}, gradient norm is {norm:g} in epoch {epoch}")
            self._step += 1
        row = {"epoch": float(epoch), "train_loss": float(np.mean(losses)) if losses else math.nan}
        if skipped:
            row["skipped_steps"] = float(skipped)
        if self._parts > 1:
            row["batch_parts"] = float(self._parts)
        if self._validation is not None and len(self._validation):
            row["val_top1"] = test(self.tested, self._macs, bench, self._validation).top1
        return row

    def _update(self, batch: ClipBatch) -> tuple[float, float]:
        """Update the weights if loss and gradient are finite; return the loss and the gradient norm."""
        network, optimiser, bench = self._network, self._optimiser, self._bench
        protocol, macs = bench.protocol, self._macs * len(batch)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(self._step, self._steps, protocol.learning_rate, protocol.warmup)
        bench.ledger.forward(macs, len(batch), BACKWARD)
        share = bench.world.share(batch)
        inputs, labels = bench.inputs(share, network), batch.labels.to(bench.device)
        if share.part is None:
            loss, self._parts = _gradients(network, optimiser, inputs, labels, bench, self._parts)
        else:  # never split further: other processes would not know that this one lacks memory
            loss = _gradient(bench.over(network, share), optimiser, inputs, labels, bench)
        bench.ledger.backward(BACKWARD * macs)
        with bench.clock("optimiser"):
            norm = float(nn.utils.clip_grad_norm_(network.parameters(), protocol.gradient_clip, foreach=True))
            if math.isfinite(loss) and math.isfinite(norm):
                optimiser.step()
                if self._average is not None:
                    self._average.update_parameters(network)
        return loss, norm


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network for the exponential moving average of its weights and of batch-norm's statistics."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


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
) -> list[dict[str, float]]:
    """Train a stand-alone network for all epochs.

    Args:
        progress: callback with the number of epochs done.

    Returns:
        The curve of the training.

    Raises:
        BudgetExhausted: the next batch does not fit into the budget.
        TrainingDiverged: the loss or its gradient is repeatedly not finite.
        OutOfMemory: a batch of one clip does not fit into memory.
    """
    training = Training(network, macs, bench, indices, epochs=epochs, seed=seed, validation=validation)
    while not training.finished:
        training.epoch()
        if progress is not None:
            progress(len(training.curve))
    return training.curve


def _gradients(
    network: Classifier, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor, bench: Workbench, parts: int
) -> tuple[float, int]:
    """Compute the mean loss of a batch and its gradients, in as many successive parts as memory requires.

    Batch-norm uses the statistics of each part.

    Returns:
        The loss, and the number of parts, at least `parts`.

    Raises:
        OutOfMemory: one clip does not fit into memory.
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
        # Outside the handler: the exception keeps the activations of the failed pass alive.
        optimiser.zero_grad(set_to_none=True)
        if parts >= len(inputs):
            raise OutOfMemory(reason)
        parts = min(2 * parts, len(inputs))


def _gradient(run: Pass, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor, bench: Workbench) -> float:
    """Compute the mean loss and its gradients on a batch or this process's share of it."""
    with bench.clock("forward"):
        loss = F.cross_entropy(run(inputs), labels, label_smoothing=bench.protocol.label_smoothing)
    with bench.clock("backward"):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        mean = float(loss.detach())
        del loss  # freeing the graph is slow: keep it inside the timer
    return mean


def _sound(network: nn.Module) -> bool:
    """Return True if batch-norm's statistics are finite; otherwise every output is invalid."""
    return all(bool(buffer.isfinite().all()) for buffer in network.buffers())
