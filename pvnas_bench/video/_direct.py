"""Clips without a cache: decoded whenever a batch needs them, in DataLoader workers, to the pixels of the cache.

Which clips can be read, and how long they are, was found out before in processes that can be killed (`_prepare`), so
that no file which hangs or crashes a decoder gets here. Readers are opened in the workers and live for one clip with
one thread (dmlc/decord#157, #208, #294); the parent, whose threads a fork would not copy, opens none: clip by clip it
asks a process of the pool. Workers send arrays through pipes, which needs no shared memory.
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
"""Batches that each worker decodes ahead."""


@dataclass(frozen=True, eq=False)
class HeldStore(ClipStore):
    """Clips of which some are in memory, by their position."""

    held: dict[int, NDArray[np.uint8]]

    def frames(self, index: int) -> NDArray[np.uint8]:
        """(T, S, S, 3) frames of a clip that is held."""
        return self.held[index]


class _Reader:
    """A process of the pool for one clip at a time, started when first asked."""

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
    """The readable clips of a data set, none of them decoded.

    Attributes:
        workers: processes that decode the batches of an epoch.
        by_pyav: clips of the data set that make decord crash or hang.
    """

    decoder: str
    workers: int
    by_pyav: frozenset[int]
    _reader: _Reader = field(default_factory=_Reader)

    @classmethod
    def of(cls, store: ClipStore, decoder: str, workers: int, by_pyav: frozenset[int]) -> "DirectStore":
        """The clips of a store without frames."""
        return cls(**_columns(store), decoder=decoder, workers=workers, by_pyav=by_pyav)

    def decoder_of(self, clip: int) -> str:
        """What decodes a clip of the data set."""
        return "pyav" if clip in self.by_pyav else self.decoder

    def frames(self, index: int) -> NDArray[np.uint8]:
        """(T, S, S, 3) frames of stored clip `index`, decoded now.

        Raises:
            UsageError: the clip cannot be read any more.
        """
        return self._reader(self, index)

    def loaded(self, chunks: Sequence[NDArray[np.int64]]) -> Iterator[HeldStore]:
        """A store for each chunk that holds its clips, decoded ahead by workers.

        Raises:
            UsageError: a clip cannot be read any more, or a worker was lost.
        """
        table = _columns(self)
        chunk: NDArray[np.int64]
        batches = iter(self._loader(chunks))
        for chunk in chunks:
            try:
                clips = next(batches)
            except RuntimeError as error:  # what DataLoader raises for a worker that crashed or took too long
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

        # A fork runs no part of the caller's main module again, unlike the other ways of starting a process.
        fork = "fork" in multiprocessing.get_all_start_methods()
        return DataLoader(
            _Clips(self),  # type: ignore[arg-type]
            batch_sampler=[chunk.tolist() for chunk in chunks],
            collate_fn=list,
            num_workers=self.workers,
            prefetch_factor=_AHEAD,
            timeout=CLIP_SECONDS * max((len(chunk) for chunk in chunks), default=1),
            multiprocessing_context="fork" if fork else None,
            generator=torch.Generator(),  # else it would draw from the global one
        )


class _Clips:
    """What a DataLoader worker holds: the columns of the table, and no object per clip."""

    def __init__(self, store: DirectStore) -> None:
        self.dataset, self.spec, self.clips = store.dataset, store.spec, store.clips
        self.decoder, self.by_pyav = store.decoder, store.by_pyav

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> NDArray[np.uint8] | str:
        """Frames of a clip, or why it cannot be read."""
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
    return UsageError(f"clip {path!r} cannot be read any more ({reason}): restore the file")
