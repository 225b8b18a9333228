"""A sampling profiler that divides a run's time by the activities of the harness's clock.

Every millisecond it samples the run's thread: the clock's current activity, and the innermost function of this package.
Time without an activity belongs to the strategy or to the harness. Unlike a tracing profiler it does not slow the run,
so the shares are undistorted.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pvnas_bench.training.workbench import Clock

INTERVAL = 0.001
HARNESS, STRATEGY = "harness", "strategy"
ROOT = str(Path(__file__).parents[1])
STRATEGIES = "pvnas_bench.strategies"
DOORS = frozenset(
    f"pvnas_bench.{room}"
    for room in (
        "problem",
        "training.train",
        "training.testing",
        "runs.search",
        "runs.final",
        "runs.tabular",
        "runs.tabular_final",
    )
)
"""Modules of the harness that strategies call; time in them counts as the harness's. Shared code, such as gates, counts
for its caller."""
AFTER = "pvnas_bench.runs.yardstick"
"""Module that runs after the phases; its samples are dropped."""


class Samples:
    """Counts of (activity, function), the function as ``module.function``, by phase."""

    def __init__(self) -> None:
        self.phases: list[Counter[tuple[str, str]]] = []
        self._clock: Clock | None = None

    def begin(self, clock: Clock) -> None:
        """Start a phase with this clock; samples before the first phase do not count."""
        self._clock = clock
        self.phases.append(Counter())

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Counts over all phases so far; another thread may still be counting."""
        return sum((phase.copy() for phase in self.phases), Counter[tuple[str, str]]())

    def top(self, activity: str, count: int) -> list[tuple[str, float]]:
        """The functions that took most of an activity, each with its share of all samples."""
        counts = self.counts
        functions = Counter({function: n for (what, function), n in counts.items() if what == activity})
        return [(function, n / counts.total()) for function, n in functions.most_common(count)]

    def strategys(self, phase: int) -> float:
        """The strategy's share of a phase's time without an activity."""
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
    """Modules of a stack, innermost first."""
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _within(frame: FrameType | None, module: str) -> bool:
    return module in _modules(frame)


def _worker(frame: FrameType | None) -> str:
    """The owner of a stack without an activity: strategy or harness."""
    for module in _modules(frame):
        if module in DOORS:
            return HARNESS
        if module.startswith(STRATEGIES):
            return STRATEGY
    return HARNESS


def _innermost(frame: FrameType | None) -> str:
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(ROOT) or frame.f_globals.get("__name__", "").startswith("pvnas_bench"):
            return f"{Path(file).stem}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return "elsewhere"


@contextmanager
def sampled() -> Iterator[Samples]:
    """Sample the calling thread from another thread while the context is open."""
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
