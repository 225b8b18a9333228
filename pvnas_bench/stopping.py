"""Being asked to stop: Ctrl-C and SIGTERM are heeded at the next boundary, and at the latest after a grace period."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 20.0
"""Seconds from the first request to the end, boundary or not: schedulers kill after about half a minute."""
ASKING = ("SIGINT", "SIGTERM")


class Stop:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, GRACE)


@contextmanager
def heeded() -> Iterator[Stop]:
    """Within the context the first request to stop is noted; a second one, or the end of the grace, interrupts.

    Only the main thread hears signals; in any other this does nothing.

    Raises:
        KeyboardInterrupt: inside the context.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    names = [*ASKING, *(["SIGALRM"] if hasattr(signal, "SIGALRM") else [])]
    before = {name: signal.signal(getattr(signal, name), stop._ask) for name in names}
    try:
        yield stop
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
