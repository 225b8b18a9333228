"""Estimates over seeds with bootstrap intervals.

Resampling uses a separate generator with a fixed seed, so that the same records always give the same board.

Source: IQM and stratified bootstrap: Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pvnas_bench.boards.statistics.ranking import Floats

CONFIDENCE = 0.95
RESAMPLES = 1000
SEED = 20110826
"""Fixed seed of all resampling, which makes boards byte-identical; the value has no meaning."""

CACHED = 100
"""Largest number of runs whose resamples are kept for the next use; those of more take as long to read as to draw."""

Statistic = Literal["mean", "iqm"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval; the ends are None if a stratum has a single run."""

    value: float
    low: float | None
    high: float | None


def iqm(values: ArrayLike) -> Floats:
    """Interquartile mean over the last axis: the mean without the lowest and the highest quarter.

    At each end ⌊n / 4⌋ of n values are dropped (`scipy.stats.trim_mean(values, 0.25)`).
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=-1)
    cut = ordered.shape[-1] // 4
    return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1))


def bootstrap(strata: Sequence[ArrayLike], statistic: Statistic = "mean") -> Interval:
    """A statistic over all runs of all strata, with the percentile interval of a stratified bootstrap.

    Each resample draws runs with replacement within each stratum, then takes the statistic over all of them.

    Args:
        strata: scores of the runs of each task; one board is one stratum.
    """
    scores = finite_strata(strata)
    estimate = iqm if statistic == "iqm" else _mean
    value = float(estimate(np.concatenate(scores)))
    if min(len(stratum) for stratum in scores) < 2:
        return Interval(value, None, None)
    if statistic == "mean" or sum(len(stratum) for stratum in scores) < 4:  # an IQM of so few is their mean
        sizes = np.array([len(stratum) for stratum in scores])
        means = np.stack([_resampled_means(stratum, index) for index, stratum in enumerate(scores)])
        return Interval(value, *_percentiles(sizes @ means / sizes.sum()))
    resampled = np.concatenate([resample(stratum, index) for index, stratum in enumerate(scores)], axis=-1)
    return Interval(value, *_percentiles(iqm(resampled)))


def relative_improvement(scores: ArrayLike, control: ArrayLike) -> Interval:
    """Relative improvement, (mean − control mean) / control mean; for its interval both sides are resampled.

    Source: Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020.

    Raises:
        ValueError: a side is empty or not finite, or the control's mean is not positive.
    """
    ours, theirs = finite_strata([scores, control])
    base = theirs.mean()
    if base <= 0:
        raise ValueError("the control's mean must be positive")
    value = float(ours.mean() / base - 1)
    if min(len(ours), len(theirs)) < 2:
        return Interval(value, None, None)
    bases = _resampled_means(theirs, 1)
    if (bases <= 0).any():
        return Interval(value, None, None)
    return Interval(value, *_percentiles(_resampled_means(ours, 0) / bases - 1))


def difference(scores: ArrayLike, others: ArrayLike) -> Interval:
    """Difference of the means of two independent groups; for its interval both are resampled."""
    ours, theirs = finite_strata([scores, others])
    value = float(ours.mean() - theirs.mean())
    if min(len(ours), len(theirs)) < 2:
        return Interval(value, None, None)
    return Interval(value, *_percentiles(_resampled_means(ours, 0) - _resampled_means(theirs, 1)))


def rank_intervals(entries: Sequence[ArrayLike]) -> list[tuple[int, int] | None]:
    """95 % bootstrap interval of each entry's rank by mean score, as best and worst rank.

    In a tie the best rank is the better and the worst rank the worse of the tied ranks. None for an entry with a single
    run, whose spread is unknown.
    """
    scores = finite_strata(entries)
    means = np.stack([_resampled_means(runs, index) for index, runs in enumerate(scores)])
    best, worst = _rank_bounds(np.round(means, 12))  # means that differ by the order of summation only are tied
    tail = (1 - CONFIDENCE) / 2
    lows = np.quantile(best, tail, axis=1, method="lower").tolist()
    highs = np.quantile(worst, 1 - tail, axis=1, method="higher").tolist()
    return [(low, high) if len(runs) > 1 else None for runs, low, high in zip(scores, lows, highs, strict=True)]


def _rank_bounds(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best and worst rank of each value in its column, rank 1 being the highest; they differ in a tie."""
    order = np.argsort(-values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    position = np.arange(1, len(values) + 1)[:, None]
    first = np.ones(values.shape, np.bool_)  # True for the first of equal values
    first[1:] = ordered[1:] != ordered[:-1]
    last = np.ones(values.shape, np.bool_)
    last[:-1] = first[1:]
    best, worst = np.empty(values.shape, np.int64), np.empty(values.shape, np.int64)
    np.put_along_axis(best, order, np.maximum.accumulate(np.where(first, position, 0), axis=0), axis=0)
    backwards = np.where(last, position, len(values))[::-1]
    np.put_along_axis(worst, order, np.minimum.accumulate(backwards, axis=0)[::-1], axis=0)
    return best, worst


def _mean(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    return np.asarray(array.sum(axis=-1) / array.shape[-1])


def finite_strata(strata: Sequence[ArrayLike]) -> list[Floats]:
    """Convert strata to arrays.

    Raises:
        ValueError: a stratum is empty or not one-dimensional, or a score is not finite.
    """
    scores = [np.asarray(stratum, np.float64) for stratum in strata]
    if not scores or any(stratum.ndim != 1 or not len(stratum) for stratum in scores):
        raise ValueError("every entry or task needs at least one run")
    if any(not np.isfinite(stratum).all() for stratum in scores):
        raise ValueError("scores must be finite")
    return scores


def resample(runs: Floats, stream: int) -> Floats:
    """Bootstrap resamples (resamples, runs) of runs, independent for each stream."""
    return runs[_draws(len(runs), stream)]


def _resampled_means(runs: Floats, stream: int) -> Floats:
    return np.asarray(weights(len(runs), stream) @ runs, np.float64)


def weights(count: int, stream: int) -> Floats:
    """Shares (resamples, runs) of each run in each resample."""
    return _few_weights(count, stream) if count <= CACHED else _weights(count, stream)


def _weights(count: int, stream: int) -> Floats:
    places = _draws(count, stream) + count * np.arange(RESAMPLES)[:, None]
    weights = np.bincount(places.ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count) / count
    weights.setflags(write=False)
    return weights


_few_weights = lru_cache(maxsize=256)(_weights)


def _draws(count: int, stream: int) -> NDArray[np.int64]:
    return np.random.default_rng([SEED, stream]).integers(count, size=(RESAMPLES, count))


def _percentiles(resampled: Floats) -> tuple[float, float]:
    """Ends of the confidence interval, by linear interpolation between order statistics."""
    tail = (1 - CONFIDENCE) / 2
    ordered = np.sort(resampled)
    low, high = (_interpolated(ordered, share * (len(ordered) - 1)) for share in (tail, 1 - tail))
    return low, high


def _interpolated(ordered: Floats, place: float) -> float:
    below = min(int(place), len(ordered) - 2)
    return float(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
