"""The critical-difference diagram of entries over tasks."""

from matplotlib.figure import Figure

from pvnas_bench.boards import statistics
from pvnas_bench.boards.across import Across
from pvnas_bench.boards.plots._style import clean, figure
from pvnas_bench.system.text import counted


def critical(comparison: Across) -> Figure | str:
    """Draw mean ranks over tasks; bars join entries without a significant difference (pairwise Wilcoxon, Holm).

    Returns:
        The figure, or the reason why it is not justified.
    """
    if comparison.unjustified is not None:
        return f"a critical-difference diagram is not justified: {comparison.unjustified}"
    count = len(comparison.entries)
    bars = statistics.cliques(comparison.adjusted_p)
    half = (count + 1) // 2
    step, top = 0.34, 0.55 + 0.2 * len(bars)
    height = 1.15 + top + step * half
    fig = figure(8.0, height)
    fig.set_layout_engine("none")
    axes = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, 8.0)
    axes.set_ylim(-(height - 0.95), 0.95)
    left, right = 2.6, 5.4

    def x(rank: float) -> float:
        return left + (rank - 1) / (count - 1) * (right - left)

    axes.plot([left, right], [0, 0], color="black", linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot([x(rank)] * 2, [0, 0.09], color="black", linewidth=1)
        axes.text(x(rank), 0.13, f"{rank}", ha="center", va="bottom", fontsize=8)
    axes.text((left + right) / 2, 0.36, "mean rank (1 is best)", ha="center", fontsize=8)
    for index, (first, last) in enumerate(bars):
        level = -0.2 - 0.2 * index
        ends = x(comparison.mean_ranks[first]) - 0.05, x(comparison.mean_ranks[last]) + 0.05
        axes.plot(ends, [level, level], color="black", linewidth=4, solid_capstyle="butt")
    for index, (entry, mean_rank) in enumerate(zip(comparison.entries, comparison.mean_ranks, strict=True)):
        better = index < half
        y = -top - step * (index if better else count - 1 - index)
        edge = left - 0.15 if better else right + 0.15
        axes.plot([x(mean_rank), x(mean_rank), edge], [0, y, y], color="#555555", linewidth=0.9)
        axes.text(
            edge + (-0.06 if better else 0.06),
            y,
            f"{clean(entry, 28)}  {mean_rank:.2f}",
            ha="right" if better else "left",
            va="center",
            fontsize=8,
        )
    friedman = "" if comparison.friedman_p is None else f", Friedman p = {comparison.friedman_p:.2g}"
    axes.text(
        0.1, 0.72, f"{clean(comparison.protocol)}: {counted(len(comparison.tasks), 'task')}{friedman}", fontsize=10
    )
    axes.text(
        0.1,
        -(height - 1.05),
        "bars join entries that Wilcoxon signed-rank tests over tasks, Holm-adjusted, cannot tell apart at 0.05",
        fontsize=7,
        color="#555555",
    )

    return fig
