"""Clip store: the readable clips of a data set as uint8 frames, mapped from files."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import CacheSpec


@dataclass(frozen=True, eq=False)
class ClipStore:
    """The readable clips of a data set as uint8 RGB frames, S × S pixels, in the order of the data set.

    The frames are memory-mapped: frames that are not sampled use no memory.
    """

    dataset: Dataset
    spec: CacheSpec
    clips: NDArray[np.int64]
    """(M,) indices of the readable clips in `dataset`, ascending."""
    lengths: NDArray[np.int32]
    """(M,) number of stored frames of each clip, at most `spec.max_frames`."""
    skipped: tuple[dict[str, str], ...]
    """The unreadable clips: `path`, relative to the data set, and `reason`."""
    decode_seconds: float
    """Worker seconds of decoding in this call; 0.0 if everything came from the cache."""
    _shards: NDArray[np.int32]
    _starts: NDArray[np.int64]
    _pixels: tuple[NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.clips)

    def frames(self, index: int) -> NDArray[np.uint8]:
        """Frames (T, S, S, 3) of stored clip `index`: a read-only view of a file."""
        start, shard = int(self._starts[index]), self._pixels[int(self._shards[index])]
        return shard[start : start + int(self.lengths[index])]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted; labels are indices into it."""
        return self.dataset.classes

    @property
    def labels(self) -> NDArray[np.int32]:
        """Labels (M,) of the readable clips."""
        return self.dataset.labels[self.clips]

    @property
    def subjects(self) -> NDArray[np.int32]:
        """Subjects (M,) of the readable clips, -1: none."""
        return self.dataset.subjects[self.clips]

    @property
    def splits(self) -> NDArray[np.str_]:
        """Splits (M,): 'train', 'val' or 'test'."""
        return self.dataset.splits[self.clips]

    def indices(self, split: str) -> NDArray[np.int64]:
        """Indices in this store of a split's clips, ascending."""
        return np.flatnonzero(self.splits == split)

    def subset(self, indices: NDArray[np.int64]) -> "ClipStore":
        """A store with only these clips, in this order, on the same mapped files."""
        return replace(
            self,
            clips=self.clips[indices],
            lengths=self.lengths[indices],
            _shards=self._shards[indices],
            _starts=self._starts[indices],
        )
