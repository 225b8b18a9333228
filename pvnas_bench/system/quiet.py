"""Suppression of library messages that users cannot act on."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress known noise within the context; show everything else."""
    os.environ.setdefault("PYTORCH_LIGHTNING_DISABLE_TIPS", "1")
    for name in ("pytorch_lightning", "lightning.pytorch", "nni"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for library in ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "torchmetrics", "nni"):
            warnings.filterwarnings("ignore", module=rf"{library}(\..*)?")
        yield
