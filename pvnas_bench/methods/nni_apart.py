"""NNI and Lightning without their messages, and without a trace in Python's random state."""

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning.pytorch", "nni")
NOISY = ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "torchmetrics", "nni")


@contextmanager
def apart() -> Iterator[None]:
    """Silence NNI's and Lightning's needless messages, and restore the state of Python's `random`.

    NNI names its objects with `random`; no result depends on it.
    """
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            for library in NOISY:
                warnings.filterwarnings("ignore", module=rf"{library}(\..*)?")
            yield
    finally:
        random.setstate(state)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
