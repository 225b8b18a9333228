"""Anytime curves (the incumbent's accuracy against cost, step functions) and other logged series."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.records import Record

Axis = Literal["cost", "wall", "step"]
MOST = 1000
"""Largest number of points of a mean curve; thousands of runs on a table report at hundreds of thousands of costs."""
AXES: tuple[Axis, ...] = get_args(Axis)
Measure = Callable[[Record], Sequence[float]]
"""Gives the accuracy of the incumbent at each step of a run, nan where it is unknown; empty if all are."""


@dataclass(frozen=True)
class Curve:
    """Mean curve over seeds; nan until every seed has a value.

    Attributes:
        at: positions on the axis.
        mean: mean accuracy at each position, a fraction.
        low, high: edges of the pointwise 95 % bootstrap band, nan with a single seed.
        seeds: number of seeds.
    """

    at: statistics.Floats
    mean: statistics.Floats
    low: statistics.Floats
    high: statistics.Floats
    seeds: int


def reported(record: Record) -> list[float]:
    """Accuracy of the incumbent on search-val that a run reported at each step (val_top1), nan where it did not."""
    return [step.metrics.get("val_top1", math.nan) for step in record.trajectory]


def curve(record: Record, axis: Axis = "cost", measure: Measure = reported) -> tuple[list[float], list[float]]:
    """Accuracies of a run's incumbents, with their positions on the axis.

    Between two of them the earlier value holds.

    Returns:
        Positions and accuracies.
    """
    values = measure(record) or [math.nan] * len(record.trajectory)
    steps = zip(record.trajectory, values, strict=True)
    known = [(float(getattr(step, axis)), value) for step, value in steps if math.isfinite(value)]
    return [at for at, _ in known], [value for _, value in known]


def mean_curve(
    records: Sequence[Record], axis: Axis = "cost", most: int = MOST, measure: Measure = reported
) -> Curve | None:
    """Mean curve of the runs whose incumbents' accuracies are known; None if there are none.

    A seed counts once, with the mean of its runs, as on a board. All curves are evaluated at every position at which
    any run reported, or at `most` of them; the last value of a run holds to the end.
    """
    by_seed: dict[int, list[tuple[list[float], list[float]]]] = defaultdict(list)
    for record in records:
        if (points := curve(record, axis, measure))[0]:
            by_seed[record.seed].append(points)
    if not by_seed:
        return None
    grid = np.unique(np.concatenate([at for curves in by_seed.values() for at, _ in curves]))
    if len(grid) > most:
        grid = grid[np.linspace(0, len(grid) - 1, most).round().astype(int)]
    rows = [
        np.mean([statistics.step_values(at, values, grid) for at, values in curves], axis=0)
        for curves in by_seed.values()
    ]
    mean, low, high = statistics.mean_band(rows)
    return Curve(grid, mean, low, high, len(rows))


def logged(record: Record, name: str) -> list[float]:
    """Finite values of a metric logged by a strategy, one per step.

    Records of version 0.1 have such series in the diagnostics.
    """
    series = numbers(record.diagnostics.get(name))
    return series or [v for step in record.trajectory if math.isfinite(v := step.metrics.get(name, math.nan))]


def numbers(value: object) -> list[float]:
    """Convert a value of a record's diagnostics to floats; empty unless it is a list of finite numbers."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    finite = [float(v) for v in value if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return finite if len(finite) == len(value) else []
