"""Predictions as data: class probabilities of clips and of windows along a video."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.system.text import no_formula


@dataclass(frozen=True, eq=False)
class Prediction:
    """The classes of one clip, or of one window of it.

    Attributes:
        clip: path as it was given, or below the folder that was given.
        probabilities: (classes,) float32, in the order of the model's classes.
        start, end: seconds of a window from the file's first frame; None: the whole clip.
    """

    clip: str
    probabilities: NDArray[np.float32]
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Unpredicted:
    """A clip that cannot be read, and why."""

    clip: str
    reason: str


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model, in the order of the clips and along each.

    Attributes:
        classes: names in the order of probabilities.
        failed: clips that cannot be read.
    """

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    failed: tuple[Unpredicted, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    def top(self, row: Prediction, k: int) -> list[tuple[str, float]]:
        """The k most probable classes of a row with their probabilities; the first of equals comes first."""
        order = np.argsort(-row.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(row.probabilities[i])) for i in order.tolist()]

    def as_json(self, k: int) -> dict[str, Any]:
        """JSON values: ``classes``, ``predictions`` with the ``top`` classes of each, and ``failed``."""
        return {
            "classes": list(self.classes),
            "predictions": [
                {"clip": row.clip, "start": row.start, "end": row.end}
                | {"top": [{"class": name, "probability": share} for name, share in self.top(row, k)]}
                for row in self.rows
            ],
            "failed": [{"clip": one.clip, "reason": one.reason} for one in self.failed],
        }

    def as_csv(self, k: int) -> str:
        """A table with a line for each of the top classes; a clip that cannot be read has one with the reason."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("clip", "start", "end", "rank", "class", "probability", "error"))
        for row in self.rows:
            for rank, (name, share) in enumerate(self.top(row, k), 1):
                seconds = ("" if time is None else f"{time:.3f}" for time in (row.start, row.end))
                table.writerow((no_formula(row.clip), *seconds, rank, no_formula(name), f"{share:.6f}", ""))
        for one in self.failed:
            table.writerow((no_formula(one.clip), "", "", "", "", "", no_formula(one.reason)))
        return text.getvalue()


def clip_names(rows: Sequence[Prediction]) -> list[str]:
    """The clips of these rows, each once, in order."""
    return list(dict.fromkeys(row.clip for row in rows))
