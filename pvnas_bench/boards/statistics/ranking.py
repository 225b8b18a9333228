"""Ranks and rank correlation."""

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
    """Kendall's τ-b; nan if one side is constant."""
    from scipy.stats import kendalltau  # imported here, since it takes longer than a leaderboard

    return float(kendalltau(np.asarray(first, np.float64), np.asarray(second, np.float64)).statistic)
