"""Batches of clips: sampling, cropping and resizing to the number of frames and the size that a network needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pvnas_bench.video._direct import DirectStore
from pvnas_bench.video._features import FeatureStore
from pvnas_bench.video._sampling import Sampling, dense, segment_centres, segment_jitter
from pvnas_bench.video._spec import MEAN, STD
from pvnas_bench.video._store import ClipStore
from pvnas_bench.video._views import VIEWS, Views

_SHUFFLE = 0

FrameOrder = Literal["forward", "reversed", "shuffled"]
"""Order of a clip's sampled frames in a test."""


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """A lazy batch: the chosen clips, sampled and cropped on demand for paths that differ in frames and size.

    In training, `seed` determines all random draws: equal frames and size give equal tensors.
    """

    store: ClipStore
    indices: NDArray[np.int64]
    """(N,) indices of clips in the store."""
    labels: torch.Tensor
    """(N,) class labels, int64."""
    seed: int | None
    """Seed of the random draws in training; None in tests."""
    sampling: Sampling
    stride: int
    crop_scale: tuple[float, float]
    views: Views
    order: FrameOrder = "forward"
    """Order of the frames sampled in tests. ``shuffled`` uses a separate, fixed permutation for each clip."""
    part: slice | None = None
    """Slice of the batch that `clips` and `features` compute; random draws cover the whole batch. None: all of it."""

    def __len__(self) -> int:
        return len(self.indices)

    def clips(self, frames: int, size: int) -> torch.Tensor:
        """Sample frames, then crop, resize (bilinear, antialiased), mirror at random (training) and normalise.

        Returns:
            float32 (N V, frames, 3, size, size) for N clips (of `part`) and V views (1 in training). The views of a
            clip are adjacent: average them with `logits.softmax(-1).unflatten(0, (N, V)).mean(1)`. The memory order
            is clip, frame, row, column, channel, so `.flatten(0, 1)` is a channels-last image batch without a copy.
        """
        return _normalised(self.pixels(frames, size)).permute(0, 1, 4, 2, 3)

    def pixels(self, frames: int, size: int) -> torch.Tensor:
        """The same as pixels before they are normalised: uint8 (N V, frames, size, size, 3)."""
        train = self.seed is not None
        rng = np.random.Generator(np.random.PCG64(self.seed if self.seed is not None else 0))
        boxes = self._random_boxes(rng) if train else None
        mirrored = rng.random(len(self)) < 0.5 if train and self.store.dataset.flip_safe else np.zeros(len(self), bool)
        count = 1 if train else len(self.views)
        sources = [self.store.frames(int(clip)) for clip in self.indices]
        drawn = self._random_frames(np.array([len(source) for source in sources]), frames, rng) if train else None
        # Crops of equal side are resized in one call.
        members: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {}
        computed = self._own()
        for n in computed:
            source = sources[n]
            for v in range(count):
                if boxes is not None and drawn is not None:
                    picked, (top, left, side) = drawn[n], boxes[n].tolist()
                else:
                    picked, (top, left, side) = self._view(n, len(source), frames, v)
                cut = source[picked, top : top + side, left : left + side]
                row = (n - computed.start) * count + v
                members.setdefault(side, []).append((row, cut[:, :, ::-1] if mirrored[n] else cut))
        pixels = torch.empty((len(computed) * count, frames, size, size, 3), dtype=torch.uint8)
        for side, cuts in members.items():
            crops = np.empty((len(cuts), frames, side, side, 3), dtype=np.uint8)
            for place, (_, cut) in enumerate(cuts):
                crops[place] = cut
            resized = _resize(torch.from_numpy(crops).flatten(0, 1), size).unflatten(0, (-1, frames))
            for place, (row, _) in enumerate(cuts):
                pixels[row] = resized[place]
        return pixels

    def features(self, steps: int) -> torch.Tensor:
        """Features of frames sampled over time as in `clips`, without cropping or mirroring.

        Returns:
            float32 (N V, F, steps), views as in `clips` (all spatial crops are equal). The memory order is clip, time,
            feature.

        Raises:
            TypeError: the store has no features.
        """
        if not isinstance(self.store, FeatureStore):
            raise TypeError(f"the clips of {self.store.dataset.name!r} have no features: make a FeatureStore of them")
        rng = np.random.Generator(np.random.PCG64(self.seed)) if self.seed is not None else None
        sources = [self.store.features(int(clip)) for clip in self.indices]
        if rng is not None:
            drawn = self._random_frames(np.array([len(source) for source in sources]), steps, rng)
            sampled = [sources[n][drawn[n]] for n in self._own()]
        else:
            views = range(len(self.views))
            sampled = [sources[n][self._view(n, len(sources[n]), steps, v)[0]] for n in self._own() for v in views]
        return torch.from_numpy(np.stack(sampled)).transpose(1, 2)

    def _own(self) -> range:
        """Positions in the batch of the clips of `part`."""
        return range(len(self))[self.part or slice(None)]

    def _random_boxes(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random square crops of the stored frames: (N, 3) top, left and side."""
        stored = self.store.spec.size
        low, high = self.crop_scale
        side = np.rint(stored * (low + (high - low) * rng.random(len(self)))).astype(np.int64).clip(1, stored)
        corner = (rng.random((2, len(self))) * (stored - side + 1)).astype(np.int64)
        return np.stack([corner[0], corner[1], side], axis=1)

    def _random_frames(self, lengths: NDArray[np.int64], frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random frame indices (N, frames) for clips of these lengths."""
        if self.sampling == "dense":
            starts = rng.random(len(lengths)).tolist()
            clips = zip(lengths.tolist(), starts, strict=True)
            return np.stack([dense(length, frames, self.stride, start) for length, start in clips])
        return segment_jitter(lengths, frames, rng)

    def _view(self, n: int, length: int, frames: int, view: int) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
        """One test view of the n-th clip: its frames in the batch's order, and the crop of each."""
        time, place = divmod(view, self.views.spatial)
        if self.sampling == "dense":
            last = self.views.temporal - 1
            picked = dense(length, frames, self.stride, time / last if last else 0.5)
        else:
            picked = segment_centres(length, frames, time, self.views.temporal)
        if self.order == "reversed":
            picked = picked[::-1]
        elif self.order == "shuffled":
            picked = np.random.Generator(np.random.PCG64([_SHUFFLE, int(self.indices[n])])).permutation(picked)
        stored = self.store.spec.size
        side = max(1, round(stored * self.views.side))
        left = (stored - side) // 2 if self.views.spatial == 1 else (stored - side) * place // 2
        return picked, ((stored - side) // 2, left, side)


def images(frames: NDArray[np.uint8], size: int) -> torch.Tensor:
    """Resize and normalise stored frames as in a test batch: (T, S, S, 3) → float32 (T, 3, size, size).

    The result is channels-last in memory.
    """
    return _normalised(_resize(torch.from_numpy(np.array(frames)), size)).permute(0, 3, 1, 2)


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.to(torch.float32).sub_(255 * MEAN).mul_(1 / (255 * STD))


def _resize(frames: torch.Tensor, size: int) -> torch.Tensor:
    """Resize frames, (T, h, w, 3) uint8 → (T, size, size, 3)."""
    if frames.shape[1:3] == (size, size):
        return frames
    planes = frames.permute(0, 3, 1, 2)
    return F.interpolate(planes, (size, size), mode="bilinear", antialias=True).permute(0, 2, 3, 1)


def clip_batches(
    store: ClipStore,
    indices: NDArray[np.int64],
    *,
    batch_size: int,
    train: bool,
    rng: np.random.Generator | int | None = None,
    sampling: Sampling = "uniform",
    stride: int = 1,
    crop_scale: tuple[float, float] = (0.8, 1.0),
    views: Views = VIEWS["1 clip"],
    drop_last: bool = False,
    order: FrameOrder = "forward",
) -> Iterator[ClipBatch]:
    """Iterate over one epoch of lazy batches.

    Training shuffles the clips, samples a random frame per segment (uniform) or a random window (dense), crops a random
    square, and mirrors half of the clips if the data set is `flip_safe`. Tests keep the order of `indices` and use the
    fixed `views`. In a clip with fewer frames than the sample, uniform sampling repeats frames in order, dense sampling
    repeats the last frame.

    Args:
        indices: (M,) indices of clips in the store.
        rng: generator for the shuffling and the batches' seeds, or its seed. This call makes all its draws. Required in
            training, unused in tests.
        stride: distance between dense frames, in stored frames.
        crop_scale: smallest and largest side of a training crop relative to the stored square.
        views: test views; training ignores them.
        drop_last: drop an incomplete last batch.
        order: order of the frames sampled in tests.

    Raises:
        ValueError: training without `rng` or with an order other than forward, or an argument out of range.
    """
    if batch_size < 1 or stride < 1:
        raise ValueError(f"batch_size {batch_size} and stride {stride} must be at least 1")
    if not 0 < crop_scale[0] <= crop_scale[1] <= 1:
        raise ValueError(f"crop_scale must satisfy 0 < least <= greatest <= 1, not {crop_scale}")
    if sampling not in ("uniform", "dense"):
        raise ValueError(f"sampling must be 'uniform' or 'dense', not {sampling!r}")
    if order not in ("forward", "reversed", "shuffled") or (train and order != "forward"):
        raise ValueError(f"order must be 'forward' (in training), 'reversed' or 'shuffled', not {order!r}")
    clips = np.array(indices, dtype=np.int64)
    starts = range(0, len(clips) - batch_size + 1 if drop_last else len(clips), batch_size)
    seeds: list[int] | list[None] = [None] * len(starts)
    if train:
        if rng is None:
            raise ValueError("training batches need rng, a generator or a seed")
        generator = np.random.default_rng(rng)
        clips = generator.permutation(clips)
        seeds = generator.integers(2**63, size=len(starts)).tolist()
    labels = torch.from_numpy(store.labels.astype(np.int64))

    chunks = [clips[start : start + batch_size] for start in starts]

    def batches() -> Iterator[ClipBatch]:
        stores = store.loaded(chunks) if isinstance(store, DirectStore) else repeat(store)
        for source, chosen, seed in zip(stores, chunks, seeds, strict=False):
            yield ClipBatch(source, chosen, labels[chosen], seed, sampling, stride, crop_scale, views, order)

    return batches()
