"""The decision rule: paired differences to a verdict, by confidence intervals of their mean.

Differences are advantages of the entry, oriented so that more is better; of a ratio they are logarithms. δ is the
effect size that counts, [L, U] the interval of the mean.

A test of kind `better` asks for an advantage of δ. It

- holds if L > 0 and U ≥ δ: no effect is excluded, and the size that counts is not;
- fails if U < δ: the size that counts is excluded, even if some effect is there;
- is undecided otherwise.

So a true effect of δ is found with the power of a test against zero. A rule that asks for L ≥ δ would find it with the
probability of an error only, and one that asks for a mean of δ half of the time. Between zero and δ the verdict goes to
`fails` as seeds are added.

A test of kind `no_worse` asks that the entry is not worse by δ: it holds if L > -δ, and fails if U < -δ.

A claim holds if all its tests hold, fails if one fails, and is undecided otherwise. The lower ends of the intervals
need no correction for several tests, as a claim that holds is an intersection of them (Berger, Technometrics 1982); the
upper ends have their error rate divided by the number of tests (Bonferroni).

The intervals are Student's, each end moved outwards to that of Johnson's correction for skewness (JASA 1978) where that
is further out. Half of the declared error rate is at each end. Two entries that are alike have differences symmetric
about zero, for which an end keeps its half with ten pairs and with any tails; where a true effect makes the differences
skewed, the other half is the margin, which suffices from 30 pairs on. Bootstrap intervals (percentile, BCa) and
Johnson's alone err two to four times as often as they say with 10 to 30 pairs. The rates are in
`tests/claims/test_rule.py`.

A metric that ends with the budget is censored there. Its mean is one of restricted values, and a verdict is withheld
where more than a fifth of the runs of the side that it favours are censored: a holding claim's entry, a failing claim's
competitor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from pvnas_bench.boards.statistics import power as power_of
from pvnas_bench.boards.statistics import seeds_needed

Verdict = Literal["holds", "fails", "undecided"]
Kind = Literal["better", "no_worse"]
CENSORED = 0.2
"""Largest share of censored runs of a side for a verdict in that side's favour."""


@dataclass(frozen=True)
class Estimate:
    """Mean of paired differences and the verdict.

    Attributes:
        pairs: number of pairs.
        mean, low, high: mean advantage and its interval.
        deviation: standard deviation of the differences.
        p: p value, one-sided, of no effect (`better`) or of an entry worse by δ (`no_worse`).
        verdict: of the test.
        reason: why the verdict is withheld, if it is for another reason than the interval.
        least, kind: δ, and the kind of the test.
        error, wanted: declared error rate and power.
    """

    pairs: int
    mean: float
    low: float
    high: float
    deviation: float
    p: float
    verdict: Verdict
    reason: str
    least: float
    kind: Kind
    error: float
    wanted: float

    @cached_property
    def power(self) -> float:
        """Probability to find the effect that counts with so many pairs of this deviation."""
        return 1.0 if self.deviation == 0 else power_of(self.pairs, self.least, self._noise, self.error)

    @cached_property
    def seeds(self) -> int | None:
        """Pairs that find the effect that counts with the wanted power; None: more than 10,000.

        Where there are as many already, those that tell the mean from the nearer size that would decide.
        """
        needed = seeds_needed(self.least, self._noise, self.wanted, self.error)
        if needed is None or needed > self.pairs:
            return needed
        null = 0.0 if self.kind == "better" else -self.least
        apart = max(abs(self.mean - null), abs(self.least - self.mean) if self.kind == "better" else 0.0)
        return seeds_needed(apart, self._noise, self.wanted, self.error) if apart > 0 else None

    @property
    def _noise(self) -> float:
        """Standard deviation of a single score, as functions of boards count it."""
        return self.deviation / math.sqrt(2)


def estimate(
    differences: Sequence[float],
    least: float,
    kind: Kind,
    *,
    error: float,
    power: float,
    tests: int = 1,
    censored: tuple[float, float] = (0.0, 0.0),
) -> Estimate:
    """Judge the differences of one test.

    Args:
        differences: advantage of the entry in each pair, at least two.
        least: δ.
        error, power: declared rates.
        tests: number of tests of the claim.
        censored: shares of censored runs of the entry and of what it is compared with.
    """
    values = np.asarray(differences, np.float64)
    low, high = interval(values, error / 2, error / 2 / tests)
    verdict, reason = decide(low, high, least, kind), ""
    if verdict == "holds" and censored[0] > CENSORED:
        verdict, reason = (
            "undecided",
            f"{100 * censored[0]:.0f} % of the entry's runs end before the quality is reached",
        )
    elif verdict == "fails" and censored[1] > CENSORED:
        verdict, reason = "undecided", f"{100 * censored[1]:.0f} % of the other runs end before the quality is reached"
    return Estimate(
        pairs=len(values),
        mean=float(values.mean()),
        low=low,
        high=high,
        deviation=float(values.std(ddof=1)),
        p=p_value(values, 0.0 if kind == "better" else -least),
        verdict=verdict,
        reason=reason,
        least=least,
        kind=kind,
        error=error,
        wanted=power,
    )


def decide(low: float, high: float, least: float, kind: Kind) -> Verdict:
    """The verdict of an interval, see the module's docstring."""
    if kind == "no_worse":
        return "holds" if low > -least else "fails" if high < -least else "undecided"
    return "fails" if high < least else "holds" if low > 0 else "undecided"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a claim from those of its tests."""
    if "fails" in verdicts:
        return "fails"
    return "holds" if set(verdicts) == {"holds"} else "undecided"


def interval(values: ArrayLike, below: float, above: float) -> tuple[float, float]:
    """Interval of a mean, Student's or wider by skewness; a single point if all values are equal.

    Args:
        values: at least two.
        below, above: probabilities that the mean is below or above it.
    """
    array = np.asarray(values, np.float64)
    count, mean, deviation = len(array), float(array.mean()), float(array.std(ddof=1))
    if deviation == 0:
        return mean, mean
    skewness = float(((array - mean) ** 3).mean()) / deviation**3

    def end(tail: float, sign: int) -> float:
        limit = -float(stdtrit(count - 1, tail))
        student = mean + sign * limit * deviation / math.sqrt(count)
        shift = skewness * deviation * (1 + 2 * limit**2) / (6 * count)
        return student + (max(shift, 0.0) if sign > 0 else min(shift, 0.0))

    return end(below, -1), end(above, 1)


def p_value(values: ArrayLike, null: float) -> float:
    """One-sided p value of a mean of at most `null`, by Student's t."""
    array = np.asarray(values, np.float64)
    deviation = float(array.std(ddof=1))
    if deviation == 0:
        return 0.0 if array[0] > null else 1.0
    return float(stdtr(len(array) - 1, -(array.mean() - null) / deviation * math.sqrt(len(array))))
