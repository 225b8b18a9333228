"""Hypothesis tests for differences between entries, corrected for multiple comparisons, and groups without one.

Sources: Friedman test and Holm's procedure over pairs: Demšar, "Statistical comparisons of classifiers over multiple
data sets", JMLR 2006; signed-rank tests in place of Nemenyi's: Benavoli et al., "Should we really use post-hoc tests
based on mean-ranks?", JMLR 2016.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pvnas_bench.boards.statistics.ranking import Floats, ranks

ALPHA = 0.05
MOST_EXACT = 2500
"""Largest product of the numbers of scores for an exact Mann-Whitney test."""
MOST_PAIRS = 200
"""Largest number of differing pairs for an exact Wilcoxon test."""


def smallest_p(pairs: int) -> float:
    """Smallest possible p value of the exact two-sided Wilcoxon signed-rank test: 2 / 2^pairs."""
    return min(1.0, 2.0 / 2.0**pairs)


def pairs_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """Smallest number of pairs with which a result can be significant after Holm's correction for all comparisons."""
    pairs = 1
    while max(comparisons, 1) * smallest_p(pairs) >= alpha:
        pairs += 1
    return pairs


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p value of the Wilcoxon signed-rank test; 1 if no pair differs.

    Pairs without a difference are dropped, and equal differences share their mean rank. Up to `MOST_PAIRS` pairs the
    distribution is exact in both cases: all 2^n assignments of signs are counted, by convolution over the doubled
    ranks. Beyond that it is normal, with the variance of the ranks and half a rank of continuity.

    Raises:
        ValueError: a score is not finite.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("scores must be finite")
    difference = difference[difference != 0]
    if not len(difference):
        return 1.0
    doubled = np.rint(2 * ranks(np.abs(difference))).astype(int)  # mean ranks are multiples of 1/2
    positive = int(doubled[difference > 0].sum())
    if len(doubled) > MOST_PAIRS:
        deviation = math.sqrt(float((doubled**2).sum())) / 2
        excess = max(abs(positive - doubled.sum() / 2) - 1, 0.0)
        return math.erfc(excess / deviation / math.sqrt(2))
    share = _signed_rank_sums(tuple(sorted(doubled.tolist())))
    return min(1.0, 2 * float(min(share[: positive + 1].sum(), share[positive:].sum())))


@lru_cache(maxsize=1024)
def _signed_rank_sums(doubled: tuple[int, ...]) -> Floats:
    """Share of all sign assignments that give each sum of positive doubled ranks, from 0 on."""
    share = np.ones(1)
    for rank in doubled:
        longer = np.zeros(len(share) + rank)
        longer[: len(share)] += share / 2
        longer[rank:] += share / 2
        share = longer
    return share


def mann_whitney(greater: ArrayLike, lesser: ArrayLike) -> float:
    """One-sided p value of the Mann-Whitney test: are the first scores stochastically greater than the second?

    Equal scores share their mean rank. Up to `MOST_EXACT` products of both numbers the permutation distribution of the
    rank sum is exact, ties included; beyond that it is normal, with the variance of the ranks and half a rank of
    continuity. 1 if all scores are equal or a side is empty.

    Raises:
        ValueError: a score is not finite.
    """
    first, second = np.asarray(greater, np.float64), np.asarray(lesser, np.float64)
    scores = np.concatenate([first, second])
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    n, total = len(first), len(scores)
    if not n or n == total or (scores == scores[0]).all():
        return 1.0
    ranked = ranks(scores)
    if n * (total - n) <= MOST_EXACT:
        doubled = np.rint(2 * ranked).astype(int)  # mean ranks are multiples of 1/2
        share = _rank_sums(tuple(sorted(doubled.tolist())), n)
        return min(1.0, float(share[int(doubled[:n].sum()) :].sum()))
    deviation = math.sqrt(n * (total - n) / total * float(ranked.var(ddof=1)))
    excess = float(ranked[:n].sum()) - n * (total + 1) / 2 - 0.5
    return math.erfc(excess / deviation / math.sqrt(2)) / 2


@lru_cache(maxsize=64)
def _rank_sums(doubled: tuple[int, ...], chosen: int) -> Floats:
    """Share of all choices of so many doubled ranks that have each sum, from 0 on."""
    share = np.zeros((chosen + 1, sum(doubled[-chosen:]) + 1))  # by number chosen and sum; rows are probabilities
    share[0, 0] = 1.0
    for seen, rank in enumerate(doubled):
        for k in range(min(seen + 1, chosen), 0, -1):
            taken = k / (seen + 1)  # C(seen, k-1) / C(seen+1, k)
            share[k] *= 1 - taken
            share[k, rank:] += taken * share[k - 1, : share.shape[1] - rank]
    return np.asarray(share[chosen])


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p values by Holm's step-down procedure; rejecting below alpha has the family-wise error rate alpha."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


@dataclass(frozen=True)
class Friedman:
    """Result of Friedman's test of the hypothesis that all entries are equal."""

    statistic: float
    p: float
    mean_ranks: tuple[float, ...]
    """Mean rank of each entry; rank 1 is the highest score."""


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's chi-square test, corrected for ties.

    Args:
        scores: scores (blocks, entries). A block is a task, never a seed.

    Raises:
        ValueError: there are fewer than two blocks or three entries.
    """
    table = np.asarray(scores, np.float64)
    blocks, entries = table.shape
    if blocks < 2 or entries < 3:
        raise ValueError("Friedman's test needs at least two blocks and three entries")
    from scipy.special import chdtrc  # imported here, since it takes longer than a leaderboard

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
    """Wilcoxon tests between all pairs of entries over their shared blocks, with Holm's adjustment.

    Args:
        columns: score of each entry by block (a seed within one board, a task across boards).

    Returns:
        Symmetric matrices of adjusted p values and of numbers of shared blocks.
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
    """Group entries that do not differ significantly from the best of their group.

    The first entry opens group 1; an entry that differs significantly from the best of the current group opens the next
    one.

    Args:
        adjusted: adjusted p values between the entries, in the order of the board.

    Returns:
        Number of each entry's group.
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
    """Bars of a critical-difference diagram: maximal ranges of entries without a significant difference.

    Args:
        adjusted: adjusted p values between the entries, in the order of their mean ranks.

    Returns:
        First and last entry of each range; ranges of one entry are left out.
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
