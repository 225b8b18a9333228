"""Regret curves of runs on a table: how far the incumbent is below the best architecture, against cost."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from pvnas_bench import records
from pvnas_bench.boards.statistics import mean_band, step_values
from pvnas_bench.errors import UsageError
from pvnas_bench.system.text import no_apostrophe, no_formula
from pvnas_bench.table.table import Table

POINTS = 120
"""Of a curve: records of hundreds of runs are read one at a time and only this much of each is kept."""
FIRST = 0.5
"""Reference trainings at which the curves begin: most searches have an incumbent by then."""
COLUMNS = ("table", "entry", "role", "budget", "runs", "best_found", "val", "tau", "cost", "mean", "low", "high")


@dataclass(frozen=True)
class Regret:
    """The regret of one entry over its seeds under one budget, in fractions of test clips.

    Attributes:
        budget: of each search, in reference trainings.
        runs: that ended well, one a seed.
        best_found: share of them that ended at the best architecture.
        val: mean final regret on search-val, which is all that a search sees (`Table.val_regret`).
        tau: Kendall's τ between the scores of its searches and the truth over the whole space, the mean over runs; nan
            for searches without scores.
        at: costs in reference trainings.
        mean, low, high: of the regret at each cost, with the edges of a 95 % bootstrap band, nan with one run.
    """

    entry: str
    role: records.Role
    budget: float
    runs: int
    best_found: float
    val: float
    tau: float
    at: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


@dataclass
class _Runs:
    """What is kept of the runs of an entry, by the id of each."""

    curves: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    val: list[float] = field(default_factory=list)
    taus: list[float] = field(default_factory=list)


def regrets(folder: Path, table: Table) -> list[Regret]:
    """The regret of every entry and budget with runs on this state of a table, the lowest in the end first.

    Before its first step a search stands for an architecture like any other: its regret is that of its first
    incumbent.
    """
    entries: dict[tuple[str, records.Role, float], _Runs] = defaultdict(_Runs)
    for path in records.find(folder):
        for run in records.read(path):
            if isinstance(run, records.Unreadable) or run.status != "ok" or not _on(run, table):
                continue
            values = [step.metrics["regret"] for step in run.trajectory]
            curve = step_values([step.cost for step in run.trajectory], values, _grid(run.protocol.budget))
            curve[np.isnan(curve)] = values[0]
            runs = entries[run.strategy.entry, run.strategy.role, run.protocol.budget]
            if run.id in runs.curves:
                continue
            runs.curves[run.id] = curve
            runs.val.append(table.val_regret(run.trajectory[-1].incumbent))
            if isinstance(tau := run.diagnostics.get("rank_tau"), float):
                runs.taus.append(tau)
    found = []
    for (entry, role, budget), runs in sorted(entries.items()):
        rows = list(runs.curves.values())
        best = float(np.mean([row[-1] <= 0 for row in rows]))
        tau = float(np.mean(runs.taus)) if runs.taus else math.nan
        val = float(np.mean(runs.val))
        found.append(Regret(entry, role, budget, len(rows), best, val, tau, _grid(budget), *mean_band(rows)))
    return _sorted(found)


def _grid(budget: float) -> npt.NDArray[np.float64]:
    """The costs of a curve that ends with the budget."""
    return np.geomspace(min(FIRST, budget / 2), budget, POINTS)


def _sorted(found: Sequence[Regret]) -> list[Regret]:
    return sorted(found, key=lambda regret: (float(regret.mean[-1]), regret.entry))


def _on(run: records.Record, table: Table) -> bool:
    """Whether a record is of a run on this state of the table."""
    return (
        run.space.name == table.about.space.name
        and run.data.fingerprint == table.about.data.fingerprint
        and run.protocol.fingerprint.endswith(f":{table.fingerprint}")
    )


def to_csv(found: Sequence[Regret], table: Table) -> str:
    """Curves as CSV, a row for each point: all that a page needs of thousands of records."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in _sorted(found):
        numbers = map(_short, (one.best_found, one.val, one.tau))
        about = (table.fingerprint, no_formula(one.entry), one.role, _short(one.budget), one.runs, *numbers)
        for point in zip(one.at, one.mean, one.low, one.high, strict=True):
            writer.writerow([*about, *map(_short, point)])
    return text.getvalue()


def from_csv(path: Path, table: Table) -> list[Regret]:
    """The curves that `to_csv` wrote, the lowest in the end first; none of another state of the table.

    Raises:
        UsageError: the file cannot be read.
    """
    curves: dict[tuple[str, ...], list[tuple[float, ...]]] = defaultdict(list)
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        if tuple(rows[0]) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        for row in rows[1:]:
            if row[0] == table.fingerprint:
                curves[tuple(row[1:8])].append(tuple(map(float, row[8:12])))
        return _sorted(
            [
                Regret(
                    no_apostrophe(entry),
                    cast(records.Role, role),
                    float(budget),
                    int(runs),
                    float(best),
                    float(val),
                    float(tau),
                    *np.array(points).T,
                )
                for (entry, role, budget, runs, best, val, tau), points in curves.items()
            ]
        )
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): remove it, and name the runs with --results") from None


def _short(value: float) -> str:
    return f"{value:.6g}"
