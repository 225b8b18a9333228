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

The intervals are Student's, and half of the declared error rate is at each end. Two entries that are alike have
differences that are symmetric about zero, for which these intervals keep their rate with ten pairs and with any tails;
where a true effect makes the differences skewed, the other half is the margin, which suffices from 30 pairs on.
Bootstrap intervals (percentile, BCa) err at the same ends two to four times as often as they say with 10 to 30 pairs:
`tests/claims/test_rule.py` measures both.

A metric that ends with the budget is censored there. Its mean is one of restricted values, and a verdict is withheld
where more than a fifth of the runs of the side that it favours are censored: a holding claim's entry, a failing claim's
competitor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
        mean, low, high: mean advantage and its interval.
        deviation: standard deviation of the differences.
        p: p value, one-sided, of no effect (`better`) or of an entry worse by δ (`no_worse`).
        verdict: of the test.
        reason: why the verdict is withheld, if it is for another reason than the interval.
        power: probability to find the effect that counts with so many pairs of this deviation.
        seeds: pairs that a decision takes with the wanted power; None: more than 10,000.
    """

    pairs: int
    mean: float
    low: float
    high: float
    deviation: float
    p: float
    verdict: Verdict
    power: float
    seeds: int | None
    reason: str = ""


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
    pairs, mean, deviation = len(values), float(values.mean()), float(values.std(ddof=1))
    low, high = interval(values, error / 2, error / 2 / tests)
    null = 0.0 if kind == "better" else -least
    verdict = decide(low, high, least, kind)
    reason = ""
    if verdict == "holds" and censored[0] > CENSORED:
        verdict, reason = (
            "undecided",
            f"{100 * censored[0]:.0f} % of the entry's runs end before the quality is reached",
        )
    elif verdict == "fails" and censored[1] > CENSORED:
        verdict, reason = "undecided", f"{100 * censored[1]:.0f} % of the other runs end before the quality is reached"
    noise = deviation / math.sqrt(2)  # of a single score, as these functions count it
    reach = 1.0 if deviation == 0 else power_of(pairs, least, noise, error)
    wanted = seeds_needed(least, noise, power, error)
    if verdict == "undecided" and wanted is not None and wanted <= pairs:
        apart = max(abs(mean - null), abs(least - mean) if kind == "better" else 0.0)
        wanted = seeds_needed(apart, noise, power, error) if apart > 0 else None
    return Estimate(pairs, mean, low, high, deviation, _p(values, null), verdict, reach, wanted, reason)


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


def interval(values: Sequence[float] | np.ndarray, below: float, above: float) -> tuple[float, float]:
    """Student's t interval of a mean; a single point if all values are equal.

    Args:
        below, above: probabilities that the mean is below or above it.
    """
    from scipy.stats import ttest_1samp

    array = np.asarray(values, np.float64)
    if float(np.ptp(array)) == 0:
        return float(array[0]), float(array[0])
    test = ttest_1samp(array, 0.0)
    low = test.confidence_interval(1 - 2 * below).low
    return float(low), float(test.confidence_interval(1 - 2 * above).high)


def _p(values: np.ndarray, null: float) -> float:
    from scipy.stats import ttest_1samp

    if float(np.ptp(values)) == 0:
        return 0.0 if values[0] > null else 1.0
    return float(ttest_1samp(values, null, alternative="greater").pvalue)
