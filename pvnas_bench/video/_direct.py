"""Clips without a cache: DataLoader workers decode them on demand, to the same pixels as in the cache.

`_prepare` has already read every clip in processes that can be killed, so no file that hangs or crashes a decoder gets
here. Workers open a reader for each clip, with one thread (dmlc/decord#157, #208, #294). The parent opens none, as a
fork would not copy its threads: for a single clip it asks a process of the pool. Workers send arrays through pipes,
which needs no shared memory.
"""

import multiprocessing
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _pool
from pvnas_bench.video._jobs import CLIP_SECONDS, DecodeJobs
from pvnas_bench.video._spec import ClipError
from pvnas_bench.video._store import ClipStore

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

_AHEAD = 2
"""Batches that each worker decodes in advance."""


@dataclass(frozen=True, eq=False)
class HeldStore(ClipStore):
    """A clip store with some clips in memory, by index."""

    held: dict[int, NDArray[np.uint8]]

    def frames(self, index: int) -> NDArray[np.uint8]:
        """Frames (T, S, S, 3) of a clip in memory."""
        return self.held[index]


class _Reader:
    """A process of the pool that decodes one clip at a time; it starts at the first request."""

    def __init__(self) -> None:
        self._worker = _pool.Worker()
        weakref.finalize(self, self._worker.close)

    def __call__(self, store: "DirectStore", index: int) -> NDArray[np.uint8]:
        clip = store.clips[[index]]
        job = DecodeJobs(store.dataset, store.spec, store.decoder_of(int(clip[0])), clip)[0]
        answer = self._worker.ask("decode", index, job, CLIP_SECONDS)
        if answer.error is not None:
            raise _gone(str(store.dataset.paths[store.clips[index]]), answer.error)
        size = store.spec.size
        return np.frombuffer(answer.payload, dtype=np.uint8).reshape(-1, size, size, 3)


@dataclass(frozen=True, eq=False)
class DirectStore(ClipStore):
    """The readable clips of a data set, decoded on demand.

    Attributes:
        workers: number of processes that decode the batches of an epoch.
        by_pyav: clips of the data set that PyAV decodes, as decord crashes or hangs on them.
    """

    decoder: str
    workers: int
    by_pyav: frozenset[int]
    _reader: _Reader = field(default_factory=_Reader)

    @classmethod
    def of(cls, store: ClipStore, decoder: str, workers: int, by_pyav: frozenset[int]) -> "DirectStore":
        """A direct store of the clips of a store without frames."""
        return cls(**_columns(store), decoder=decoder, workers=workers, by_pyav=by_pyav)

    def decoder_of(self, clip: int) -> str:
        """Decoder of a clip of the data set."""
        return "pyav" if clip in self.by_pyav else self.decoder

    def frames(self, index: int) -> NDArray[np.uint8]:
        """Decode the frames (T, S, S, 3) of stored clip `index`.

        Raises:
            UsageError: the clip can no longer be read.
        """
        return self._reader(self, index)

    def loaded(self, chunks: Sequence[NDArray[np.int64]]) -> Iterator[HeldStore]:
        """For each chunk, a store with its clips in memory; workers decode them in advance.

        Raises:
            UsageError: a clip can no longer be read, or a worker process was lost.
        """
        table = _columns(self)
        chunk: NDArray[np.int64]
        batches = iter(self._loader(chunks))
        for chunk in chunks:
            try:
                clips = next(batches)
            except RuntimeError as error:  # DataLoader raises it for a worker that crashed or took too long
                raise UsageError(
                    f"a process that decodes {self.dataset.name!r} was lost ({str(error).splitlines()[0]}): "
                    "find the clip with `data verify`"
                ) from error
            for index, clip in zip(chunk.tolist(), clips, strict=True):
                if isinstance(clip, str):
                    raise _gone(str(self.dataset.paths[self.clips[index]]), clip)
            yield HeldStore(**table, held=dict(zip(chunk.tolist(), clips, strict=True)))

    def _loader(self, chunks: Sequence[NDArray[np.int64]]) -> "DataLoader[NDArray[np.uint8] | str]":
        import torch
        from torch.utils.data import DataLoader

        # Unlike other start methods, a fork does not run the caller's main module again.
        fork = "fork" in multiprocessing.get_all_start_methods()
        return DataLoader(
            _Clips(self),  # type: ignore[arg-type]
            batch_sampler=[chunk.tolist() for chunk in chunks],
            collate_fn=list,
            num_workers=self.workers,
            prefetch_factor=_AHEAD,
            timeout=CLIP_SECONDS * max((len(chunk) for chunk in chunks), default=1),
            multiprocessing_context="fork" if fork else None,
            generator=torch.Generator(),  # otherwise DataLoader draws from the global generator
        )


class _Clips:
    """Clips as a map-style data set for DataLoader workers: columns of the table, no object per clip."""

    def __init__(self, store: DirectStore) -> None:
        self.dataset, self.spec, self.clips = store.dataset, store.spec, store.clips
        self.decoder, self.by_pyav = store.decoder, store.by_pyav

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> NDArray[np.uint8] | str:
        """Frames of a clip, or the reason why it cannot be read."""
        from pvnas_bench.video._decode import read_clip

        clip = int(self.clips[index])
        decoder = "pyav" if clip in self.by_pyav else self.decoder
        try:
            return read_clip(self.dataset.path(clip), self.spec, decoder, self.dataset.part(clip))
        except ClipError as error:
            return str(error)


def _columns(store: ClipStore) -> dict[str, Any]:
    return {column.name: getattr(store, column.name) for column in fields(ClipStore)}


def _gone(path: str, reason: str) -> UsageError:
    return UsageError(f"clip {path!r} can no longer be read ({reason}): restore the file")
