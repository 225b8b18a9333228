"""The plot of a claim: the paired differences of each test, their mean with its interval, and the sizes that count."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pvnas_bench.boards.plots import COLOURS, GREY, INK, clean, figure, footnote
from pvnas_bench.claims.judgement import Judged, JudgedTest, size
from pvnas_bench.claims.words import amount, scale

VERDICT_COLOURS = {"holds": COLOURS[2], "fails": COLOURS[1], "undecided": GREY}
BINS = 40
"""Places across a panel at which dots are stacked."""


def plot(judged: Judged) -> Figure:
    """Draw a panel for each test of a claim."""
    panels = [one for one in judged.tests if one.estimate is not None]
    fig = figure(7.4, 1.55 * len(panels) + 0.75)
    for axes, one in zip(fig.subplots(len(panels), 1, squeeze=False).flat, panels, strict=True):
        _panel(axes, one)
    footnote(
        fig,
        "dots: the entry's advantage with one seed, to the right better; bar: mean and interval; dashed: no effect; "
        "shaded: effects that count",
    )
    return fig


def _panel(axes: Axes, one: JudgedTest) -> None:
    test, found = one.test, one.estimate
    assert found is not None
    factor = scale(test)
    counts = size(test) if test.kind == "better" else -size(test)
    points = np.array(one.differences)
    low = min(float(points.min()), found.low, 0.0, counts)
    high = max(float(points.max()), found.high, 0.0, counts)
    margin = 0.05 * (high - low or 1.0)
    low, high = low - margin, high + margin
    places = np.clip(((points - low) / (high - low) * BINS).astype(int), 0, BINS - 1)
    heights = np.zeros(len(points))
    for place in np.unique(places):
        at = np.nonzero(places == place)[0]
        heights[at[np.argsort(points[at], kind="stable")]] = 1 + np.arange(len(at))
    heights /= heights.max()
    colour = VERDICT_COLOURS[found.verdict]
    axes.axvspan(counts * factor, high * factor, color="#e8f1ec", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.plot(points * factor, heights, "o", color="#0072B2", markersize=3, alpha=0.45, markeredgewidth=0, zorder=2)
    axes.plot([found.low * factor, found.high * factor], [-0.25, -0.25], color=colour, linewidth=3.4, zorder=3)
    axes.plot(found.mean * factor, -0.25, "D", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    axes.set_xlim(low * factor, high * factor)
    axes.set_ylim(-0.6, 1.15)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if test.metric.ratio:
        _ratio_ticks(axes, low, high)
    axes.set_xlabel(_axis(one))
    axes.set_title(f"{clean(test.title, 70)}: {found.verdict} ({amount(test, found.mean)}, n = {found.pairs})")


def _ratio_ticks(axes: Axes, low: float, high: float) -> None:
    """Label a logarithmic axis, whose unit is the natural logarithm, with ratios."""
    span = (high - low) / math.log(10)
    steps = (1, 2, 5) if span < 3 else (1,)
    every = max(1, round(span / 7))
    exponents = range(math.floor(low / math.log(10)) - 1, math.ceil(high / math.log(10)) + 2)
    values = [s * 10.0**e for e in exponents if e % every == 0 for s in steps]
    if span < 0.7:
        values = [1 + k / 10 for k in range(-9, 41)]
        while sum(low <= math.log(v) <= high for v in values) > 9:
            values = values[::2] if 1.0 in values[::2] else values[1::2]
    at = [v for v in values if low <= math.log(v) <= high]
    axes.set_xticks([math.log(v) for v in at], [f"{v:,.10g}×" for v in at])


def _axis(one: JudgedTest) -> str:
    test = one.test
    if test.against is None:
        return f"{clean(test.entry, 34)}: {clean(test.metric.words, 70)}"
    unit = "" if test.metric.ratio or not test.metric.unit else f" ({test.metric.unit})"
    return f"advantage of {clean(test.entry, 34)} over {clean(test.against, 34)}{unit}"
