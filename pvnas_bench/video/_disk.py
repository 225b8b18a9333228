"""What a cache needs on the disk, said before it is filled."""

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
    """Bytes that a cache takes.

    Attributes:
        most: whether `bytes` is the most that it can be, and not an estimate from the lengths of some clips.
        free: bytes that are free where it goes.
    """

    bytes: int
    most: bool
    free: int
    folder: Path

    def __str__(self) -> str:
        about = "at most" if self.most else "about"
        return f"{about} {_readable(self.bytes)} in {str(self.folder)!r}, where {_readable(self.free)} are free"


def disk_need(dataset: Dataset, spec: CacheSpec, folder: Path, lengths: Callable[[list[int]], list[int]]) -> DiskNeed:
    """What the cache of a data set needs; clips are looked at only where the most that it can be does not fit.

    Args:
        folder: where the cache goes; it need not exist.
        lengths: frames that are stored of these clips, of those that can be read.
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
    """Refuse to fill a cache that does not fit.

    Args:
        made: bytes of it that are there from an earlier call.

    Raises:
        UsageError: less is free than it needs.
    """
    if need.bytes - made > need.free:
        raise UsageError(
            f"the cache of {name!r} needs {need}: make room, set {VARIABLE} to a folder on another disk, or decode "
            "anew in every epoch with `run --no-cache`"
        )


def _readable(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
