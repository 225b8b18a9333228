"""Accuracy against MACs with the Pareto front, and the cost of the search."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pvnas_bench.boards import leaderboard, statistics
from pvnas_bench.boards.plots._boards import Entry, Runs
from pvnas_bench.boards.plots._style import clean, figure, footnote, point_labels
from pvnas_bench.records import Record

REFERENCE_MACS = 1.1
"""MACs of the hypervolume's reference point over the cap; at the cap itself, accuracy would not count."""


def tradeoff(runs: Runs) -> Figure | str:
    """Draw test accuracy against MACs: every run, the mean of each entry, the front of the means, and the cap.

    Returns:
        The figure, or the reason why there is none.
    """
    entries = [entry for entry in runs.entries if entry.completed]
    if not entries:
        return "no run has a test score"
    fig = figure(8.0, 5.2)
    axes = fig.subplots()
    means: list[tuple[Entry, float, float]] = []
    lines: list[list[tuple[float, float]]] = []
    unit, suffix = _unit(runs.board.cap_macs)
    for entry in entries:
        points = [(_macs(run) / unit, 100 * _top1(run)) for run in entry.completed]
        lines += [[point] for point in points]
        look = entry.look
        macs, top1 = (float(np.mean([p[axis] for p in points])) for axis in (0, 1))
        means.append((entry, macs, top1))
        if len(points) > 1:
            interval = statistics.bootstrap([[p[1] for p in points]])
            axes.plot([p[0] for p in points], [p[1] for p in points], ".", color=look.colour, alpha=0.45, markersize=4)
            ends = [v for v in (interval.low, interval.high) if v is not None]
            axes.plot([macs] * len(ends), ends, color=look.colour, linewidth=1.1, zorder=3)
            lines.append([(macs, end) for end in ends])
        hand_designed = entry.row.role == "expert_control"
        axes.plot(
            macs,
            top1,
            marker=look.marker,
            color=look.colour,
            markerfacecolor=look.face,
            markersize=8 if hand_designed else 7,
            zorder=5,
            linestyle="none",
        )
    on_front = statistics.nondominated([m for _, m, _ in means], [t for _, _, t in means])
    front = sorted((m, t) for (_, m, t), best in zip(means, on_front, strict=True) if best)
    cap = runs.board.cap_macs / unit
    corners = [(front[0][0], front[0][1])]
    for macs, top1 in [*front[1:], (max(cap, front[-1][0]), front[-1][1])]:
        corners += [(macs, corners[-1][1]), (macs, top1)]
    axes.plot(
        [x for x, _ in corners],
        [y for _, y in corners],
        color="black",
        linewidth=1.0,
        zorder=2,
        label="Pareto front of the means",
    )
    if "macs" in runs.board.caps:
        axes.axvline(cap, color="black", linestyle=(0, (2, 2)), linewidth=1, label=f"cap {runs.board.cap}")
    chance = 100 / runs.board.classes
    volume = statistics.hypervolume(
        [macs * unit for _, macs, _ in means],
        [top1 / 100 for _, _, top1 in means],
        REFERENCE_MACS * runs.board.cap_macs,
        chance / 100,
    )
    axes.margins(0.09, 0.1)
    axes.set_xlim(right=max(axes.get_xlim()[1], cap * 1.03))
    axes.set_xlabel(f"MACs of the architecture ({suffix})")
    axes.set_ylabel("test top-1 (%)")
    axes.set_title(clean(runs.board.title, 90))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.05), ncols=2, borderaxespad=0)
    footnote(
        fig,
        "large: mean over completed seeds with 95 % bootstrap interval; small: runs; hollow: controls and "
        f"hand-designed networks. Hypervolume of the means {volume:.3f} (reference point: {REFERENCE_MACS:g} × cap, "
        f"chance {chance:.1f} %)",
    )
    labels = [(macs, top1, clean(entry.row.entry, 32), entry.look.colour) for entry, macs, top1 in means]
    point_labels(axes, labels, [*lines, corners, [(cap, limit) for limit in axes.get_ylim()]])
    return fig


def _unit(macs: float) -> tuple[float, str]:
    return (1e9, "G") if macs >= 1e9 else (1e6, "M")


def _macs(record: Record) -> float:
    assert record.outcome is not None
    return float(record.outcome.macs)


def _top1(record: Record) -> float:
    score = leaderboard.score(record)
    assert score is not None
    return score.top1


ACTIVITIES = ("data", "forward", "backward", "optimiser", "harness")


def costs(runs: Runs) -> Figure | str:
    """Draw the search cost of each entry: reference trainings and budget, wall time by activity, peak memory.

    Returns:
        The figure, or the reason why there is none.
    """
    entries = [entry for entry in runs.entries if entry.completed]
    if not entries:
        return "no run was completed"
    fig = figure(9.6, 1.9 + 0.3 * len(entries))
    budget, wall, memory = fig.subplots(1, 3, sharey=True, width_ratios=[1.1, 1.7, 1])
    places = np.arange(len(entries))[::-1]
    colours = [entry.look.colour for entry in entries]
    spent = [entry.row.search_reference_trainings or 0.0 for entry in entries]
    budget.barh(places, spent, color=colours, height=0.62, edgecolor="black", linewidth=0.5)
    for place, value in zip(places, spent, strict=True):
        budget.annotate(
            f"{value:.2f}",
            (value, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    budget.axvline(runs.board.budget, color="black", linestyle=(0, (2, 2)), linewidth=1)
    budget.set_xlabel("reference trainings\n(dashed: budget)")
    budget.margins(x=0.22)
    others = {activity for entry in entries for run in entry.completed for activity in run.search.seconds}
    activities = [*ACTIVITIES, *sorted(others - {*ACTIVITIES})]
    shades = colormaps["cividis"](np.linspace(0.0, 1.0, len(activities)))  # told apart by lightness
    left = np.zeros(len(entries))
    for index, activity in enumerate(activities):
        seconds = np.array(
            [float(np.mean([run.search.seconds.get(activity, 0.0) for run in entry.completed])) for entry in entries]
        )
        wall.barh(
            places,
            seconds,
            left=left,
            height=0.62,
            color=shades[index],
            edgecolor="black",
            linewidth=0.5,
            label=clean(activity),
        )
        left += seconds
    cpu = [float(np.mean([run.search.cpu_seconds for run in entry.completed])) for entry in entries]
    style = {"marker": "|", "s": 150.0, "linewidths": 2.0, "color": "#d7191c", "zorder": 3}
    wall.scatter(cpu, places, label="CPU seconds", **style)  # of all threads; below wall on a shared machine
    wall.set_xlabel("wall seconds of the search,\nmean over runs (tick: CPU seconds)")
    wall.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, handlelength=1.6, columnspacing=1.2)
    peak = [(entry.row.search_peak_memory_bytes or 0) / 2**20 for entry in entries]
    memory.barh(places, peak, color=colours, height=0.62, edgecolor="black", linewidth=0.5)
    memory.set_xlabel("peak memory (MiB),\nmost of any run")
    budget.set_yticks(places, [clean(entry.row.entry, 34) for entry in entries])
    for axes in (budget, wall, memory):
        axes.grid(axis="y", visible=False)
    fig.suptitle(clean(runs.board.title, 100), fontsize=10, x=0.01, ha="left")
    return fig
