"""What all plots share: the look, one style per entry, and labels that do not overlap."""

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
"""Of labels: several of the colours are too light for small text."""

RC: Any = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": "figure",  # the layout holds at the resolution that it was made for
    "svg.fonttype": "path",
    "svg.hashsalt": "pvnas_bench",
    "text.hinting": "no_hinting",  # widths that do not depend on the resolution
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Look:
    """How one entry is drawn: colour, dash and marker differ together, so that any one of them is enough."""

    colour: str
    dash: Any
    marker: str
    filled: bool = True

    @property
    def face(self) -> str:
        """Marker fill: controls are hollow."""
        return self.colour if self.filled else "white"


def looks(entries: Sequence[tuple[str, Role]]) -> dict[str, Look]:
    """A look for each entry; controls are grey and hollow. It depends on the set of entries, not on their order."""
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
    """The settings under which every figure is made and written, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # such a character is drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def figure(width: float, height: float) -> Figure:
    """A figure outside pyplot's global state."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def clean(text: str, limit: int = 40) -> str:
    """Text of a record as a label: one line of printable characters, shortened in the middle."""
    printable = "".join(c if c.isprintable() else "�" for c in text)
    if len(printable) <= limit:
        return printable
    return printable[: limit - limit // 3 - 1] + "…" + printable[-(limit // 3) :]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved as little as needed (in the sense of least squares) to be `gap` apart within [low, high].

    Isotonic regression by pooling of adjacent violators; the order is kept. Where not all of them fit, they share
    the room evenly.
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


def footnote(made: Figure, text: str) -> None:
    """Small print below a figure, wrapped to its width."""
    width = int(made.get_figwidth() / 0.062)
    made.supxlabel(
        "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, width)),
        fontsize=7,
        color=GREY,
        x=0.01,
        ha="left",
    )


def settle(axes: Axes) -> RendererAgg:
    """Lay the figure out, so that positions in pixels are known."""
    made = axes.get_figure(root=True)
    assert made is not None and isinstance(made.canvas, FigureCanvasAgg)
    made.draw_without_rendering()
    renderer: RendererAgg = made.canvas.get_renderer()  # type: ignore[no-untyped-call]
    return renderer


def freeze(made: Figure) -> None:
    """Fix the layout at rounded positions: the solver's last digits differ from process to process."""
    for _ in range(3):  # the solver approaches its solution
        made.draw_without_rendering()
    made.set_layout_engine("none")
    for axes in made.axes:
        x, y, width, height = (round(float(v), 5) for v in axes.get_position().bounds)
        axes.set_position((x, y, width, height))
    for text in made.texts:
        at = text.get_position()
        text.set_position((round(float(at[0]), 5), round(float(at[1]), 5)))


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, str]], size: float = 8) -> None:
    """Labels at the right edge of axes, each beside the value where its line ends and clear of the others.

    Args:
        ends: value, text and colour of each.
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
    """Labels beside points, each at the nearest place that covers no point, no line and no other label.

    Args:
        points: x, y, text and colour of each, the most important first.
        lines: further points and polylines that no label should cover, in data coordinates.
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
    """The place for a box near a point that covers least of what is taken; of equal ones the nearest."""
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
    """Points on a polyline, at most a gap apart."""
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
