"""Reliability of scores: how much of their variance is the entries, and how many seeds tell two entries apart.

Sources: intraclass correlations and their intervals: Shrout & Fleiss, "Intraclass correlations: uses in assessing rater
reliability", Psychological Bulletin 1979; McGraw & Wong, Psychological Methods 1996.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from pvnas_bench.boards.statistics.ranking import kendall_tau

CONFIDENCE = 0.95
ALPHA, POWER = 0.05, 0.8
MOST_SEEDS = 10_000
SPLITS = 200
"""Random halves of the seeds whose orders are compared."""


@dataclass(frozen=True)
class Reliability:
    """Variance components of a complete table of scores (entries, seeds), by a two-way analysis without interaction.

    Seeds are blocks: an effect of a seed that all entries share is neither noise nor spread.

    Attributes:
        noise: standard deviation of one score about its entry and seed.
        seed_effect: standard deviation of the effects that all entries share.
        spread: standard deviation of the entries' true scores; 0 where the noise explains the differences.
        icc: intraclass correlation of one score, as consistency: ICC(3,1).
        icc_low, icc_high: its 95 % interval.
        icc_oneway: the same, counting effects of seeds as noise: ICC(1,1).
        f, p: test of whether entries differ at all.
    """

    entries: int
    seeds: int
    noise: float
    seed_effect: float
    spread: float
    icc: float
    icc_low: float
    icc_high: float
    icc_oneway: float
    f: float
    p: float

    def of_mean(self, scores: int) -> float:
        """Intraclass correlation of a mean of several scores (Spearman-Brown); 0 where that of one is not positive."""
        return scores * self.icc / (1 + (scores - 1) * self.icc) if self.icc > 0 else 0.0


def reliability(scores: ArrayLike) -> Reliability:
    """Analyse a table of scores.

    Args:
        scores: (entries, seeds), complete.

    Raises:
        ValueError: fewer than two entries or seeds, or a score that is not finite.
    """
    from scipy.special import fdtrc, fdtri  # imported here: it takes longer than a leaderboard

    table = np.asarray(scores, np.float64)
    n, k = table.shape
    if n < 2 or k < 2 or not np.isfinite(table).all():
        raise ValueError("reliability needs finite scores of two entries and two seeds at least")
    rows, columns = table.mean(1), table.mean(0)
    residual = table - rows[:, None] - columns[None, :] + table.mean()
    between = k * float(rows.var(ddof=1))
    of_seeds = n * float(columns.var(ddof=1))
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    within = float(((table - rows[:, None]) ** 2).sum()) / (n * (k - 1))
    degrees = (n - 1, (n - 1) * (k - 1))
    if error == 0:
        ratio, p = math.inf if between else 1.0, 0.0 if between else 1.0
    else:
        ratio = between / error
        p = float(fdtrc(*degrees, ratio))
    tail = (1 + CONFIDENCE) / 2
    low = ratio / float(fdtri(*degrees, tail))
    high = ratio * float(fdtri(*degrees[::-1], tail))
    return Reliability(
        entries=n,
        seeds=k,
        noise=math.sqrt(error),
        seed_effect=math.sqrt(max((of_seeds - error) / n, 0.0)),
        spread=math.sqrt(max((between - error) / k, 0.0)),
        icc=_icc(ratio, k),
        icc_low=_icc(low, k),
        icc_high=_icc(high, k),
        icc_oneway=_icc(between / within if within else math.inf, k),
        f=ratio,
        p=p,
    )


def _icc(ratio: float, k: int) -> float:
    return 1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + k - 1)


def power(seeds: int, difference: float, noise: float, alpha: float = ALPHA) -> float:
    """Power of a two-sided paired t-test between two entries over common seeds.

    Args:
        difference: of the entries' true scores.
        noise: standard deviation of one score about its entry and seed; that of a difference is √2 times as large.
    """
    from scipy.special import nctdtr, ndtr, stdtrit

    degrees = seeds - 1
    shift = difference / (noise * math.sqrt(2)) * math.sqrt(seeds)
    limit = float(stdtrit(degrees, 1 - alpha / 2))
    below = float(nctdtr(degrees, shift, limit))
    if math.isnan(below):  # the series fails for so large a shift, of which the statistic is about normal
        return float(ndtr(shift - limit))
    other = float(nctdtr(degrees, shift, -limit))
    return 1 - below + (0.0 if math.isnan(other) else other)


def seeds_needed(difference: float, noise: float, power_wanted: float = POWER, alpha: float = ALPHA) -> int | None:
    """Fewest common seeds with which a paired t-test finds a difference with this power; None: more than 10,000."""
    if noise == 0:
        return 2
    low, high = 1, 2
    while power(high, difference, noise, alpha) < power_wanted:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power(middle, difference, noise, alpha) < power_wanted:
            low = middle
        else:
            high = middle
    return high


def tau_between_seeds(scores: ArrayLike) -> float:
    """Kendall's τ between the orders of entries by two seeds, the mean over pairs of seeds.

    Args:
        scores: (entries, seeds); nan where missing. A pair of seeds counts if it shares three entries.
    """
    table = np.asarray(scores, np.float64)
    taus = []
    for one, other in combinations(range(table.shape[1]), 2):
        both = table[np.isfinite(table[:, [one, other]]).all(1)]
        if len(both) > 2:
            taus.append(kendall_tau(both[:, one], both[:, other]))
    return float(np.mean(taus)) if taus else math.nan


def tau_between_halves(scores: ArrayLike) -> float:
    """Kendall's τ between the orders of entries by two disjoint halves of the seeds, the mean over random halves.

    Args:
        scores: (entries, seeds), complete; with an odd number of seeds one is left out of each split.
    """
    table = np.asarray(scores, np.float64)
    half = table.shape[1] // 2
    if half == 0:
        return math.nan
    rng = np.random.default_rng(0)
    taus = []
    for _ in range(SPLITS):
        order = rng.permutation(table.shape[1])
        one, other = table[:, order[:half]].mean(1), table[:, order[half : 2 * half]].mean(1)
        taus.append(kendall_tau(one, other))
    return float(np.mean(taus))
