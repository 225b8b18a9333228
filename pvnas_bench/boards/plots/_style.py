"""Common parts of all plots: settings, one style per entry, and labels that do not overlap."""

import itertools
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from pvnas_bench.records import Role

# Okabe and Ito's colours without yellow, which is too light for lines on white; ordered so that neighbours differ
# in lightness. https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
GREY = "#555555"
INK = "#222222"
"""Colour of labels, since several line colours are too light for small text."""
FAINT = "#CCCCCC"
"""Colour of curves that stand behind others."""

RC: Any = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.family": "DejaVu Sans",  # included in matplotlib, so every machine draws the same
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": "figure",  # the layout is computed for this resolution
    "svg.fonttype": "path",
    "svg.hashsalt": "pvnas_bench",
    "text.hinting": "no_hinting",  # widths that do not depend on the resolution
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Look:
    """Style of an entry: colour, dash and marker, each of which identifies it."""

    colour: str
    dash: Any
    marker: str
    filled: bool = True

    @property
    def face(self) -> str:
        """Fill colour of the marker; controls are hollow."""
        return self.colour if self.filled else "white"


def looks(entries: Sequence[tuple[str, Role]]) -> dict[str, Look]:
    """Style of each entry; controls are grey and hollow. It depends on the set of entries, not on their order."""
    styles: dict[str, Look] = {}
    searches = controls = 0
    for entry, role in sorted(set(entries)):
        if role == "search":
            colour, dash = COLOURS[searches % len(COLOURS)], DASHES[searches // len(COLOURS) % len(DASHES)]
            styles[entry] = Look(colour, dash, MARKERS[searches % len(MARKERS)])
            searches += 1
        else:
            dash = DASHES[2] if role == "random_control" else DASHES[3]
            styles[entry] = Look(GREY, dash, MARKERS[controls % len(MARKERS)], filled=False)
            controls += 1
    return styles


@contextmanager
def styled() -> Iterator[None]:
    """Apply the settings of all figures within the context, instead of the user's matplotlibrc."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # such a character is drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def figure(width: float, height: float) -> Figure:
    """Create a figure outside pyplot's global state."""
    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def clean(text: str, limit: int = 40) -> str:
    """Make a label from a record's text: one line of printable characters, shortened in the middle."""
    printable = "".join(c if c.isprintable() else "�" for c in text)
    if len(printable) <= limit:
        return printable
    return printable[: limit - limit // 3 - 1] + "…" + printable[-(limit // 3) :]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions as little as possible (least squares) so that they are `gap` apart within [low, high].

    The order stays the same (isotonic regression by pooling adjacent violators). If they do not fit, they are spaced
    evenly.
    """
    count = len(positions)
    if not count:
        return []
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = np.argsort(positions, kind="stable")
    wanted = np.asarray(positions, float)[order] - gap * np.arange(count)
    pools: list[list[float]] = []  # [sum, size] of runs that move together
    for value in wanted:
        pools.append([float(value), 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, size = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += size
    level = np.concatenate([np.full(int(size), total / size) for total, size in pools])
    placed = np.clip(level, low, high - gap * (count - 1)) + gap * np.arange(count)
    result = np.empty(count)
    result[order] = placed
    return [float(v) for v in result]


def footnote(fig: Figure, text: str) -> None:
    """Add small print below a figure, wrapped to its width."""
    width = int(fig.get_figwidth() / 0.062)
    fig.supxlabel(
        "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, width)),
        fontsize=7,
        color=GREY,
        x=0.01,
        ha="left",
    )


def settle(axes: Axes) -> RendererAgg:
    """Lay out the figure so that positions in pixels are known."""
    fig = axes.get_figure(root=True)
    assert fig is not None and isinstance(fig.canvas, FigureCanvasAgg)
    fig.draw_without_rendering()
    renderer: RendererAgg = fig.canvas.get_renderer()  # type: ignore[no-untyped-call]
    return renderer


def freeze(fig: Figure) -> None:
    """Fix the layout at rounded positions, since the solver's last digits differ between processes."""
    for _ in range(3):  # the solver converges
        fig.draw_without_rendering()
    fig.set_layout_engine("none")
    for axes in fig.axes:
        x, y, width, height = (round(float(v), 5) for v in axes.get_position().bounds)
        axes.set_position((x, y, width, height))
    for text in fig.texts:
        at = text.get_position()
        text.set_position((round(float(at[0]), 5), round(float(at[1]), 5)))


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, str]], size: float = 8) -> None:
    """Label lines at the right edge of axes, each near the line's last value, without overlaps.

    Args:
        ends: last value, text and colour of each line.
    """
    renderer = settle(axes)
    frame = axes.get_window_extent()
    line = size * 1.35 * renderer.dpi / 72
    pixels = [float(axes.transData.transform((0, value))[1]) for value, _, _ in ends]
    for (value, text, colour), place in zip(ends, spread(pixels, line, frame.y0, frame.y1), strict=True):
        axes.annotate(
            text,
            xy=(1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(1.06, round((place - frame.y0) / frame.height, 4)),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=size,
            color=INK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
        )


_DIRECTIONS = ((1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1))


def point_labels(
    axes: Axes, points: Sequence[tuple[float, float, str, str]], lines: Sequence[Sequence[tuple[float, float]]]
) -> None:
    """Label points, each at the nearest place that covers no point, line or other label.

    Args:
        points: x, y, text and colour of each point, the most important first.
        lines: further points and polylines to keep clear, in data coordinates.
    """
    renderer = settle(axes)
    frame = axes.get_window_extent()
    scale = renderer.dpi / 72
    at = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [Bbox.from_extents(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale) for x, y in at]
    for line in lines:
        for x, y in _dense(axes.transData.transform(np.array(line, float)), 4 * scale):
            taken.append(Bbox.from_extents(x - 2 * scale, y - 2 * scale, x + 2 * scale, y + 2 * scale))
    for (x, y, text, colour), (px, py) in zip(points, at, strict=True):
        probe = axes.text(0, 0, text, fontsize=8)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        box = _place(float(px), float(py), extent.width, extent.height, taken, frame, scale)
        taken.append(box.padded(1.5 * scale))
        away = np.hypot(max(box.x0 - px, px - box.x1, 0), max(box.y0 - py, py - box.y1, 0))
        fraction = axes.transAxes.inverted().transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        note = axes.annotate(
            text,
            xy=(x, y),
            xytext=(round(float(fraction[0]), 4), round(float(fraction[1]), 4)),
            textcoords="axes fraction",
            ha="center",
            va="center",
            fontsize=8,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
            if away > 9 * scale
            else None,
        )
        note.set_in_layout(False)


def _place(x: float, y: float, width: float, height: float, taken: Sequence[Bbox], frame: Bbox, scale: float) -> Bbox:
    """Best place for a box near a point: the one with the least overlap, then the nearest."""
    best: tuple[float, Bbox] | None = None
    for distance in (7, 12, 18, 26, 36, 48, 62, 78, 96, 120):
        for dx, dy in _DIRECTIONS:
            left = x + dx * distance * scale + (0 if dx > 0 else -width if dx < 0 else -width / 2)
            bottom = y + dy * distance * scale - height / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            cost = sum(_overlap(box, other) for other in taken) + width * height - _overlap(box, frame)
            if best is None or cost < best[0] - 1e-6:
                best = (cost, box)
        if best is not None and best[0] <= 1e-6:
            break
    assert best is not None
    return best[1]


def _dense(corners: Any, gap: float) -> Iterator[tuple[float, float]]:
    """Yield points on a polyline, at most `gap` apart."""
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        count = max(int(np.ceil(np.hypot(x1 - x0, y1 - y0) / gap)), 1)
        for share in np.linspace(0, 1, count + 1):
            yield float(x0 + share * (x1 - x0)), float(y0 + share * (y1 - y0))
    if len(corners) == 1:
        yield float(corners[0][0]), float(corners[0][1])


def _overlap(first: Bbox, second: Bbox) -> float:
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return float(max(width, 0.0) * max(height, 0.0))
