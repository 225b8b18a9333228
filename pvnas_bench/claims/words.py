"""Numbers and rules of tests in words."""

import math

from pvnas_bench.claims.definition import ClaimTest
from pvnas_bench.claims.rule import Estimate

PERCENT = ("points", "% of the box")
"""Units in which fractions are shown a hundred times as large."""


def scale(test: ClaimTest) -> float:
    """Factor from a difference to what is shown; a ratio's logarithm stays."""
    return 100.0 if not test.metric.ratio and test.metric.unit in PERCENT else 1.0


def amount(test: ClaimTest, advantage: float) -> str:
    """An advantage: a ratio, or a difference without its unit."""
    if test.metric.ratio:
        return f"{_digits(math.exp(advantage))}×"
    return f"{_signed(scale(test) * advantage)}"


def with_unit(test: ClaimTest, advantage: float) -> str:
    """An advantage with its unit."""
    unit = "" if test.metric.ratio or not test.metric.unit else f" {test.metric.unit}"
    return f"{amount(test, advantage)}{unit}"


def effect(test: ClaimTest) -> str:
    """The effect size that counts."""
    if test.metric.ratio:
        shown = f"{_digits(test.least)}×"
    else:
        number = scale(test) * test.least
        unit = test.metric.unit.removesuffix("s") if number == 1 else test.metric.unit
        shown = f"{number:g} {unit}".strip()
    if test.against is None:
        return f"at least {shown}"
    return f"better by {shown}" if test.kind == "better" else f"not worse by {shown}"


def span(test: ClaimTest, found: Estimate) -> str:
    """The interval."""
    return f"[{amount(test, found.low)}, {amount(test, found.high)}]"


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _signed(value: float) -> str:
    rounded = f"{value:+.2f}" if abs(value) < 9.995 else f"{value:+.1f}"
    return "0.00" if float(rounded) == 0 else rounded
