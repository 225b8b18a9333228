"""Where a run's time goes: a sampling profiler that knows the harness's clock.

Every millisecond it looks at what the run's thread does: the activity that the clock is on, and the innermost function
of this package. Where the clock is on none, it is the strategy's own arithmetic, or the harness's. Unlike a tracing
profiler it slows nothing down, so that shares stay true.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pvnas_bench
from pvnas_bench.training.workbench import Clock

INTERVAL = 0.001
HARNESS, STRATEGY = "harness", "strategy"
ROOT = str(Path(pvnas_bench.__file__).parent)
STRATEGIES = f"{pvnas_bench.__name__}.strategies"
DOORS = frozenset(
    f"{pvnas_bench.__name__}.{room}"
    for room in (
        "problem",
        "training.train",
        "training.testing",
        "run.search",
        "run.final",
        "run.tabular",
        "run.tabular_final",
    )
)
"""Modules in which a strategy's call is the harness's work. What both use, such as gates, is of the caller."""
AFTER = f"{pvnas_bench.__name__}.run.yardstick"
"""What a run does when its phases have ended."""


class Samples:
    """Counts of (activity, function), the function as ``module.function``, by phase."""

    def __init__(self) -> None:
        self.phases: list[Counter[tuple[str, str]]] = []
        self._clock: Clock | None = None

    def begin(self, clock: Clock) -> None:
        """A phase begins, with this clock; before the first one nothing is counted."""
        self._clock = clock
        self.phases.append(Counter())

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Of all phases, until now: they may go on being counted, in another thread."""
        return sum((phase.copy() for phase in self.phases), Counter[tuple[str, str]]())

    def top(self, activity: str, count: int) -> list[tuple[str, float]]:
        """The functions in which an activity spent most, each with its share of all samples."""
        counts = self.counts
        own = Counter({function: n for (what, function), n in counts.items() if what == activity})
        return [(function, n / counts.total()) for function, n in own.most_common(count)]

    def strategys(self, phase: int) -> float:
        """Of the time of a phase that the clock is on no activity, the share in which the strategy itself works."""
        by = Counter[str]()
        for (activity, _), n in self.phases[phase].items():
            by[activity] += n
        other = by[STRATEGY] + by[HARNESS]
        return by[STRATEGY] / other if other else 0.0

    def take(self, frame: FrameType | None) -> None:
        """Count a sample of this stack."""
        if self._clock is not None and not _within(frame, AFTER):
            self.phases[-1][self._clock.active or _worker(frame), _innermost(frame)] += 1


def _modules(frame: FrameType | None) -> Iterator[str]:
    """Of a stack, from the inside."""
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _within(frame: FrameType | None, module: str) -> bool:
    return module in _modules(frame)


def _worker(frame: FrameType | None) -> str:
    """Whose work it is that the clock is on no activity for."""
    for module in _modules(frame):
        if module in DOORS:
            return HARNESS
        if module.startswith(STRATEGIES):
            return STRATEGY
    return HARNESS


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
