"""Progress: live bars in a terminal or a notebook, plain lines on standard error anywhere else."""

import importlib.util
import math
import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from pvnas_bench import records
from pvnas_bench.runs.observer import Observer
from pvnas_bench.system.masking import masked

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
    """The display that suits the place: `Bars` in a terminal or a notebook with widgets, else `Lines`."""
    return Bars() if live() else Lines()


def live() -> bool:
    """Return True if what was printed can be changed: standard error is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Return True in a Jupyter kernel that has ipywidgets, without which rich shows nothing until the end."""
    if "ipykernel" not in sys.modules or importlib.util.find_spec("ipywidgets") is None:
        return False
    from rich.console import Console

    return Console().is_jupyter


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


class Shown(Observer):
    """Shows a run on a display."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._val_top1 = math.nan
        """The incumbent's accuracy on search-val in the last step that logged it."""

    def making(self, done: int, total: int) -> None:
        self._display.show("making clips", done, total, f"{done:,} of {total:,} drawn and encoded")

    def timing(self, done: int, total: int) -> None:
        self._display.show("latency", done, total, f"{done:,} of {total:,} layers and networks timed")

    def preparing(self, done: int, total: int) -> None:
        self._display.show("clips", done, total, f"{done:,} of {total:,} prepared")

    def training_backbone(self, epoch: int, epochs: int) -> None:
        self._display.show("backbone", epoch, epochs, f"epoch {epoch} of {epochs}")

    def extracting(self, done: int, total: int) -> None:
        self._display.show("features", done, total, f"{done:,} of {total:,} clips")

    def resuming(self, step: int) -> None:
        self._display.say(f"resuming from the checkpoint after step {step}")

    def warned(self, message: str) -> None:
        self._display.say(masked(f"warning: {message}"))

    def searching(self, budget: float) -> None:
        self._display.show("search", 0, budget, f"budget {budget:g} reference trainings")

    def stepped(self, step: records.Step, budget: float) -> None:
        self._val_top1 = step.metrics.get("val_top1", self._val_top1)
        accuracy = "" if math.isnan(self._val_top1) else f" and {self._val_top1:.1%} on search-val"
        incumbent = f"incumbent with {step.macs / 1e6:.1f} MMACs{accuracy}"
        self._display.show(
            "search", step.cost, budget, f"step {step.step}, {step.cost:.2f} of {budget:g} rt, {incumbent}"
        )

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        done = (retraining - 1) * epochs + epoch
        which = f"{retraining} of {retrainings}, " if retrainings > 1 else ""
        self._display.show("final training", done, retrainings * epochs, f"{which}epoch {epoch} of {epochs}")
