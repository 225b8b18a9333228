"""The statistics of leaderboards and plots: numpy only where a leaderboard needs them, and never torch.

Everything here is a pure function. What resamples draws from a generator of its own with a fixed seed, so that
a table rebuilt from the same records is the same table. Scores are fractions, larger is better.

Sources: IQM, stratified bootstrap and performance profiles: Agarwal et al., "Deep reinforcement learning at the
edge of the statistical precipice", NeurIPS 2021. Friedman test and Holm's procedure over pairs: Demšar,
"Statistical comparisons of classifiers over multiple data sets", JMLR 2006; signed-rank tests in place of
Nemenyi's: Benavoli et al., "Should we really use post-hoc tests based on mean-ranks?", JMLR 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
CONFIDENCE = 0.95
RESAMPLES = 1000
SEED = 20110826
"""Of every resampling here. The value has no meaning; that it is fixed makes tables byte-identical."""

Floats = NDArray[np.float64]
Statistic = Literal["mean", "iqm"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; the ends are None where a stratum has a single run."""

    value: float
    low: float | None
    high: float | None


def iqm(values: ArrayLike) -> Floats:
    """Interquartile mean over the last axis: the mean without the lowest and highest quarter.

    As many values are dropped at each end as a quarter holds whole ones, so three values keep all three and
    five keep three (`scipy.stats.trim_mean(values, 0.25)`).
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=-1)
    cut = ordered.shape[-1] // 4
    return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1))


def bootstrap(strata: Sequence[ArrayLike], statistic: Statistic = "mean") -> Interval:
    """A statistic over all runs of all strata, with its percentile interval from a stratified bootstrap.

    Each resample draws every stratum's runs anew from that stratum, then takes the statistic over all of them.

    Args:
        strata: the scores of one task's runs each; one board is one stratum.
    """
    scores = _finite_strata(strata)
    estimate = iqm if statistic == "iqm" else _mean
    value = float(estimate(np.concatenate(scores)))
    if min(len(stratum) for stratum in scores) < 2:
        return Interval(value, None, None)
    if statistic == "mean" or sum(len(stratum) for stratum in scores) < 4:  # an IQM of so few is their mean
        sizes = np.array([len(stratum) for stratum in scores])
        means = np.stack([_resampled_means(stratum, index) for index, stratum in enumerate(scores)])
        return Interval(value, *_percentiles(sizes @ means / sizes.sum()))
    resampled = np.concatenate([_resample(stratum, index) for index, stratum in enumerate(scores)], axis=-1)
    return Interval(value, *_percentiles(iqm(resampled)))


def relative_improvement(scores: ArrayLike, control: ArrayLike) -> Interval:
    """(mean − control mean) / control mean, with a percentile interval in which both sides are resampled.

    Source: Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020.

    Raises:
        ValueError: a side is empty or not finite, or the control's mean is not positive.
    """
    ours, theirs = _finite_strata([scores, control])
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


def rank_intervals(entries: Sequence[ArrayLike]) -> list[tuple[int, int] | None]:
    """The best and the worst rank that each entry's mean takes in 95 % of the bootstrap resamples of all entries.

    A tie counts as the better rank for the best and as the worse one for the worst. None for an entry with a
    single run: nothing is known of its spread.
    """
    scores = _finite_strata(entries)
    means = np.stack([_resampled_means(runs, index) for index, runs in enumerate(scores)])
    best, worst = _rank_bounds(np.round(means, 12))  # equal but for the order of summation: a tie
    tail = (1 - CONFIDENCE) / 2
    lows = np.quantile(best, tail, axis=1, method="lower").tolist()
    highs = np.quantile(worst, 1 - tail, axis=1, method="higher").tolist()
    return [(low, high) if len(runs) > 1 else None for runs, low, high in zip(scores, lows, highs, strict=True)]


def _rank_bounds(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The best and the worst rank of each value within its column, highest value first; they differ in a tie."""
    order = np.argsort(-values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    position = np.arange(1, len(values) + 1)[:, None]
    first = np.ones(values.shape, np.bool_)  # of the values that are equal to it
    first[1:] = ordered[1:] != ordered[:-1]
    last = np.ones(values.shape, np.bool_)
    last[:-1] = first[1:]
    best, worst = np.empty(values.shape, np.int64), np.empty(values.shape, np.int64)
    np.put_along_axis(best, order, np.maximum.accumulate(np.where(first, position, 0), axis=0), axis=0)
    backwards = np.where(last, position, len(values))[::-1]
    np.put_along_axis(worst, order, np.minimum.accumulate(backwards, axis=0)[::-1], axis=0)
    return best, worst


def smallest_p(pairs: int) -> float:
    """The smallest p value that the exact two-sided Wilcoxon signed-rank test can give: 2 / 2^pairs."""
    return min(1.0, 2.0 / 2.0**pairs)


def pairs_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """With fewer pairs than this no outcome is significant after Holm's correction for so many comparisons."""
    pairs = 1
    while max(comparisons, 1) * smallest_p(pairs) >= alpha:
        pairs += 1
    return pairs


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p value of the exact Wilcoxon signed-rank test; 1 where no pair differs.

    Pairs without a difference are dropped and equal differences share their mean rank; the distribution is
    exact in either case: all 2^n assignments of signs are counted, by convolution over the doubled ranks.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("scores must be finite")
    difference = difference[difference != 0]
    if not len(difference):
        return 1.0
    doubled = np.rint(2 * ranks(np.abs(difference))).astype(int)  # midranks are halves
    share = _signed_rank_sums(tuple(sorted(doubled.tolist())))
    positive = int(doubled[difference > 0].sum())
    return min(1.0, 2 * float(min(share[: positive + 1].sum(), share[positive:].sum())))


@lru_cache(maxsize=1024)
def _signed_rank_sums(doubled: tuple[int, ...]) -> Floats:
    """Of each sum of positive doubled ranks, from 0: the share of all sign assignments that give it."""
    share = np.ones(1)
    for rank in doubled:
        longer = np.zeros(len(share) + rank)
        longer[: len(share)] += share / 2
        longer[rank:] += share / 2
        share = longer
    return share


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjustment: reject where the adjusted value is below alpha, family-wise error alpha."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def ranks(values: ArrayLike) -> Floats:
    """Ranks from 1, smallest first; equal values share their mean rank."""
    array = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)


