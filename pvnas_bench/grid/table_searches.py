"""Searches on tables, many per process, since one takes less time than starting a process or writing a file.

The seeds of a request are searched in batches. The records of a batch are appended to the request's file, one line
each, and are on the disk before the batch counts as done. A killed process loses its current batch; an incomplete line
that it leaves is removed before the next append.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pvnas_bench import records
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.runs.setup import Setup, TrainsOnClips
from pvnas_bench.system.files import Appended
from pvnas_bench.system.leases import claimed
from pvnas_bench.system.masking import masked

PATIENCE = 600.0
"""Seconds to wait for other processes that append; each takes a few milliseconds."""


@dataclass(frozen=True)
class Ended:
    """Result of a run: that of its record, or a refusal without a record."""

    status: records.Status | Literal["refused"]
    note: str
    top1: float | None = None
    """Mean test top-1 over retrainings."""
    seconds: float | None = None
    """Seconds of the search."""

    @classmethod
    def of(cls, record: records.Record) -> "Ended":
        """The result in a record."""
        trained = record.outcome.trained if record.outcome else ()
        top1 = sum(t.test_top1 for t in trained) / len(trained) if trained else None
        return cls(record.status, record.error or "", top1, record.search.wall_seconds)


def search_all(request: Request, seeds: Sequence[int]) -> list[Ended]:
    """Search on a table with each seed and append the records to the request's file.

    Returns:
        The result of each search.

    Raises:
        UsageError: the request cannot work with any seed.
        TrainsOnClips: the strategy needs clips, so each of its searches needs a separate process.
        OSError: the file cannot be written; these seeds have no records.
    """
    setup = Setup(request, Observer(), clips=False)
    ended, lines = [], []
    for seed in seeds:
        try:
            record = Run(setup.at(seed)).record()
        except TrainsOnClips:
            raise
        except Exception as error:  # the other seeds can still run
            ended.append(Ended("refused", masked(f"{type(error).__name__}: {error}")))
        else:
            lines.append(record.model_dump_json().encode() + b"\n")
            ended.append(Ended.of(record))
    append(setup.lines, lines)
    return ended


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines to a file, while no other process does; they are on the disk when this returns."""
    if not lines:
        return
    with claimed(path, patience=PATIENCE):
        file = Appended(path)
        try:
            file.cut_half_line()
            file.append(b"".join(lines))
        finally:
            file.close()
