"""Pictures of predictions: the classes of clips, the classes along a video, and a confusion matrix. Never torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pvnas_bench.boards.plots import COLOURS, GREY, clean, encoded, figure, styled
from pvnas_bench.deploy.predictions import Prediction, Predictions, clip_names

MOST_CLIPS = 24
"""Clips in a picture; the caption says how many more there are."""
MOST_LINES = 6
"""Classes with a line of their own along a video."""
LABELLED = 40
"""Classes of a confusion matrix that are named on its axes."""


def picture(predictions: Predictions, k: int) -> bytes:
    """A PNG of the top classes of each clip, or of the probabilities along it where there are windows."""
    names = clip_names(predictions.rows)
    shown = names[:MOST_CLIPS]
    of_clip = {name: [row for row in predictions.rows if row.clip == name] for name in shown}
    with styled():
        if any(row.start is not None or len(of_clip[row.clip]) > 1 for row in predictions.rows if row.clip in of_clip):
            made = _along(predictions, of_clip)
        else:
            made = _bars(predictions, [rows[0] for rows in of_clip.values()], k)
        if len(names) > len(shown):
            made.supxlabel(f"and {len(names) - len(shown):,} clips more", fontsize=8, color=GREY)
        return encoded(made, "png")


def _bars(predictions: Predictions, rows: Sequence[Prediction], k: int) -> Figure:
    columns = min(4, max(len(rows), 1))
    lines = -(-max(len(rows), 1) // columns)
    made = figure(3.2 * columns, (0.6 + 0.25 * min(k, len(predictions.classes))) * lines + 0.3)
    for place, row in enumerate(rows, 1):
        axes = made.add_subplot(lines, columns, place)
        top = predictions.top(row, k)[::-1]
        axes.barh(range(len(top)), [share for _, share in top], color=COLOURS[0])
        axes.set_yticks(range(len(top)), [clean(name, 18) for name, _ in top], fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_title(clean("/".join(Path(row.clip).parts[-2:]), 34), fontsize=8)
        if place > len(rows) - columns:
            axes.set_xlabel("probability", fontsize=8)
    return made


def _along(predictions: Predictions, of_clip: dict[str, list[Prediction]]) -> Figure:
    made = figure(9.0, 1.9 * max(len(of_clip), 1) + 0.3)
    for place, (name, rows) in enumerate(of_clip.items(), 1):
        axes = made.add_subplot(max(len(of_clip), 1), 1, place)
        timed = all(row.start is not None and row.end is not None for row in rows)
        middles = [(row.start + row.end) / 2 if timed else float(i) for i, row in enumerate(rows)]  # type: ignore[operator]
        shares = np.stack([row.probabilities for row in rows])
        for line, c in enumerate(np.argsort(-shares.max(0), kind="stable")[:MOST_LINES].tolist()):
            label, colour = clean(predictions.classes[c], 24), COLOURS[line % len(COLOURS)]
            axes.plot(middles, shares[:, c], label=label, color=colour, marker="o", markersize=2.5, linewidth=1.2)
        axes.set_ylim(0, 1)
        axes.set_xlabel("seconds" if timed else "window")
        axes.set_ylabel("probability")
        axes.set_title(clean(name, 80), fontsize=9)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    return made


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str], title: str) -> bytes:
    """A PNG of a confusion matrix, (true, predicted) counts, in shares of the true class."""
    total = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, total, out=np.zeros(confusion.shape), where=total > 0)
    named = len(classes) <= LABELLED
    side = 2.2 + 0.32 * min(len(classes), LABELLED)
    with styled():
        made = figure(side + 1.2, side)
        axes = made.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        made.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
        if named:
            labels = [clean(name, 18) for name in classes]
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
            axes.set_yticks(range(len(labels)), labels, fontsize=8)
        if len(classes) <= LABELLED // 2:
            for (row, column), count in np.ndenumerate(confusion):
                if count:
                    colour = "white" if shares[row, column] > 0.6 else "black"
                    axes.text(column, row, f"{count}", ha="center", va="center", fontsize=7, color=colour)
        axes.grid(visible=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(clean(title, 60), fontsize=9)
        return encoded(made, "png")
