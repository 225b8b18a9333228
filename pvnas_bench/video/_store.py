"""The readable clips of a data set as uint8 frames, mapped from files."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import CacheSpec


@dataclass(frozen=True, eq=False)
class ClipStore:
    """The readable clips of a data set as uint8 RGB frames, S × S pixels, in the order of the data set.

    The frames lie in files that are mapped, not read: what is not sampled costs no memory.
    """

    dataset: Dataset
    spec: CacheSpec
    clips: NDArray[np.int64]
    """(M,) positions in `dataset` of the readable clips, ascending."""
    lengths: NDArray[np.int32]
    """(M,) stored frames of each clip, at most `spec.max_frames`."""
    skipped: tuple[dict[str, str], ...]
    """The unreadable clips: `path`, relative to the data set, and `reason`."""
    decode_seconds: float
    """Worker seconds that decoding took in this call; 0.0 when everything came from the cache."""
    _shards: NDArray[np.int32]
    _starts: NDArray[np.int64]
    _pixels: tuple[NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.clips)

    def frames(self, index: int) -> NDArray[np.uint8]:
        """(T, S, S, 3) frames of stored clip `index`: a read-only view into a file."""
        start, shard = int(self._starts[index]), self._pixels[int(self._shards[index])]
        return shard[start : start + int(self.lengths[index])]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted; a label is a position in it."""
        return self.dataset.classes

    @property
    def labels(self) -> NDArray[np.int32]:
        """(M,) labels of the readable clips."""
        return self.dataset.labels[self.clips]

    @property
    def subjects(self) -> NDArray[np.int32]:
        """(M,) subjects of the readable clips, -1 where none is named."""
        return self.dataset.subjects[self.clips]

    @property
    def splits(self) -> NDArray[np.str_]:
        """(M,) 'train', 'val' or 'test'."""
        return self.dataset.splits[self.clips]

    def indices(self, split: str) -> NDArray[np.int64]:
        """Positions in this store of the clips of a split, ascending."""
        return np.flatnonzero(self.splits == split)

    def subset(self, indices: NDArray[np.int64]) -> "ClipStore":
        """A store of these clips only, in this order, on the same mapped files."""
        return replace(
            self,
            clips=self.clips[indices],
            lengths=self.lengths[indices],
            _shards=self._shards[indices],
            _starts=self._starts[indices],
        )
