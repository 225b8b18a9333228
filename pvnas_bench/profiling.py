"""Where a run's time goes: a sampling profiler that knows the harness's clock.

Every millisecond it looks at what the run's thread does: the activity that the clock is on (none: the harness), and the
innermost function of this package. Unlike a tracing profiler it slows nothing down, so that shares stay true.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pvnas_bench
from pvnas_bench.training import Clock

INTERVAL = 0.001
HARNESS = "harness"
ROOT = str(Path(pvnas_bench.__file__).parent)


class Samples:
    """Counts of (activity, function), the function as ``module.function``."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.clock: Clock | None = None
        """Of the phase that runs; None: between phases, where nothing is counted."""

    def top(self, activity: str, count: int) -> list[tuple[str, float]]:
        """The functions in which an activity spent most, each with its share of all samples."""
        total = self.counts.total()
        own = Counter({function: n for (what, function), n in self.counts.items() if what == activity})
        return [(function, n / total) for function, n in own.most_common(count)]

    def take(self, frame: FrameType | None) -> None:
        """Count a sample of this stack."""
        if self.clock is not None:
            self.counts[self.clock.active or HARNESS, _innermost(frame)] += 1


def _innermost(frame: FrameType | None) -> str:
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(ROOT) or frame.f_globals.get("__name__", "").startswith(pvnas_bench.__name__):
            return f"{Path(file).stem}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return "elsewhere"


@contextmanager
def sampled() -> Iterator[Samples]:
    """Within the context the thread that entered it is sampled, from another thread."""
    samples, seen, ended = Samples(), threading.get_ident(), threading.Event()

    def look() -> None:
        while not ended.wait(INTERVAL):
            samples.take(sys._current_frames()[seen])

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield samples
    finally:
        ended.set()
        looking.join()
