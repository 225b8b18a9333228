"""Anytime curves: the incumbent's accuracy on search-val against cost, as step functions, and other logged series."""

import math
from collections import defaultdict
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
    """The mean over seeds, at every cost at which some run reported; nan until all of them have."""

    at: statistics.Floats
    mean: statistics.Floats
    low: statistics.Floats
    high: statistics.Floats
    """Edges of the pointwise 95 % bootstrap band, nan with a single seed."""
    seeds: int


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

    A seed counts once, with the mean of its runs, as on a board.
    Every run's curve is evaluated where any run reported, at `MOST` of these places where there are more; its last
    value stands from then on.
    """
    by_seed: dict[int, list[tuple[list[float], list[float]]]] = defaultdict(list)
    for record in records:
        if (found := curve(record, axis))[0]:
            by_seed[record.seed].append(found)
    if not by_seed:
        return None
    grid = np.unique(np.concatenate([at for curves in by_seed.values() for at, _ in curves]))
    if len(grid) > MOST:
        grid = grid[np.linspace(0, len(grid) - 1, MOST).round().astype(int)]
    rows = [
        np.mean([statistics.step_values(at, values, grid) for at, values in curves], axis=0)
        for curves in by_seed.values()
    ]
    mean, low, high = statistics.mean_band(rows)
    return Curve(grid, mean, low, high, len(rows))


def logged(record: Record, name: str) -> list[float]:
    """What a strategy logged under a name, step by step, without what is not finite.

    Records of version 0.1 have such series among the diagnostics.
    """
    kept = numbers(record.diagnostics.get(name))
    return kept or [v for step in record.trajectory if math.isfinite(v := step.metrics.get(name, math.nan))]


def numbers(value: object) -> list[float]:
    """A list of finite numbers out of a record's diagnostics; empty if it is anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    kept = [float(v) for v in value if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return kept if len(kept) == len(value) else []
