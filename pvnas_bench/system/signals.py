"""Stop requests: Ctrl-C and SIGTERM take effect at the next boundary of a run, at the latest after a grace period.

The time limit of a run takes effect at once.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

GRACE = 20.0
"""Seconds from the first request to the interruption; schedulers kill a process after about half a minute."""
AGAIN = 5.0
"""Seconds between interruptions."""
ASKING = ("SIGINT", "SIGTERM")


class TimedOut(BaseException):
    """The time limit was reached. Not an `Exception`, so that strategies do not catch it."""


class Stop:
    """State of a stop request.

    Attributes:
        asked: True once a stop was requested.
        limit: time limit in seconds; None: no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.asked = False
        self.limit = limit

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        if signal.Signals(number).name == "SIGALRM":
            raise TimedOut(f"the time limit of {self.limit:g} s was reached")
        self.asked = True
        self.interrupt_after(GRACE)

    def interrupt_after(self, seconds: float) -> None:
        """Interrupt after `seconds`, then repeatedly until `settle`, since a callback may swallow the exception."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)

    def leave(self) -> NoReturn:
        """Interrupt now.

        Raises:
            KeyboardInterrupt: always.
        """
        self.settle()
        raise KeyboardInterrupt

    def settle(self) -> None:
        """Acknowledge the interruption: stop repeating it, to leave time for writing the record."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def heeded(limit: float | None = None) -> Iterator[Stop]:
    """Record the first stop request within the context; a second one, or the end of the grace period, interrupts.

    Only the main thread receives signals; in other threads this does nothing. An ignored Ctrl-C stays ignored.

    Args:
        limit: seconds until the context is interrupted.

    Raises:
        KeyboardInterrupt, TimedOut: raised inside the context.
    """
    stop = Stop(limit)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    names = [*ASKING, *(["SIGALRM"] if hasattr(signal, "SIGALRM") else [])]
    numbers = [getattr(signal, name) for name in names]
    before = {
        number: signal.signal(number, stop._hear)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    if limit is not None:
        stop.interrupt_after(limit)
    try:
        yield stop
    finally:
        stop.settle()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C within the context.

    Raises:
        KeyboardInterrupt: raised inside the context.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
