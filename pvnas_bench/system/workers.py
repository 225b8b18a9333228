"""What every worker process of this package begins with."""

import multiprocessing
import os
import signal
import threading


def begin(*, told: bool = False) -> None:
    """A worker leaves Ctrl-C to its parent, and ends with it.

    Args:
        told: it is told to end, by SIGTERM, and may finish what it is at; else it is gone at once.
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
