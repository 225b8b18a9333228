"""Regret curves of runs on a table: how far the incumbent is below the best architecture, against cost."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pvnas_bench import records
from pvnas_bench.statistics import mean_band, step_values
from pvnas_bench.table._table import Table

POINTS = 120
"""Of a curve: records of hundreds of runs are read one at a time and only this much of each is kept."""
FIRST = 0.5
"""Reference trainings at which the curves begin: most searches have an incumbent by then."""


@dataclass(frozen=True)
class Regret:
    """The regret of one entry over its seeds, in fractions of test clips.

    Attributes:
        at: costs in reference trainings.
        mean, low, high: of the regret at each cost, with the edges of a 95 % bootstrap band.
        final: the regret of each run in the end.
    """

    entry: str
    role: records.Role
    at: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    final: npt.NDArray[np.float64]


def regrets(folder: Path, table: Table) -> list[Regret]:
    """The regret of every entry that has runs on this state of a table, the lowest in the end first.

    Before its first step a search stands for an architecture like any other: its regret is that of its first
    incumbent.
    """
    curves: dict[tuple[str, records.Role], list[npt.NDArray[np.float64]]] = defaultdict(list)
    grid: npt.NDArray[np.float64] | None = None
    for path in records.find(folder):
        record = records.load(path)
        if record.status != "ok" or not _on(record, table):
            continue
        if grid is None:
            grid = np.geomspace(FIRST, record.protocol.budget, POINTS)
        at = [step.cost for step in record.trajectory]
        values = [step.metrics["regret"] for step in record.trajectory]
        curve = step_values(at, values, grid)
        curve[np.isnan(curve)] = values[0]
        curves[record.strategy.entry, record.strategy.role].append(curve)
    found = []
    for (entry, role), rows in sorted(curves.items()):
        assert grid is not None
        found.append(Regret(entry, role, grid, *mean_band(rows), np.array([row[-1] for row in rows])))
    return sorted(found, key=lambda regret: float(regret.mean[-1]))


def _on(record: records.Record, table: Table) -> bool:
    """Whether a record is of a run on this state of the table."""
    return (
        record.space.name == table.about.space.name
        and record.data.fingerprint == table.about.data.fingerprint
        and record.protocol.fingerprint.endswith(f":{table.fingerprint}")
    )
