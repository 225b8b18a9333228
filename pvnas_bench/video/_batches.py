"""Batches of clips: which clips, cut how, at whatever number of frames and size the network asks for."""

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
"""The order in which a test shows the frames that it samples of a clip."""


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Clips chosen but not yet cut: the same batch serves paths that differ in frames and size.

    In training all chance comes from `seed`, so the same batch at the same frames and size is the same tensor.
    """

    store: ClipStore
    indices: NDArray[np.int64]
    """(N,) positions in the store."""
    labels: torch.Tensor
    """(N,) int64."""
    seed: int | None
    """None at test."""
    sampling: Sampling
    stride: int
    crop_scale: tuple[float, float]
    views: Views
    order: FrameOrder = "forward"
    """Of the frames sampled at test; each clip is shuffled in an order of its own, always the same one."""
    part: slice | None = None
    """The neighbouring clips that `clips` and `features` make, by position; chance is drawn for all. None: all."""

    def __len__(self) -> int:
        return len(self.indices)

    def clips(self, frames: int, size: int) -> torch.Tensor:
        """Sample, crop, resize (bilinear, antialiased), perhaps mirror, and normalise.

        Returns:
            float32 (N V, frames, 3, size, size), where N is the number of clips (of `part`), V that of views (1 in
            training), and the views of a clip are neighbours: `logits.softmax(-1).unflatten(0, (N, V)).mean(1)`. The
            memory order is clip, frame, row, column, channel, so `.flatten(0, 1)` is a channels-last image batch
            without a copy.
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
        # Crops of one side are resized in one call.
        members: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {}
        own = self._own()
        for n in own:
            source = sources[n]
            for v in range(count):
                if boxes is not None and drawn is not None:
                    picked, (top, left, side) = drawn[n], boxes[n].tolist()
                else:
                    picked, (top, left, side) = self._view(n, len(source), frames, v)
                cut = source[picked, top : top + side, left : left + side]
                row = (n - own.start) * count + v
                members.setdefault(side, []).append((row, cut[:, :, ::-1] if mirrored[n] else cut))
        pixels = torch.empty((len(own) * count, frames, size, size, 3), dtype=torch.uint8)
        for side, cuts in members.items():
            crops = np.empty((len(cuts), frames, side, side, 3), dtype=np.uint8)
            for place, (_, cut) in enumerate(cuts):
                crops[place] = cut
            resized = _resize(torch.from_numpy(crops).flatten(0, 1), size).unflatten(0, (-1, frames))
            for place, (row, _) in enumerate(cuts):
                pixels[row] = resized[place]
        return pixels

    def features(self, steps: int) -> torch.Tensor:
        """The features of frames sampled along time as `clips` samples them; nothing is cut or mirrored.

        Returns:
            float32 (N V, F, steps), views as in `clips` (spatial crops see the same). The memory order is clip, time,
            feature.

        Raises:
            TypeError: the clips of the store have no features.
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
        """Positions of the clips that are made."""
        return range(len(self))[self.part or slice(None)]

    def _random_boxes(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N, 3) top, left and side of a random square within the stored one."""
        stored = self.store.spec.size
        low, high = self.crop_scale
        side = np.rint(stored * (low + (high - low) * rng.random(len(self)))).astype(np.int64).clip(1, stored)
        corner = (rng.random((2, len(self))) * (stored - side + 1)).astype(np.int64)
        return np.stack([corner[0], corner[1], side], axis=1)

    def _random_frames(self, lengths: NDArray[np.int64], frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N, frames) indices into clips of these lengths."""
        if self.sampling == "dense":
            starts = rng.random(len(lengths)).tolist()
            clips = zip(lengths.tolist(), starts, strict=True)
            return np.stack([dense(length, frames, self.stride, start) for length, start in clips])
        return segment_jitter(lengths, frames, rng)

    def _view(self, n: int, length: int, frames: int, view: int) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
        """The frames of the n-th clip that a test view shows, in the batch's order, and the square cut from each."""
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
    """Stored frames as `ClipBatch.clips` would show them at test: (T, S, S, 3) → float32 (T, 3, size, size).

    The result is channels-last in memory.
    """
    return _normalised(_resize(torch.from_numpy(np.array(frames)), size)).permute(0, 3, 1, 2)


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.to(torch.float32).sub_(255 * MEAN).mul_(1 / (255 * STD))


def _resize(frames: torch.Tensor, size: int) -> torch.Tensor:
    """(T, h, w, 3) uint8 to (T, size, size, 3)."""
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
    """One epoch of lazy batches.

    Training shuffles, takes a random frame of each segment (uniform) or a window at random (dense), cuts a random
    square, and mirrors half the clips where the data set is `flip_safe`. Testing keeps the order of `indices` and
    takes the fixed `views`. Clips shorter than the sample: uniform sampling repeats frames in order, dense sampling
    repeats the last frame.

    Args:
        indices: (M,) positions in the store.
        rng: source of the shuffling and of the batches' seeds, drawn in full by this call; an int is its seed.
            Needed in training, unused otherwise.
        stride: distance of dense frames, in stored frames.
        crop_scale: least and greatest side of a training crop relative to the stored square.
        views: test views; training ignores them.
        drop_last: leave out a last batch that is not full.
        order: of the frames sampled at test.

    Raises:
        ValueError: training without `rng` or in another order than forward, or an argument out of its range.
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
