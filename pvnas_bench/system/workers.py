"""Initialisation of the package's worker processes."""

import multiprocessing
import os
import signal
import threading


def begin(*, told: bool = False) -> None:
    """Initialise a worker: it ignores Ctrl-C, and ends when its parent has ended.

    Args:
        told: True to end by SIGTERM, which lets the current task finish; False to end at once.
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