@dataclass(frozen=True)
class Friedman:
    """Friedman's test: do the entries differ at all over the blocks."""

    statistic: float
    p: float
    mean_ranks: tuple[float, ...]
    """Rank 1 is the highest score."""


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's chi-square test, corrected for ties.

    Args:
        scores: (blocks, entries), at least two blocks and three entries. A block is a task, never a seed.
    """
    table = np.asarray(scores, np.float64)
    blocks, entries = table.shape
    if blocks < 2 or entries < 3:
        raise ValueError("Friedman's test needs at least two blocks and three entries")
    from scipy.special import chdtrc  # imported here: it takes longer than a leaderboard

    ranked = np.stack([ranks(-row) for row in table])
    ties = sum(float((counts**3 - counts).sum()) for counts in (np.unique(row, return_counts=True)[1] for row in table))
    correction = 1 - ties / (blocks * entries * (entries**2 - 1))
    mean_ranks = ranked.mean(axis=0)
    if correction == 0:  # all equal in every block
        return Friedman(0.0, 1.0, tuple(mean_ranks.tolist()))
    spread = float(((mean_ranks - (entries + 1) / 2) ** 2).sum())
    statistic = 12 * blocks / (entries * (entries + 1)) * spread / correction
    return Friedman(statistic, float(chdtrc(entries - 1, statistic)), tuple(mean_ranks.tolist()))


def pairwise(columns: Sequence[dict[int, float]]) -> tuple[Floats, NDArray[np.int64]]:
    """Wilcoxon tests between all entries over the blocks that each two share, adjusted by Holm over all pairs.

    Args:
        columns: of each entry, its score in each block (a seed within one board, a task across boards).

    Returns:
        The symmetric matrices of adjusted p values and of shared blocks.
    """
    size = len(columns)
    adjusted = np.ones((size, size))
    shared = np.zeros((size, size), np.int64)
    upper = [(i, j) for i in range(size) for j in range(i + 1, size)]
    p_values = []
    for i, j in upper:
        blocks = sorted(columns[i].keys() & columns[j].keys())
        shared[i, j] = shared[j, i] = len(blocks)
        p_values.append(wilcoxon([columns[i][b] for b in blocks], [columns[j][b] for b in blocks]))
    for (i, j), p in zip(upper, holm(p_values), strict=True):
        adjusted[i, j] = adjusted[j, i] = p
    return adjusted, shared


def tie_groups(adjusted: ArrayLike, alpha: float = ALPHA) -> list[int]:
    """Groups of entries, best first, that cannot be told from the best of their group.

    The first entry opens group 1; an entry that differs significantly from the best of the current group
    opens the next one.

    Args:
        adjusted: p values between the entries, in the order of the board.
    """
    p = np.asarray(adjusted, np.float64)
    groups: list[int] = []
    head = 0
    for index in range(len(p)):
        if index and p[head, index] < alpha:
            head = index
            groups.append(groups[-1] + 1)
        else:
            groups.append(groups[-1] if groups else 1)
    return groups


def cliques(adjusted: ArrayLike, alpha: float = ALPHA) -> list[tuple[int, int]]:
    """The bars of a critical-difference diagram: maximal runs (first, last) of entries, in the order of their mean
    ranks, of which no two differ significantly. Runs of one entry are left out.
    """
    p = np.asarray(adjusted, np.float64)
    bars: list[tuple[int, int]] = []
    for first in range(len(p)):
        last = first
        while last + 1 < len(p) and (p[first : last + 1, last + 1] >= alpha).all():
            last += 1
        if last > first and not (bars and bars[-1][1] >= last):
            bars.append((first, last))
    return bars


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's τ-b; nan where one side does not vary."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    upper = np.triu_indices(len(x), 1)
    dx = np.sign(x[:, None] - x[None, :])[upper]
    dy = np.sign(y[:, None] - y[None, :])[upper]
    scale = float(np.sqrt(np.abs(dx).sum() * np.abs(dy).sum()))
    return float((dx * dy).sum()) / scale if scale else float("nan")


def step_values(costs: ArrayLike, values: ArrayLike, grid: ArrayLike) -> Floats:
    """A step function on a grid: at each point the value at the last cost that is not beyond it.

    Nothing is interpolated: an incumbent stands until the next one is reported. nan before the first cost.

    Args:
        costs: in ascending order.
    """
    steps = np.asarray(costs, np.float64)
    if (np.diff(steps) < 0).any():
        raise ValueError("costs must ascend")
    index = np.searchsorted(steps, np.asarray(grid, np.float64), side="right") - 1
    padded = np.concatenate([[np.nan], np.asarray(values, np.float64)])
    return np.asarray(padded[index + 1], np.float64)


def mean_band(curves: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Mean curve over runs with its pointwise 95 % bootstrap band.

    Args:
        curves: (runs, points). A point that is nan in any run is nan in all three results; with a single run
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
        low[known], high[known] = np.quantile(_weights(len(table), 0) @ table[:, known], [tail, 1 - tail], axis=0)
    return mean, low, high


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Share of runs whose score is above each threshold, averaged over tasks, with its 95 % bootstrap band.

    Args:
        strata: the scores of one task's runs each.

    Returns:
        The profile and the band's lower and upper edge, one value per threshold; the band is nan where a task
        has a single run.
    """
    scores = _finite_strata(strata)
    limits = np.asarray(thresholds, np.float64)

    def share(runs: Floats) -> Floats:  # (..., runs) -> (..., thresholds)
        return np.asarray((runs[..., None] > limits).mean(axis=-2))

    profile = np.mean([share(runs) for runs in scores], axis=0)
    if min(len(runs) for runs in scores) < 2:
        return profile, np.full_like(profile, np.nan), np.full_like(profile, np.nan)
    total = np.zeros((RESAMPLES, len(limits)))
    for index, runs in enumerate(scores):
        total += share(_resample(runs, index))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(total / len(scores), [tail, 1 - tail], axis=0)
    return profile, low, high


