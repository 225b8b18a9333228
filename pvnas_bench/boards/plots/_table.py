"""Figures of a table: distribution of accuracies, effects of options, agreement of tasks, fidelity, regret."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pvnas_bench.boards.plots._style import clean, end_labels, figure, looks
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.boards.table_lessons import Floats
from pvnas_bench.boards.table_regret import Regret
from pvnas_bench.system.text import counted


def distribution(truths: Mapping[str, Floats], experts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a histogram of test accuracies for each task, with hand-designed networks marked."""
    fig = figure(max(4.2 * len(truths), 5.6), 3.4)
    grid = fig.subplots(1, len(truths), squeeze=False)
    for axes, (task, values) in zip(grid.flat, truths.items(), strict=True):
        axes.hist(100 * values, bins=30, color="#56B4E9", edgecolor="white", linewidth=0.4)
        top = axes.get_ylim()[1]
        for rank, (name, value) in enumerate(sorted(experts[task].items(), key=lambda pair: pair[1])):
            axes.axvline(100 * value, color="#555555", linewidth=0.8, linestyle="--")
            axes.text(100 * value, top * (0.98 - 0.07 * (rank % 4)), f" {name}", fontsize=7, va="top")
        axes.set_title(clean(task))
        axes.set_xlabel("test top-1, mean over seeds (%)")
        axes.set_ylabel("architectures")
    return fig


def operators(effects: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draw the mean gain of each option at each position, a panel for each task.

    Args:
        effects: gains by task, decision (``kind.position``) and option.
    """
    tasks = list(effects)
    at = {
        task: {(o, d.partition(".")[2]): gain for d, gains in effects[task].items() for o, gain in gains.items()}
        for task in tasks
    }
    options = list(
        dict.fromkeys(o for d in sorted(effects[tasks[0]], reverse=True) for o in sorted(effects[tasks[0]][d]))
    )
    positions = list(dict.fromkeys(d.partition(".")[2] for d in effects[tasks[0]]))
    fig = figure(max(3.6 * len(tasks), 4.5), 0.42 * len(options) + 1.5)
    grid = fig.subplots(1, len(tasks), squeeze=False)
    for axes, task in zip(grid.flat, tasks, strict=True):
        values = np.array([[100 * at[task].get((o, p), np.nan) for p in positions] for o in options])
        limit = max(float(np.nanmax(np.abs(values))), 0.1)  # a scale even if all values are equal
        axes.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
            dark = abs(values[row, column]) > 0.65 * limit
            axes.text(
                column,
                row,
                f"{values[row, column].round(1) + 0.0:+.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
        axes.set_xticks(range(len(positions)), positions)
        axes.set_yticks(range(len(options)), options)
        axes.grid(visible=False)
        axes.set_xlabel("block")
        axes.set_title(f"{clean(task)}: points of test top-1")
    return fig


def agreement(pairs: Mapping[tuple[str, str], tuple[Floats, Floats]]) -> Figure:
    """Draw the accuracy of every architecture on one task against that on another, a panel for each pair of tasks."""
    fig = figure(4.6 * len(pairs), 4.2)
    grid = fig.subplots(1, len(pairs), squeeze=False)
    for axes, ((one, other), values) in zip(grid.flat, pairs.items(), strict=True):
        axes.plot(100 * values[0], 100 * values[1], "o", color="#0072B2", markersize=3, alpha=0.5)
        axes.set_xlabel(f"test top-1 on {clean(one)} (%)")
        axes.set_ylabel(f"test top-1 on {clean(other)} (%)")
        axes.set_title(f"Kendall τ {kendall_tau(*values):+.2f}")
    return fig


def fidelity(taus: Mapping[str, Sequence[float]]) -> Figure:
    """Draw Kendall's τ between the accuracy of shorter trainings and the true accuracy."""
    fig = figure(6.4, 3.4)
    axes = fig.subplots()
    ends = []
    for task, look in looks([(task, "search") for task in taus]).items():
        axes.plot(
            range(1, len(taus[task]) + 1), taus[task], color=look.colour, linestyle=look.dash, marker=look.marker, ms=4
        )
        if not np.isnan(taus[task][-1]):  # undefined if all accuracies are equal
            ends.append((float(taus[task][-1]), clean(task), look.colour))
    axes.set_xlabel("epochs of the training")
    axes.set_ylabel("Kendall τ of its search-val top-1\nwith the mean test top-1")
    end_labels(axes, ends)
    return fig


def regret(task: str, curves: Sequence[Regret], baseline: str) -> Figure:
    """Draw the mean regret of each entry against cost, with 95 % bootstrap bands; dotted beyond an entry's budget.

    Args:
        baseline: entry that is drawn in black, on top of the others.
    """
    fig = figure(8.2, max(4.2, 0.24 * len(curves) + 1.6))
    axes = fig.subplots()
    styles = looks([(regret.entry, regret.role) for regret in curves])
    right = max(float(one.at[-1]) for one in curves)
    ends = []
    for one in curves:
        look = styles[one.entry]
        if one.entry == baseline:
            axes.step(one.at, 100 * one.mean, where="post", color="black", linewidth=2.2, zorder=5)
        else:
            axes.step(one.at, 100 * one.mean, where="post", color=look.colour, linestyle=look.dash, linewidth=1.5)
        if not np.isnan(one.low).any():
            axes.fill_between(
                one.at, 100 * one.low, 100 * one.high, step="post", color=look.colour, alpha=0.12, linewidth=0
            )
        colour = "black" if one.entry == baseline else look.colour
        axes.hlines(100 * one.mean[-1], one.at[-1], right, color=colour, linestyle=":", linewidth=0.8)
        ends.append((float(100 * one.mean[-1]), f"{clean(one.entry)} ({counted(one.runs, 'run')})", colour))
    axes.set_xscale("log")
    axes.set_xlim(min(float(one.at[0]) for one in curves), right)
    axes.set_yscale("log", nonpositive="clip")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    least = min((float(one.mean[one.mean > 0].min()) for one in curves if (one.mean > 0).any()), default=0.01)
    axes.set_ylim(bottom=80 * least)
    axes.set_xlabel("search cost (reference trainings)")
    axes.set_ylabel("regret: points of test top-1 below the best")
    axes.set_title(clean(task))
    end_labels(axes, ends)
    return fig
