"""Files that belong to no data set, decoded by the workers of the pool and handed over in their order."""

import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video import _pool
from pvnas_bench.video._jobs import CLIP_SECONDS
from pvnas_bench.video._spec import CacheSpec, default_decoder

BYTES_PER_SECOND = 100_000
"""A long file may take a second more for so many of its bytes."""
PASS_BYTES = 2**29
"""Bytes of frames that a pass through a file writes to the disk: an hour of video at 44 pixels."""
_AHEAD = 4
"""Clips for each worker that may be decoded before the first of them is used."""


@dataclass(frozen=True)
class Span:
    """A window of a file.

    Attributes:
        first, last: its frames [first, last), counted among those that were decoded with it.
        start, end: seconds from the file's first frame; None where the file says no times.
    """

    first: int
    last: int
    start: float | None
    end: float | None


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Windows of a file with their frames, (T, S, S, 3), mapped from a file that is gone when the next is asked for."""

    frames: NDArray[np.uint8]
    spans: tuple[Span, ...]


def decoded(
    paths: Sequence[Path], spec: CacheSpec, *, workers: int | None = None, decoder: str | None = None
) -> Iterator[NDArray[np.uint8] | str]:
    """The frames of each file as a data set's cache would hold them, (T, S, S, 3), or why it cannot be read.

    Answers come in the order of the files, however long each takes.
    """
    decoder = decoder or default_decoder()
    jobs = [{"path": str(path.absolute()), **asdict(spec), "decoder": decoder} for path in paths]

    def by_pyav(job: int) -> _pool.Answer:
        with closing(_pool.Worker()) as worker:
            return worker.ask("decode", job, {**jobs[job], "decoder": "pyav"}, CLIP_SECONDS)

    with closing(_in_order("decode", jobs, workers, CLIP_SECONDS)) as answers:
        for answer in answers:
            if answer.lost and decoder == "decord":
                answer = by_pyav(answer.job)
            if answer.error is not None:
                yield answer.error
            else:
                yield np.frombuffer(answer.payload, dtype=np.uint8).reshape(-1, spec.size, spec.size, 3)


def unrolled(
    paths: Sequence[Path],
    spec: CacheSpec,
    *,
    window: float | int | None = None,
    stride: float | int | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, Unrolled | str]]:
    """Every frame of each file, with the windows that it divides into, or why it cannot be read; in the files' order.

    Args:
        window: seconds (a float), frames (an int), or None: the whole file is one window.
        stride: from one window's start to the next one's, in the same unit.

    Yields:
        the number of the file, and windows: one time, or several times for a file that is too long for one pass.
    """
    with tempfile.TemporaryDirectory(prefix="pvnas_bench_") as folder:
        shared = {**asdict(spec), "window": window, "stride": stride, "limit": PASS_BYTES}
        jobs = [
            {"path": str(path.absolute()), **shared, "first": 0, "output": str(Path(folder, f"{number}.rgb"))}
            for number, path in enumerate(paths)
        ]
        timeout = CLIP_SECONDS + max(map(_bytes, paths), default=0) / BYTES_PER_SECOND
        with closing(_in_order("unroll", jobs, workers, timeout)) as answers:
            for number, answer in enumerate(answers):
                output = Path(jobs[number]["output"])
                while answer.error is None:
                    yield number, _mapped(output, answer.meta["spans"], spec.size)
                    output.unlink()
                    if answer.meta["next"] is None:
                        break
                    with closing(_pool.Worker()) as worker:
                        answer = worker.ask("unroll", number, {**jobs[number], "first": answer.meta["next"]}, timeout)
                else:
                    yield number, answer.error
                output.unlink(missing_ok=True)


def _bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _mapped(path: Path, spans: Sequence[Sequence[Any]], size: int) -> Unrolled:
    pixels = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray).reshape(-1, size, size, 3)
    return Unrolled(pixels, tuple(Span(*span) for span in spans))


class _Paced:
    """Jobs that are handed out a few ahead of the first whose answer was not used yet, to bound the memory."""

    def __init__(self, jobs: Sequence[Mapping[str, Any]], ahead: int) -> None:
        self._jobs, self._ahead, self._used = jobs, ahead, 0
        self._turn = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, job: int) -> Mapping[str, Any]:
        with self._turn:
            self._turn.wait_for(lambda: job < self._used + self._ahead)
        return self._jobs[job]

    def use(self, number: int) -> None:
        """Note that so many answers were used."""
        with self._turn:
            self._used = number
            self._turn.notify_all()


def _in_order(
    task: str, jobs: Sequence[Mapping[str, Any]], workers: int | None, timeout: float
) -> Generator[_pool.Answer, None, None]:
    workers = workers or _pool.usable_cores()
    paced, waiting, due = _Paced(jobs, _AHEAD * workers), dict[int, _pool.Answer](), 0
    with closing(_pool.run(task, paced, workers=workers, timeout=timeout)) as answers:
        try:
            for answer in answers:
                waiting[answer.job] = answer
                while due in waiting:
                    yield waiting.pop(due)
                    due += 1
                    paced.use(due)
        finally:
            paced.use(len(jobs))
