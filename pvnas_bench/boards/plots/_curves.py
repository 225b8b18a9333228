"""Anytime curves and performance profiles: step functions, never interpolated."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pvnas_bench.boards import leaderboard, statistics
from pvnas_bench.boards.plots._boards import Entry, Runs
from pvnas_bench.boards.plots._style import FAINT, clean, end_labels, figure, footnote
from pvnas_bench.boards.trajectories import Axis, Curve, Measure, mean_curve, reported
from pvnas_bench.records import Record
from pvnas_bench.system.text import counted

AXES: dict[Axis, str] = {
    "cost": "search cost (reference trainings)",
    "wall": "search time (wall seconds)",
    "step": "steps of the strategy",
}

MOST_BANDS = 8
"""Largest number of searches with bands; more would hide the curves."""

MOST_CURVES = 14
"""Largest number of curves on one panel; of more, each panel has `MOST_BANDS`."""

COLUMNS = 2
"""Panels a row."""


def anytime(runs: Runs, axis: Axis = "cost") -> Figure | str:
    """Draw the incumbent's search-val accuracy against cost: mean over seeds, with 95 % bootstrap bands.

    More than `MOST_CURVES` are divided over panels; more than `MOST_BANDS` searches on one panel have no bands.

    Returns:
        The figure, or the reason why there is none.
    """
    return _against(
        runs,
        axis,
        reported,
        label="incumbent's top-1 on search-val (%)",
        note="each strategy's own measurement, steps as reported; mean over seeds",
        missing="no such measurement",
        reason="no run measured the accuracy of its incumbent during the search (val_top1)",
    )


def incumbents(runs: Runs, axis: Axis = "cost", truth: Measure | None = None) -> Figure | str:
    """Draw the incumbent's test accuracy by a table, or its surrogate, against cost, as `anytime` does.

    All strategies are on one scale, those that measure no accuracy during the search too.

    Args:
        truth: tells the accuracies; None: there are none.

    Returns:
        The figure, or the reason why there is none.
    """
    reason = "no table of the runs' space, data set and protocol tells the accuracy of their incumbents"
    if truth is None:
        return reason
    return _against(
        runs,
        axis,
        truth,
        label="incumbent's test top-1 by the table (%)",
        note="by the table of the space and the data set, in a large space by its surrogate; mean over seeds",
        missing="unknown to the table",
        reason=reason,
    )


def _against(
    runs: Runs, axis: Axis, measure: Measure, *, label: str, note: str, missing: str, reason: str
) -> Figure | str:
    """Draw the mean curve of each entry, a few on each panel, the best on the first."""
    curves: list[tuple[Entry, Curve]] = []
    unknown: list[str] = []
    for entry in runs.entries:
        mean = mean_curve(entry.completed, axis, measure=measure)
        if mean is not None:
            curves.append((entry, mean))
        elif entry.row.role == "search":
            unknown.append(clean(entry.row.entry))
    if not curves:
        return reason
    fig, panels = _panels(curves)
    banded = len(panels) > 1 or _banded([entry for entry, _ in curves])
    for axes, own in panels:
        names = {entry.row.entry for entry, _ in own}
        for entry, mean in curves:
            if entry.row.entry in names:
                _draw(axes, entry, mean, banded)
            else:
                axes.step(mean.at, 100 * mean.mean, where="post", color=FAINT, linewidth=0.7, zorder=1)
    right = max(float(mean.at[-1]) for _, mean in curves)
    for number, (axes, _) in enumerate(panels):
        _extend(axes, right)
        axes.tick_params(labelbottom=True)
        if number % COLUMNS == 0:
            axes.set_ylabel(label)
        if number >= len(panels) - COLUMNS:
            axes.set_xlabel(AXES[axis])
    panels[0][0].set_title(clean(runs.board.title, 90))
    note += " with 95 % bootstrap bands" if banded else "; no bands: too many searches"
    note += "; grey: the curves of the other panels" if len(panels) > 1 else ""
    footnote(fig, f"{note}\n{missing}: {', '.join(unknown)}" if unknown else note)
    for axes, own in panels:
        end_labels(axes, [(100 * float(mean.mean[-1]), _named(entry, mean), entry.look.colour) for entry, mean in own])
    return fig


def _panels(curves: Sequence[tuple[Entry, Curve]]) -> tuple[Figure, list[tuple[Axes, list[tuple[Entry, Curve]]]]]:
    """Make a figure of one panel, or of many curves one with `COLUMNS` panels a row; and say which curves each has."""
    if len(curves) <= MOST_CURVES:
        fig = figure(8.2, max(4.2, 0.24 * len(curves) + 1.6))
        return fig, [(fig.subplots(), list(curves))]
    owned = [list(curves[first : first + MOST_BANDS]) for first in range(0, len(curves), MOST_BANDS)]
    rows = math.ceil(len(owned) / COLUMNS)
    fig = figure(6.5 * COLUMNS, 3.9 * rows)
    grid = list(fig.subplots(rows, COLUMNS, sharex=True, sharey=True).flat)
    for axes in grid[len(owned) :]:
        axes.set_visible(False)
    return fig, list(zip(grid, owned, strict=False))


def _draw(axes: Axes, entry: Entry, mean: Curve, banded: bool) -> None:
    """Draw the mean curve of an entry, some markers on it, and its band if asked."""
    look = entry.look
    at, top1, low, high = mean.at, 100 * mean.mean, 100 * mean.low, 100 * mean.high
    axes.step(at, top1, where="post", color=look.colour, linestyle=look.dash, linewidth=1.6, zorder=3)
    known = (~np.isnan(low)).tolist()
    if banded and any(known):
        axes.fill_between(at, low, high, step="post", where=known, color=look.colour, alpha=0.1, linewidth=0)
    marked = np.unique(np.linspace(0, len(at) - 1, 7).astype(int))
    axes.plot(
        at[marked],
        top1[marked],
        linestyle="none",
        marker=look.marker,
        color=look.colour,
        markerfacecolor=look.face,
        markersize=4.5,
        zorder=4,
    )


def _named(entry: Entry, mean: Curve) -> str:
    """The name of an entry, and how many seeds its curve has where some are left out."""
    count = f" ({mean.seeds} of {entry.row.seeds} seeds)" if mean.seeds != entry.row.seeds else ""
    return f"{clean(entry.row.entry)}{count}"


def _banded(entries: Sequence[Entry]) -> bool:
    return sum(entry.row.role == "search" for entry in entries) <= MOST_BANDS


def _extend(axes: Axes, right: float) -> None:
    """Extend each curve beyond x = right to the edge, since an incumbent holds until the end of the search."""
    axes.set_xlim(left=min(0.0, axes.dataLim.x0), right=right * 1.02 or 1.0)
    for line in list(axes.lines):
        if line.get_drawstyle() == "steps-post":
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            line.set_data(np.append(x, right * 1.02), np.append(y, y[-1]))


def profiles(runs: Runs) -> Figure | str:
    """Draw performance profiles: the share of runs whose test accuracy is above each threshold.

    Returns:
        The figure, or the reason why there is none.
    """
    entries = [entry for entry in runs.entries if entry.completed]
    if not entries:
        return "no run has a test score"
    scores = [np.array(sorted(_top1(run) for run in entry.completed)) for entry in entries]
    values = np.unique(np.concatenate(scores))
    margin = max(0.02, 0.06 * float(values[-1] - values[0]))
    grid = np.concatenate([[values[0] - margin], values, [values[-1] + margin]])
    fig = figure(8.2, max(4.2, 0.2 * len(entries) + 1.6))
    axes = fig.subplots()
    banded = _banded(runs.entries)
    for entry, runs_of_entry in zip(entries, scores, strict=True):
        profile, low, high = statistics.performance_profile([runs_of_entry], grid)
        look = entry.look
        axes.step(grid * 100, profile, where="post", color=look.colour, linestyle=look.dash, linewidth=1.6)
        if banded and not np.isnan(low).any():
            axes.fill_between(grid * 100, low, high, step="post", color=look.colour, alpha=0.10, linewidth=0)
        middle = (
            float(np.median(runs_of_entry)),
            float((runs_of_entry >= np.median(runs_of_entry)).mean()),
        )
        axes.plot(
            middle[0] * 100,
            middle[1],
            marker=look.marker,
            color=look.colour,
            markerfacecolor=look.face,
            markersize=6,
            linestyle=look.dash,
            label=f"{clean(entry.row.entry)} ({counted(len(runs_of_entry), 'run')})",
            zorder=5,
        )
    axes.set_ylim(-0.03, 1.06)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("test top-1 τ (%)")
    axes.set_ylabel("share of runs with top-1 > τ")
    axes.set_title(clean(runs.board.title, 90))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3.2)
    bands = "95 % bootstrap bands" if banded else "no bands: too many searches"
    footnote(fig, f"the marker is the median run; {bands}")
    return fig


def _top1(record: Record) -> float:
    score = leaderboard.score(record)
    assert score is not None
    return score.top1
