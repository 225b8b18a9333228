"""Searches on tables, many in a process: one takes less time than a process takes to start, or a file to write.

The seeds of a request are searched in batches; the records of a batch are appended to the one file of the request, a
line each, and are on the disk before the batch counts. A process that is killed loses the batch it is at, and may leave
half a line, which the next one that appends cuts off.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pvnas_bench import records
from pvnas_bench.request import Observer, Request, Setup
from pvnas_bench.runner import Run

TAIL = 1 << 16
"""Bytes that are read at a time to find the end of the last whole line."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: as its record tells, or refused, which has none."""

    status: records.Status | Literal["refused"]
    note: str
    top1: float | None = None
    """Of the test, the mean over retrainings."""
    seconds: float | None = None
    """Of the search."""

    @classmethod
    def of(cls, record: records.Record | records.Summary) -> "Ended":
        trained = record.outcome.trained if record.outcome else ()
        top1 = sum(t.test_top1 for t in trained) / len(trained) if trained else None
        return cls(record.status, record.error or "", top1, record.search.wall_seconds)


def search_all(request: Request, seeds: Sequence[int]) -> list[Ended]:
    """Search on a table with each seed and append the records to the request's file.

    Returns:
        how each search ended.

    Raises:
        UsageError: the request cannot work, whatever its seed.
        OSError: the file cannot be written; the seeds have no record.
    """
    setup = Setup(request, Observer())
    ended, lines = [], []
    for seed in seeds:
        try:
            record = Run(setup.at(seed)).record()
        except Exception as error:  # the other seeds can run all the same
            ended.append(Ended("refused", f"{type(error).__name__}: {error}"))
        else:
            lines.append(record.model_dump_json().encode() + b"\n")
            ended.append(Ended.of(record))
    append(setup.lines, lines)
    return ended


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines to a file; they are on the disk when this returns. Processes that append take turns."""
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path) as file:
        file.truncate(_whole(file))
        file.seek(0, os.SEEK_END)
        file.write(b"".join(lines))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """The file, which no other process appends to meanwhile."""
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _whole(file: BinaryIO) -> int:
    """Bytes up to the end of the last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - TAIL, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
