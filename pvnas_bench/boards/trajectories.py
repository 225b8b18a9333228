"""Anytime curves: the incumbent's accuracy on search-val against cost, as step functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.records import Record

Axis = Literal["cost", "wall", "step"]
MOST = 1000
"""Points of a mean curve; thousands of runs on a table would have hundreds of thousands."""
AXES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Curve:
    """The mean over runs, at every cost at which some run reported; nan until all of them have."""

    at: statistics.Floats
    mean: statistics.Floats
    low: statistics.Floats
    high: statistics.Floats
    """Edges of the pointwise 95 % bootstrap band, nan with a single run."""
    runs: int


def curve(record: Record, axis: Axis = "cost") -> tuple[list[float], list[float]]:
    """Where on the axis a run reported the accuracy of its incumbent (val_top1), and what it was.

    What a strategy did not measure in a step stands as it was.
    """
    at: list[float] = []
    values: list[float] = []
    for step in record.trajectory:
        value = step.metrics.get("val_top1", math.nan)
        if math.isfinite(value):
            at.append(float(getattr(step, axis)))
            values.append(value)
    return at, values


def mean_curve(records: Sequence[Record], axis: Axis = "cost") -> Curve | None:
    """The mean of the runs that measured their incumbents; None where none did.

    Every run's curve is evaluated where any run reported, at `MOST` of these places where there are more; its last
    value stands from then on.
    """
    curves = [found for found in (curve(record, axis) for record in records) if found[0]]
    if not curves:
        return None
    grid = np.unique(np.concatenate([at for at, _ in curves]))
    if len(grid) > MOST:
        grid = grid[np.linspace(0, len(grid) - 1, MOST).round().astype(int)]
    mean, low, high = statistics.mean_band([statistics.step_values(at, values, grid) for at, values in curves])
    return Curve(grid, mean, low, high, len(curves))
