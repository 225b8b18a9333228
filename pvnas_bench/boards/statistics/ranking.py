"""Ranks, and how far two rankings agree."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ranks(values: ArrayLike) -> Floats:
    """Ranks from 1, smallest first; equal values share their mean rank."""
    array = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's τ-b; nan where one side does not vary."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    upper = np.triu_indices(len(x), 1)
    dx = np.sign(x[:, None] - x[None, :])[upper]
    dy = np.sign(y[:, None] - y[None, :])[upper]
    scale = float(np.sqrt(np.abs(dx).sum() * np.abs(dy).sum()))
    return float((dx * dy).sum()) / scale if scale else float("nan")
