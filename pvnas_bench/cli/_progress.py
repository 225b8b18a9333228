"""Progress on standard error: a live bar in a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

LINES_PER_PHASE = 10
SECONDS_PER_LINE = 0.5
"""Minimum seconds between two lines, except for the first and the last of a phase."""


class Display(AbstractContextManager["Display"]):
    """Shows the progress of a command; leave the context before printing results."""

    def show(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Show the progress of a phase. A new name, or less done than before, begins a phase.

        Args:
            phase: name of the phase.
            done: amount done so far.
            total: total amount; 0 if unknown.
            note: one line about the state.
        """
        raise NotImplementedError

    def say(self, line: str) -> None:
        """Print a permanent line."""
        print(line, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clean up the screen for the command's results."""


def display() -> Display:
    """The display that suits standard error."""
    return Bars() if sys.stderr.isatty() else Lines()


class Lines(Display):
    """Prints a line when a phase begins, after each tenth of it, and when it ends.

    Lines within a phase are at least `SECONDS_PER_LINE` apart. If a phase ends before its total, its last state is
    printed.
    """

    def __init__(self) -> None:
        self._phase, self._start = "", 0.0
        self._done = self._printed = -1.0
        self._last = 0.0
        self._waiting = ""

    def show(self, phase: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        begins = phase != self._phase or done < self._done
        if begins:
            if self._waiting:
                self.say(self._waiting)
            self._phase, self._start, self._printed = phase, now, -1.0
        self._done = done
        share = min(done / total, 1.0) if total else 0.0
        tenth = int(share * LINES_PER_PHASE)
        ends = share == 1 and self._printed < LINES_PER_PHASE
        words = [f"{phase}: {share:.0%}" if total else phase, note, _left(now - self._start, share)]
        self._waiting = ", ".join(word for word in words if word)
        if begins or ends or (tenth > self._printed and now - self._last >= SECONDS_PER_LINE):
            self._printed, self._last = tenth, now
            self.say(self._waiting)
            self._waiting = ""


def _left(elapsed: float, share: float) -> str:
    if not 0 < share < 1:
        return ""
    minutes, seconds = divmod(round(elapsed * (1 - share) / share), 60)
    return f"{minutes}:{seconds:02d} left"


class Bars(Display):
    """Shows one bar per phase, and below them a line about the state."""

    def __init__(self) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        self._progress = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            auto_refresh=False,
        )
        self._note = Text(no_wrap=True, overflow="ellipsis", style="dim")
        self._live = Live(
            Group(self._progress, self._note), console=Console(stderr=True), refresh_per_second=8, redirect_stdout=False
        )
        self._phase, self._done = "", -1.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        self._note.plain = ""
        self._live.stop()

    def show(self, phase: str, done: float, total: float, note: str = "") -> None:
        if phase != self._phase or done < self._done:
            self._finish()
            self._task = self._progress.add_task(phase)
            self._phase = phase
        self._done = done
        self._progress.update(self._task, completed=done, total=total or None)
        self._note.plain = note

    def say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)

    def _finish(self) -> None:
        """Show the phase as complete, even if it ended before its total, as a search whose last step did not fit."""
        if self._phase:
            task = self._progress.tasks[-1]
            self._progress.update(self._task, total=task.total or 1, completed=task.total or 1)
