"""Shared context of trainings and tests: clips, recipe, device, meters and failures."""

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
    """Wall seconds per activity, and simulated seconds from a table."""

    seconds: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.0
    active: str | None = None
    """The current activity."""

    def __call__(self, activity: str) -> "Timed":
        """Context whose wall time counts towards this activity."""
        return Timed(self, activity)


class Timed:
    """Context that adds its wall seconds to a clock."""

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
    """A training cannot be completed."""


class TrainingDiverged(TrainingFailed):
    """The loss or its gradient is no longer finite."""


class OutOfMemory(TrainingFailed):
    """A single clip does not fit into memory."""


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error reports that a GPU or the machine ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class Workbench:
    """Context of a training or test: clips, recipe, device, meters and other processes; all but the network."""

    store: ClipStore
    protocol: Protocol
    device: torch.device
    ledger: Ledger
    clock: Clock
    world: distributed.World = distributed.ALONE

    def clips(self, batch: ClipBatch, frames: int, size: int) -> Tensor:
        """Clips (N, T, 3, S, S) of the batch on the device."""
        with self.clock("data"):
            return batch.clips(frames, size).to(self.device, non_blocking=True)

    def inputs(self, batch: ClipBatch, network: Classifier) -> Tensor:
        """Inputs of a stand-alone network from a batch, on the device."""
        with self.clock("data"):
            return network.inputs(batch).to(self.device, non_blocking=True)

    def over(self, network: nn.Module, share: ClipBatch, weights: dict[str, Tensor] | None = None) -> Pass:
        """Forward pass of a network, from the inputs of this process's share to the logits of the whole batch.

        Args:
            share: this process's share of the batch, from `world.share`.
            weights: replacements for the network's weights.
        """
        if share.part is not None:
            weights = dict(network.named_parameters()) if weights is None else weights
            return partial(synchronised.forward, network, synchronised.Part.of(share), weights=weights)
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
        """Iterate over one epoch: shuffled and augmented for training, else in order with fixed views.

        Args:
            views: test views; default: the protocol's.
            order: frame order of each clip in tests.
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
