"""Shared context of trainings and tests: clips, recipe, device, meters, failures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pvnas_bench.ledger import Ledger
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import Protocol
from pvnas_bench.training import distributed, synchronised
from pvnas_bench.video import ClipBatch, ClipStore, FrameOrder, Views, clip_batches

EVALUATION_BATCH = 64
Pass = Callable[..., Tensor]


@dataclass
class Clock:
    """Wall seconds by activity, and simulated seconds from a table."""

    seconds: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.0
    active: str | None = None
    """The current activity."""

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
    """A training that cannot be completed."""


class TrainingDiverged(TrainingFailed):
    """The loss or its gradient is no longer finite."""


class OutOfMemory(TrainingFailed):
    """A single clip does not fit into the memory."""


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error reports that a GPU or the machine ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class Workbench:
    """Context of a training besides the network: clips, recipe, device, meters, other processes."""

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
        """A stand-alone network's inputs from a batch, on the device."""
        with self.clock("data"):
            return network.inputs(batch).to(self.device, non_blocking=True)

    def over(self, network: nn.Module, own: ClipBatch, weights: dict[str, Tensor] | None = None) -> Pass:
        """The network's forward pass over this process's part of a batch: inputs to the whole batch's logits.

        Args:
            own: this process's part, from `world.share`.
            weights: replacements for the network's weights.
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
            order: frame order of a clip; not for training.
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