def nondominated(macs: ArrayLike, scores: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other has both fewer MACs and a higher score than (one of them strictly)."""
    cost, score = np.asarray(macs, np.float64), np.asarray(scores, np.float64)
    fewer, higher = (
        np.subtract.outer(cost, cost),
        np.subtract.outer(score, score),
    )
    dominated = (fewer >= 0) & (higher <= 0) & ((fewer > 0) | (higher < 0))
    return np.asarray(~dominated.any(axis=1), np.bool_)


def hypervolume(macs: ArrayLike, scores: ArrayLike, reference_macs: float, reference_score: float) -> float:
    """Share of the box between the reference point (most MACs, least score) and (0 MACs, score 1) that is
    dominated by the points: 0 where none is better than the reference point, 1 at most.
    """
    from moocore import hypervolume as volume

    if reference_macs <= 0 or not 0 <= reference_score < 1:
        raise ValueError("the reference point needs positive MACs and a score in [0, 1)")
    points = np.column_stack([np.asarray(macs, np.float64), -np.asarray(scores, np.float64)])
    if not len(points):
        return 0.0
    return float(volume(points, ref=[reference_macs, -reference_score])) / (reference_macs * (1 - reference_score))


def attainment(fronts: Sequence[tuple[ArrayLike, ArrayLike]], percentile: float) -> tuple[Floats, Floats]:
    """The attainment surface: the front that so many per cent of the runs attain (Fonseca and Fleming).

    Args:
        fronts: of each run, MACs and scores of its points.

    Returns:
        MACs, ascending, and scores of the surface's corners.
    """
    from moocore import eaf

    points = [np.column_stack([np.asarray(m, np.float64), -np.asarray(s, np.float64)]) for m, s in fronts]
    sets = np.concatenate([np.full(len(run), index + 1) for index, run in enumerate(points)])
    surface = np.asarray(eaf(np.concatenate(points), sets, percentiles=[percentile]), np.float64)
    surface = surface[np.argsort(surface[:, 0], kind="stable")]
    return surface[:, 0], -surface[:, 1]


def _mean(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    return np.asarray(array.sum(axis=-1) / array.shape[-1])


def _finite_strata(strata: Sequence[ArrayLike]) -> list[Floats]:
    scores = [np.asarray(stratum, np.float64) for stratum in strata]
    if not scores or any(stratum.ndim != 1 or not len(stratum) for stratum in scores):
        raise ValueError("needs at least one run of every entry or task")
    if any(not np.isfinite(stratum).all() for stratum in scores):
        raise ValueError("scores must be finite")
    return scores


def _resample(runs: Floats, stream: int) -> Floats:
    """(resamples, runs): the runs redrawn from themselves, independently for each stream."""
    return runs[_draws(len(runs), stream)]


def _resampled_means(runs: Floats, stream: int) -> Floats:
    return np.asarray(_weights(len(runs), stream) @ runs, np.float64)


@lru_cache(maxsize=256)
def _weights(count: int, stream: int) -> Floats:
    """(resamples, runs): the share of each resample that each run has."""
    drawn = _draws(count, stream)
    weights = np.stack([(drawn == run).mean(axis=1) for run in range(count)], axis=1)
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=256)
def _draws(count: int, stream: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng([SEED, stream]).integers(count, size=(RESAMPLES, count))
    drawn.setflags(write=False)
    return drawn


def _percentiles(resampled: Floats) -> tuple[float, float]:
    """The ends of the confidence interval, by linear interpolation between order statistics."""
    tail = (1 - CONFIDENCE) / 2
    ordered = np.sort(resampled)
    low, high = (_interpolated(ordered, share * (len(ordered) - 1)) for share in (tail, 1 - tail))
    return low, high


def _interpolated(ordered: Floats, place: float) -> float:
    below = min(int(place), len(ordered) - 2)
    return float(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
