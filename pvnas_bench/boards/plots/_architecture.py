"""A drawing of a network: one block for each layer, coloured by operator, with shapes and MACs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from pvnas_bench.boards.plots._style import COLOURS, GREY, clean, figure
from pvnas_bench.records import Record

# Light enough for black text, and different in lightness as well as in hue; each block also has its name.
FILLS = ("#9CCBEA", "#F6B48F", "#8FD6BD", "#E7BFD5", "#F7DC8B", "#C9C3EA", "#D7E8A8", "#BFD9D9")
PLAIN = "#EDEDED"


def operator_of(layer: Mapping[str, Any]) -> str:
    """Name of a layer's operator: its first word; settings follow."""
    return str(layer.get("operator", "")).partition(" ")[0]


def fills(layers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Fill colour of each operator; the first and the last layer, which are not searched, are plain."""
    names = sorted({operator_of(layer) for layer in layers[1:-1]})
    colours = {name: FILLS[index % len(FILLS)] for index, name in enumerate(names)}
    return {**{operator_of(layer): PLAIN for layer in (layers[0], layers[-1])}, **colours}


def shape_text(shape: Any) -> str:
    """Format a shape as frames × height × width × channels."""
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        return "×".join(clean(str(size), 7) for size in shape)
    return "?"


def count_text(value: Any) -> str:
    """Format a count with a unit prefix."""
    if not isinstance(value, int | float):
        return "?"
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:g}"


def architecture(record: Record) -> Figure | str:
    """Draw the final network of a run, from input to logits."""
    if record.outcome is None or not record.outcome.network:
        return "the run has no network to draw"
    layers = record.outcome.network
    colours = fills(layers)
    pitch, block = 0.42, 0.30
    height = 1.25 + pitch * (len(layers) + 1)
    fig = figure(8.4, height)
    fig.set_layout_engine("none")
    axes = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, 8.4)
    axes.set_ylim(-height + 0.95, 0.95)
    axes.text(0.2, 0.68, clean(f"{record.strategy.entry}, seed {record.seed}: {_score(record)}", 100), fontsize=10)
    axes.text(
        0.2,
        0.44,
        clean(
            f"{record.space.name}, cap {record.space.cap}: {count_text(record.outcome.macs)} MACs, "
            f"{count_text(record.outcome.parameters)} parameters, {record.outcome.latency_ms:.3g} ms",
            110,
        ),
        fontsize=8,
        color="#333333",
    )
    for x, text, side in (
        (1.35, "layer", "right"),
        (2.75, "operator", "center"),
        (4.25, "output T×H×W×C", "left"),
        (6.0, "MACs", "left"),
        (8.25, "parameters", "right"),
    ):
        axes.text(x, 0.08, text, ha=side, fontsize=7, color="#555555")
    macs = [float(value) if isinstance(value := layer.get("macs"), int | float) else 0.0 for layer in layers]
    most = max([*macs, 1.0])
    axes.text(2.75, -0.22, f"clip {shape_text(layers[0].get('shape_in'))}", ha="center", va="center", fontsize=7.5)
    for index, (layer, value) in enumerate(zip(layers, macs, strict=True)):
        y = -0.22 - pitch * (index + 1)
        axes.annotate(
            "",
            xy=(2.75, y + block / 2 + 0.005),
            xytext=(2.75, y + pitch - (block / 2 if index else 0.09)),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#333333",
                "lw": 0.8,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 6,
            },
        )
        axes.add_patch(
            FancyBboxPatch(
                (1.55, y - block / 2),
                2.4,
                block,
                boxstyle="round,pad=0,rounding_size=0.05",
                facecolor=colours[operator_of(layer)],
                edgecolor="#333333",
                linewidth=0.8,
            )
        )
        axes.text(2.75, y, clean(str(layer.get("operator", "?")), 34), ha="center", va="center", fontsize=7.5)
        axes.text(1.35, y, clean(str(layer.get("name", "?")), 18), ha="right", va="center", fontsize=7.5)
        weight = "normal" if layer.get("shape_in") == layer.get("shape_out") else "bold"
        axes.text(4.25, y, shape_text(layer.get("shape_out")), va="center", fontsize=7.5, fontweight=weight)
        axes.add_patch(Rectangle((6.0, y - 0.08), 0.9 * value / most, 0.16, facecolor=COLOURS[0], edgecolor="none"))
        axes.text(6.05 + 0.9 * value / most, y, count_text(layer.get("macs")), va="center", fontsize=7, color="#333333")
        axes.text(8.25, y, count_text(layer.get("parameters")), ha="right", va="center", fontsize=7, color=GREY)
    return fig


def _score(record: Record) -> str:
    from pvnas_bench.boards.leaderboard import score

    result = score(record)
    return "no test score" if result is None else f"{100 * result.top1:.1f} % test top-1"
