"""Stand-alone training and testing of one network: the same recipe for every architecture."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench import seeding
from pvnas_bench.ledger import BACKWARD, Ledger
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import Protocol
from pvnas_bench.video import ClipBatch, ClipStore, clip_batches

EVALUATION_BATCH = 64


@dataclass
class Clock:
    """Wall seconds by activity, and those that a table says would have passed."""

    seconds: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.0

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[activity] = self.seconds.get(activity, 0.0) + time.perf_counter() - start


class TrainingDiverged(Exception):
    """The loss is not finite any more."""


@dataclass(frozen=True)
class Workbench:
    """What training needs beside the network: the clips, the recipe, the device, the meters."""

    store: ClipStore
    protocol: Protocol
    device: torch.device
    ledger: Ledger
    clock: Clock

    def clips(self, batch: ClipBatch, frames: int, size: int) -> Tensor:
        """The batch's clips on the device, (N, T, 3, S, S)."""
        with self.clock("data"):
            return batch.clips(frames, size).to(self.device, non_blocking=True)

    def inputs(self, batch: ClipBatch, network: Classifier) -> Tensor:
        """What a stand-alone network takes of the batch on the device."""
        with self.clock("data"):
            return network.inputs(batch).to(self.device, non_blocking=True)

    def batches(self, indices: npt.NDArray[np.int64], *, train: bool, seed: int) -> Iterator[ClipBatch]:
        """One epoch: shuffled and augmented, or in order and centred."""
        protocol = self.protocol
        return clip_batches(
            self.store,
            indices,
            batch_size=protocol.batch_size if train else EVALUATION_BATCH,
            train=train,
            rng=seed,
            sampling=protocol.sampling,
            stride=protocol.stride,
            crop_scale=protocol.crop_scale,
            views=protocol.test_views,
            drop_last=train and len(indices) >= protocol.batch_size,
        )


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
) -> list[dict[str, float]]:
    """Train a stand-alone network, of any family, by the protocol's recipe.

    Args:
        macs: of one clip's forward pass, for the ledger.
        indices: of the store's clips to train on.
        validation: clips to measure the top-1 on after each epoch; it selects nothing.
        progress: called with the number of epochs done.

    Returns:
        per epoch: epoch, train_loss, and val_top1 where there is validation.

    Raises:
        BudgetExhausted: the next batch does not fit.
        TrainingDiverged: the loss is not finite.
    """
    protocol, clock = bench.protocol, bench.clock
    optimiser = make_optimiser(network, protocol)
    steps = epochs * max(len(indices) // protocol.batch_size, 1)
    curve: list[dict[str, float]] = []
    step = 0
    with seeding.torch_seeded(seed, "training"):
        for epoch in range(1, epochs + 1):
            network.train()
            losses = []
            for batch in bench.batches(indices, train=True, seed=seeding.derive(seed, "batches", epoch)):
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate_at(step, steps, protocol.learning_rate, protocol.warmup)
                bench.ledger.forward(macs * len(batch), len(batch), BACKWARD)
                inputs = bench.inputs(batch, network)
                with clock("forward"):
                    labels = batch.labels.to(bench.device)
                    loss = F.cross_entropy(network(inputs), labels, label_smoothing=protocol.label_smoothing)
                with clock("backward"):
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                bench.ledger.backward(BACKWARD * macs * len(batch))
                with clock("optimiser"):
                    nn.utils.clip_grad_norm_(network.parameters(), protocol.gradient_clip, foreach=True)
                    optimiser.step()
                    losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise TrainingDiverged(f"loss is {losses[-1]} in epoch {epoch}")
                step += 1
            row = {"epoch": float(epoch), "train_loss": float(np.mean(losses))}
            if validation is not None and len(validation):
                row["val_top1"] = test(network, macs, bench, validation).top1
            curve.append(row)
            if progress is not None:
                progress(epoch)
    return curve


@torch.no_grad()
def test(network: Classifier, macs: int, bench: Workbench, indices: npt.NDArray[np.int64]) -> Scores:
    """Accuracy of a network over these clips, the mean of the softmax over the protocol's views.

    Raises:
        BudgetExhausted: the next batch does not fit.
    """
    network.eval()
    probabilities, labels = [], []
    for batch in bench.batches(indices, train=False, seed=0):
        bench.ledger.forward(macs * len(batch) * len(batch.views), len(batch), 0)
        inputs = bench.inputs(batch, network)
        with bench.clock("forward"):
            views = network(inputs).softmax(-1).unflatten(0, (len(batch), -1))
            probabilities.append(views.mean(1).cpu())
        labels.append(batch.labels)
    return score(torch.cat(probabilities), torch.cat(labels))


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
