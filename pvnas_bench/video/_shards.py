"""Files of a cache: shards of frames, and the journal from which an interrupted call resumes."""

import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.system.files import write_all

SHARD_BYTES = 1 << 30
"""Size at which a shard is closed; no clip spans two shards."""
INDEX_TYPE = np.dtype([("clip", "<i8"), ("shard", "<i4"), ("start", "<i8"), ("length", "<i4"), ("crc", "<u4")])
"""Index entry of a clip: its number, its shard, its first frame there, its number of frames, and their CRC-32."""
_JOURNAL, _INDEX = "journal", "index.npy"


def shard_path(folder: Path, shard: int) -> Path:
    """Path of a shard."""
    return folder / f"frames-{shard:05d}.u8"


class ShardWriter:
    """Appends clips to shards; each clip in the journal is in the shards, even if the process is killed.

    A shard is synced to disk before the next one begins. On resuming, only the clips of the last shard are checked, as
    a crash of the machine may have damaged them.
    """

    def __init__(self, folder: Path, frame_bytes: int) -> None:
        self._folder, self._frame_bytes = folder, frame_bytes
        self._records = self._recovered()
        self._journal = (folder / _JOURNAL).open("ab", buffering=0)
        self._shard: IO[bytes] | None = None
        self._number = int(self._records["shard"].max(initial=0))
        self._frames = 0
        if shard_path(folder, self._number).exists():
            self._shard = shard_path(folder, self._number).open("ab", buffering=0)
            self._frames = self._shard.tell() // frame_bytes

    @property
    def done(self) -> NDArray[np.int64]:
        """Clips stored by earlier calls."""
        return np.ascontiguousarray(self._records["clip"])

    def write(self, clip: int, payload: bytearray, frames: int) -> None:
        """Append a clip; an empty payload stores only its number of frames.

        Raises:
            OSError: the clip cannot be written.
        """
        start = self._frames
        if payload:
            if self._shard is not None and self._shard.tell() >= SHARD_BYTES:
                self._finish_shard()
                self._number += 1
            if self._shard is None:
                self._shard = shard_path(self._folder, self._number).open("ab", buffering=0)
                start = self._frames = 0
            write_all(self._shard.fileno(), payload)
            self._frames += frames
        record = np.array([(clip, self._number, start, frames, zlib.crc32(payload))], dtype=INDEX_TYPE)
        write_all(self._journal.fileno(), record.tobytes())

    def finish(self) -> None:
        """Sync everything to disk, and turn the journal into an index sorted by clip."""
        self._finish_shard()
        self._journal.close()
        index = np.fromfile(self._folder / _JOURNAL, dtype=INDEX_TYPE)
        np.save(self._folder / _INDEX, index[np.argsort(index["clip"])], allow_pickle=False)
        (self._folder / _JOURNAL).unlink()

    def close(self) -> None:
        """Close the files."""
        self._journal.close()
        if self._shard is not None:
            self._shard.close()

    def _finish_shard(self) -> None:
        if self._shard is not None:
            os.fsync(self._shard.fileno())
            self._shard.close()
            self._shard = None

    def _recovered(self) -> NDArray[np.void]:
        """The journal up to the first damaged clip in the last shard; files are truncated to match it."""
        path = self._folder / _JOURNAL
        if not path.exists():
            return np.zeros(0, dtype=INDEX_TYPE)
        whole = path.stat().st_size // INDEX_TYPE.itemsize
        records = np.fromfile(path, dtype=INDEX_TYPE, count=whole)
        last = int(records["shard"].max(initial=0))
        shard = shard_path(self._folder, last)
        end = 0
        if shard.exists():
            pixels = np.fromfile(shard, dtype=np.uint8)
            for at in np.flatnonzero(records["shard"] == last):
                first = int(records["start"][at]) * self._frame_bytes
                after = first + int(records["length"][at]) * self._frame_bytes
                if after > len(pixels) or zlib.crc32(pixels[first:after].data) != records["crc"][at]:
                    records = records[:at]
                    break
                end = after
            os.truncate(shard, end)
        os.truncate(path, len(records) * INDEX_TYPE.itemsize)
        return records


def load_index(folder: Path) -> NDArray[np.void]:
    """Read the index of a complete cache, sorted by clip.

    Raises:
        OSError, ValueError: the index is missing or damaged.
    """
    index: NDArray[np.void] = np.load(folder / _INDEX, allow_pickle=False)
    if index.dtype != INDEX_TYPE:
        raise ValueError(f"{_INDEX} has other columns")
    return index


def map_shards(folder: Path, index: NDArray[np.void], size: int) -> tuple[NDArray[np.uint8], ...]:
    """Memory-map the shards, (frames, S, S, 3) each.

    Raises:
        OSError, ValueError: a shard is missing or has the wrong size.
    """
    shards = []
    for number in range(int(index["shard"].max(initial=-1)) + 1):
        entries = index[index["shard"] == number]
        shape = (int((entries["start"] + entries["length"]).max(initial=0)), size, size, 3)
        path = shard_path(folder, number)
        if path.stat().st_size != np.prod(shape, dtype=np.int64):
            raise ValueError(f"{path.name} has the wrong size")
        shards.append(np.memmap(path, dtype=np.uint8, mode="r", shape=shape).view(np.ndarray))
    return tuple(shards)
