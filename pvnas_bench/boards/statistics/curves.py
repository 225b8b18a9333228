"""Curves over runs with their bootstrap bands.

Source: performance profiles: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
NeurIPS 2021.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pvnas_bench.boards.statistics.ranking import Floats
from pvnas_bench.boards.statistics.resampling import CONFIDENCE, RESAMPLES, finite_strata, resample, weights


def step_values(costs: ArrayLike, values: ArrayLike, grid: ArrayLike) -> Floats:
    """Evaluate a step function on a grid: at each point, the value at the last cost that is not greater.

    Nothing is interpolated: an incumbent holds until the next one is reported. nan before the first cost.

    Args:
        costs: costs in ascending order.
        values: value from each cost on.
        grid: costs at which to evaluate.

    Raises:
        ValueError: the costs are not ascending.
    """
    steps = np.asarray(costs, np.float64)
    if (np.diff(steps) < 0).any():
        raise ValueError("costs must be in ascending order")
    index = np.searchsorted(steps, np.asarray(grid, np.float64), side="right") - 1
    padded = np.concatenate([[np.nan], np.asarray(values, np.float64)])
    return np.asarray(padded[index + 1], np.float64)


def mean_band(curves: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Mean curve over runs with its pointwise 95 % bootstrap band.

    Args:
        curves: values (runs, points).

    Returns:
        Mean, lower and upper edge of the band. A point that is nan in any run is nan in all three; with a single run
        the band is nan.
    """
    table = np.asarray(curves, np.float64)
    mean = table.mean(axis=0)
    if len(table) < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    known = ~np.isnan(mean)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    if known.any():
        tail = (1 - CONFIDENCE) / 2
        low[known], high[known] = np.quantile(weights(len(table), 0) @ table[:, known], [tail, 1 - tail], axis=0)
    return mean, low, high


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Share of runs whose score is above each threshold, averaged over tasks, with its 95 % bootstrap band.

    Args:
        strata: scores of the runs of each task.
        thresholds: scores.

    Returns:
        The profile and the lower and upper edge of its band, one value per threshold; the band is nan if a task has a
        single run.
    """
    scores = finite_strata(strata)
    limits = np.asarray(thresholds, np.float64)

    def share(runs: Floats) -> Floats:  # (..., runs) -> (..., thresholds)
        return np.asarray((runs[..., None] > limits).mean(axis=-2))

    profile = np.mean([share(runs) for runs in scores], axis=0)
    if min(len(runs) for runs in scores) < 2:
        return profile, np.full_like(profile, np.nan), np.full_like(profile, np.nan)
    total = np.zeros((RESAMPLES, len(limits)))
    for index, runs in enumerate(scores):
        total += share(resample(runs, index))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(total / len(scores), [tail, 1 - tail], axis=0)
    return profile, low, high
