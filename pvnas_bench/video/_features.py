"""Feature cache: one vector for every frame of every clip, computed once, in one memory-mapped file.

Clips pass from the decoder to the network in chunks, so memory does not grow with their length: an hour of video needs
as much as a second.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video._cache_dir import cache_root, made_whole
from pvnas_bench.video._spec import ClipError
from pvnas_bench.video._store import ClipStore

CHUNK = 64
"""Frames per forward pass."""
_FORMAT = 1
_VECTORS, _INDEX, _ABOUT = "features.f32", "index.npy", "features.json"

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Stored frames (T, S, S, 3) → their features (T, F)."""


@dataclass(frozen=True, eq=False)
class FeatureStore(ClipStore):
    """Clips with a feature vector for every frame of their files, not only for the frames in the clip store."""

    durations: NDArray[np.int64]
    """(M,) number of frames of each clip."""
    extract_seconds: float
    """Wall seconds that computing the features took."""
    extracted_frames: int
    """Frames that passed through the network, over all clips of the data set."""
    _feature_starts: NDArray[np.int64]
    _features: NDArray[np.float32]
    _order: int | None = None

    def features(self, index: int) -> NDArray[np.float32]:
        """Features (T, F) of stored clip `index`: a read-only view of the file, a copy if shuffled."""
        start = self._feature_starts[index]
        vectors = self._features[start : start + self.durations[index]]
        if self._order is None:
            return vectors
        rng = np.random.Generator(np.random.Philox(key=[self._order, int(self.clips[index])]))
        return vectors[rng.permutation(len(vectors))]

    def subset(self, indices: NDArray[np.int64]) -> "FeatureStore":
        """A store with only these clips, in this order, on the same mapped files."""
        clips = super().subset(indices)
        assert isinstance(clips, FeatureStore)
        starts, durations = self._feature_starts[indices], self.durations[indices]
        return replace(clips, _feature_starts=starts, durations=durations)

    def window(self, frames: int) -> "FeatureStore":
        """A store with the features of each clip's central `frames` frames; shorter clips stay whole."""
        durations = np.minimum(self.durations, frames)
        starts = self._feature_starts + (self.durations - durations) // 2
        return replace(self, _feature_starts=starts, durations=durations)

    def shuffled(self, seed: int) -> "FeatureStore":
        """A store with each clip's features in random order."""
        return replace(self, _order=seed)


def extract(
    store: ClipStore,
    embed: Embed,
    digest: str,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureStore:
    """Compute the features of every frame of every clip, or open the cached ones.

    Clips that the clip store holds in full are read from it; longer clips are decoded again.

    Args:
        embed: computes the features of at most `CHUNK` frames.
        digest: identifies `embed`; a change of it, of the data, or of the stored frames' shape needs new features.
        cache_dir: cache folder; default: the environment variable PVNAS_BENCH_CACHE, else the user's cache folder.
        progress: callback with (clips done, total clips).

    Raises:
        UsageError: a clip can no longer be read, or the cache folder cannot be written or is damaged.
    """
    shape = {key: value for key, value in asdict(store.spec).items() if key != "max_frames"}
    clips = hashlib.sha256(store.clips.tobytes()).hexdigest()
    parts = [_FORMAT, store.dataset.fingerprint, clips, shape, digest]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    target = cache_root(cache_dir) / "features" / key
    if not target.is_dir():
        with made_whole(target) as scratch:
            _fill(scratch, store, embed, progress)
    return _open(target, store)


def _fill(folder: Path, store: ClipStore, embed: Embed, progress: Callable[[int, int], None] | None) -> None:
    start, total, width = time.perf_counter(), 0, 0
    index = np.zeros((len(store), 2), dtype=np.int64)
    with (folder / _VECTORS).open("wb") as file:
        for clip in range(len(store)):
            index[clip, 0] = total
            for frames in _chunks(store, clip):
                vectors = np.ascontiguousarray(embed(frames), dtype=np.float32)
                width = vectors.shape[1]
                file.write(vectors.data)
                total += len(vectors)
            index[clip, 1] = total - index[clip, 0]
            if progress is not None:
                progress(clip + 1, len(store))
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / _INDEX, index, allow_pickle=False)
    about = {"format": _FORMAT, "frames": total, "features": width, "seconds": time.perf_counter() - start}
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _chunks(store: ClipStore, clip: int) -> Iterator[NDArray[np.uint8]]:
    """All frames of a clip."""
    if store.lengths[clip] < store.spec.max_frames:  # the store holds the whole clip
        frames = store.frames(clip)
        for start in range(0, len(frames), CHUNK):
            yield frames[start : start + CHUNK]
        return
    from pvnas_bench.video._decode import read_chunks

    number = int(store.clips[clip])
    path = store.dataset.path(number)
    try:
        yield from read_chunks(path, store.spec, CHUNK, store.dataset.part(number))
    except ClipError as error:
        raise UsageError(f"clip {str(path)!r} can no longer be read ({error}): restore the file") from None


def _open(folder: Path, store: ClipStore) -> FeatureStore:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        index = np.load(folder / _INDEX, allow_pickle=False)
        shape = (int(about["frames"]), int(about["features"]))
        if (folder / _VECTORS).stat().st_size != 4 * np.prod(shape, dtype=np.int64):
            raise ValueError(f"{_VECTORS} has the wrong size")
        vectors = np.memmap(folder / _VECTORS, dtype=np.float32, mode="r", shape=shape).view(np.ndarray)
        return FeatureStore(
            **{field.name: getattr(store, field.name) for field in fields(ClipStore)},
            durations=np.ascontiguousarray(index[:, 1]),
            extract_seconds=float(about["seconds"]),
            extracted_frames=shape[0],
            _feature_starts=np.ascontiguousarray(index[:, 0]),
            _features=vectors,
        )
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"the cache {str(folder)!r} is damaged ({error}): delete that folder and run again") from error
