"""Disk space that a cache needs, checked before it is filled."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pvnas_bench.errors import UsageError
from pvnas_bench.video._cache_dir import VARIABLE
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import CacheSpec

_SAMPLE = 64
_MARGIN = 1.1
"""On a mean of `_SAMPLE` clips."""


@dataclass(frozen=True)
class DiskNeed:
    """Disk space that a cache needs.

    Attributes:
        bytes: size of the cache.
        most: True if `bytes` is an upper bound; False if it is an estimate from the lengths of some clips.
        folder: folder of the cache.
        free: free bytes on its disk.
    """

    bytes: int
    most: bool
    free: int
    folder: Path

    def __str__(self) -> str:
        about = "at most" if self.most else "about"
        return f"{about} {_readable(self.bytes)} in {str(self.folder)!r}, where {_readable(self.free)} are free"


def disk_need(dataset: Dataset, spec: CacheSpec, folder: Path, lengths: Callable[[list[int]], list[int]]) -> DiskNeed:
    """Disk space for the cache of a data set: an upper bound if that is free, else an estimate from a sample of clips.

    Args:
        folder: folder of the cache; it need not exist.
        lengths: returns the number of stored frames of those of these clips that can be read.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if dataset.frames is not None and (dataset.frames > 0).all():
        frames = int(np.minimum(dataset.frames, spec.max_frames).sum(dtype=np.int64))
        return DiskNeed(frames * spec.frame_bytes, True, free, folder)
    most = len(dataset) * spec.max_frames * spec.frame_bytes
    if most <= free:
        return DiskNeed(most, True, free, folder)
    sample = np.unique(np.linspace(0, len(dataset) - 1, _SAMPLE).astype(np.int64)).tolist()
    seen = lengths(sample)
    mean = sum(seen) / len(seen) if seen else spec.max_frames
    return DiskNeed(min(most, round(_MARGIN * mean * len(dataset) * spec.frame_bytes)), False, free, folder)


def refuse_if_too_little(name: str, need: DiskNeed, made: int) -> None:
    """Refuse to fill a cache that does not fit on the disk.

    Args:
        made: bytes of the cache that an earlier call has written.

    Raises:
        UsageError: the disk has less free space than the cache needs.
    """
    if need.bytes - made > need.free:
        raise UsageError(
            f"the cache of {name!r} needs {need}: make room, set {VARIABLE} to a folder on another disk, or decode "
            "in every epoch with `run --no-cache`"
        )


def _readable(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
