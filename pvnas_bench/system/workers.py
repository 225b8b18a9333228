"""Initialisation of every worker process of this package."""

import multiprocessing
import os
import signal
import threading


def begin(*, told: bool = False) -> None:
    """Leave Ctrl-C to the parent, and end with it.

    Args:
        told: True if SIGTERM tells it to end and it may finish its current task; else it ends at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
