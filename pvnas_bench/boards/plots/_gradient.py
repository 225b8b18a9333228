"""Behaviour of gradient-based and supernet-based strategies: entropy, diversity and supernet ranking."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pvnas_bench.boards import statistics
from pvnas_bench.boards.plots._boards import Entry, Runs
from pvnas_bench.boards.plots._style import clean, end_labels, figure
from pvnas_bench.boards.trajectories import logged, numbers
from pvnas_bench.records import Record


def diversity(runs: Runs) -> Figure | str:
    """Draw the mean entropy of the architecture distribution over the search, and the diversity of derived networks.

    It uses the logged metric `alpha_entropy` (a fraction of the uniform distribution's entropy) and the diagnostics
    `distinct_derived` and `mean_pairwise_hamming`.

    Returns:
        The figure, or the reason why there is none.
    """
    entries: list[tuple[Entry, list[list[float]]]] = []
    for entry in runs.entries:
        curves = [curve for run in entry.runs if (curve := logged(run, "alpha_entropy"))]
        if curves:
            entries.append((entry, curves))
    if not entries:
        return "no run reports the entropy of its architecture distribution (alpha_entropy)"
    fig = figure(9.6, max(3.9, 1.9 + 0.34 * len(entries)))
    axes, distinct, distance = fig.subplots(1, 3, width_ratios=[2.6, 1, 1])
    ends = []
    for entry, curves in entries:
        grid = np.unique(np.concatenate([np.arange(1, len(c) + 1) / len(c) for c in curves]))
        table = [statistics.step_values(np.arange(1, len(c) + 1) / len(c), c, grid) for c in curves]
        look = entry.look
        if len(table) > 1:
            for row in table:
                axes.step(100 * grid, row, where="post", color=look.colour, linewidth=0.6, alpha=0.45)
        mean = np.mean(table, axis=0)
        axes.step(100 * grid, mean, where="post", color=look.colour, linestyle=look.dash, linewidth=1.7)
        ends.append((float(mean[-1]), clean(entry.row.entry, 30), look.colour))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, max(1.05, axes.get_ylim()[1]))
    axes.set_xlabel("steps of the search (%)")
    axes.set_ylabel("mean entropy of the decisions (1: uniform)")
    places = np.arange(len(entries))[::-1]
    for panel, key, title in (
        (distinct, "distinct_derived", "distinct derived\narchitectures"),
        (distance, "mean_pairwise_hamming", "mean pairwise\nHamming distance"),
    ):
        for place, (entry, _) in zip(places, entries, strict=True):
            values = [v for run in entry.runs if (v := _number(run, key)) is not None]
            if values:
                panel.barh(
                    place, float(np.mean(values)), color=entry.look.colour, height=0.6, edgecolor="black", linewidth=0.5
                )
                panel.plot(values, [place] * len(values), "|", color="black", markersize=7)
            else:
                panel.text(0, place, " not reported", va="center", fontsize=7, color="#555555")
        panel.set_xlabel(title)
        room = max(4 - len(entries), 0) / 2  # keeps few bars as thin as many
        panel.set_ylim(-0.6 - room, len(entries) - 0.4 + room)
        panel.set_xlim(left=0)
        panel.grid(axis="y", visible=False)
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=key == "distinct_derived"))
    distinct.set_yticks(places, [clean(entry.row.entry, 20) for entry, _ in entries])
    distance.set_yticks(places, [""] * len(places))
    fig.suptitle(clean(runs.board.title, 100), fontsize=10, x=0.01, ha="left")

    if len(entries) > 1:
        end_labels(axes, ends, 7)
    return fig


def _number(record: Record, key: str) -> float | None:
    value = record.diagnostics.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def ranking(runs: Runs) -> Figure | str:
    """Draw supernet score against stand-alone accuracy of the same architectures, with Kendall's τ for each entry.

    It uses the diagnostic `rank_pairs`, a list of [supernet score, stand-alone top-1].

    Returns:
        The figure, or the reason why there is none.
    """
    entries: list[tuple[Entry, list[list[tuple[float, float]]]]] = []
    for entry in runs.entries:
        reported = [pairs for run in entry.runs if len(pairs := _pairs(run)) > 1]
        if reported:
            entries.append((entry, reported))
    if not entries:
        return "no run reports pairs of supernet score and stand-alone accuracy (rank_pairs)"
    columns = min(3, len(entries))
    rows = math.ceil(len(entries) / columns)
    fig = figure(max(3.2 * columns, 5.6), 3.0 * rows + 0.5)
    grid = fig.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(entries) :]:
        axes.set_visible(False)
    markers = ("o", "s", "^", "D", "v", "P")
    for axes, (entry, reported) in zip(grid.flat, entries, strict=False):
        for index, pairs in enumerate(reported):
            axes.plot(
                [p[0] for p in pairs],
                [100 * p[1] for p in pairs],
                marker=markers[index % len(markers)],
                linestyle="none",
                color=entry.look.colour,
                markerfacecolor=entry.look.colour if index == 0 else "white",
                markersize=4.5,
                alpha=0.9,
            )
        taus = [statistics.kendall_tau([p[0] for p in pairs], [p[1] for p in pairs]) for pairs in reported]
        known = [tau for tau in taus if not math.isnan(tau)]
        tau = f"{np.mean(known):+.2f}" if known else "undefined"
        runs_text = f", mean of {len(reported)} runs" if len(reported) > 1 else ""
        axes.set_title(f"{clean(entry.row.entry, 30)}\nKendall τ {tau}{runs_text}", fontsize=8)
        axes.set_xlabel("supernet score")
        axes.set_ylabel("stand-alone top-1 (%)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    fig.suptitle(clean(runs.board.title, 100), fontsize=10, x=0.01, ha="left")
    return fig


def _pairs(record: Record) -> list[tuple[float, float]]:
    value = record.diagnostics.get("rank_pairs")
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    pairs = [numbers(pair) for pair in value]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
