"""Regret curves of runs on a table: accuracy of the best architecture minus that of the incumbent, against cost."""

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
"""Points of a curve. Hundreds of records are read one at a time, and only these points are kept."""
FIRST = 0.5
"""Reference trainings at which the curves begin, when most searches have an incumbent."""
COLUMNS = ("table", "entry", "role", "budget", "runs", "best_found", "val", "tau", "cost", "mean", "low", "high")


@dataclass(frozen=True)
class Regret:
    """Regret of one entry with one budget over its seeds, in fractions of test clips.

    Attributes:
        budget: budget of each search in reference trainings.
        runs: number of completed runs, one per seed.
        best_found: share of runs that ended with the best architecture.
        val: mean final regret on search-val, which is all that a search sees (`Table.val_regret`).
        tau: Kendall's τ between the searches' scores and the true accuracies of the whole space, mean over runs; nan
            for searches without scores.
        at: costs in reference trainings.
        mean: mean regret at each cost.
        low, high: edges of its 95 % bootstrap band, nan with one run.
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
    """Data of the runs of an entry; curves by the run's id."""

    curves: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    val: list[float] = field(default_factory=list)
    taus: list[float] = field(default_factory=list)


def regrets(folder: Path, table: Table) -> list[Regret]:
    """Regret of every entry and budget with runs on this state of a table, lowest final regret first.

    Before the first step of a search, its regret is that of its first incumbent. Runs under a cap that leaves out
    networks of the table are searches of another task, and do not count.
    """
    largest = max(training.macs for name in table.architectures for training in table.trainings(name))
    entries: dict[tuple[str, records.Role, float], _Runs] = defaultdict(_Runs)
    for path in records.find(folder):
        for run in records.read(path):
            if isinstance(run, records.Unreadable) or run.status != "ok" or not on_table(run, table):
                continue
            if run.space.caps or run.space.cap_macs < largest:
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
    curves = []
    for (entry, role, budget), runs in sorted(entries.items()):
        rows = list(runs.curves.values())
        best = float(np.mean([row[-1] <= 0 for row in rows]))
        tau = float(np.mean(runs.taus)) if runs.taus else math.nan
        val = float(np.mean(runs.val))
        curves.append(Regret(entry, role, budget, len(rows), best, val, tau, _grid(budget), *mean_band(rows)))
    return _sorted(curves)


def _grid(budget: float) -> npt.NDArray[np.float64]:
    """Costs of the points of a curve, up to the budget."""
    return np.geomspace(min(FIRST, budget / 2), budget, POINTS)


def _sorted(curves: Sequence[Regret]) -> list[Regret]:
    return sorted(curves, key=lambda regret: (float(regret.mean[-1]), regret.entry))


def on_table(run: records.Record, table: Table) -> bool:
    """Return True if a record is of a run on this state of the table."""
    return (
        run.space.name == table.about.space.name
        and run.data.fingerprint == table.about.data.fingerprint
        and run.protocol.fingerprint.endswith(f":{table.fingerprint}")
    )


def to_csv(curves: Sequence[Regret], table: Table) -> str:
    """Render curves as CSV, a row for each point; a page needs nothing else of the records."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in _sorted(curves):
        numbers = map(_short, (one.best_found, one.val, one.tau))
        about = (table.fingerprint, no_formula(one.entry), one.role, _short(one.budget), one.runs, *numbers)
        for point in zip(one.at, one.mean, one.low, one.high, strict=True):
            writer.writerow([*about, *map(_short, point)])
    return text.getvalue()


def from_csv(path: Path, table: Table) -> list[Regret]:
    """Read the curves written by `to_csv` for this state of the table, lowest final regret first.

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
        raise UsageError(f"{path} cannot be read ({error}): remove it and name the runs with --results") from None


def _short(value: float) -> str:
    return f"{value:.6g}"
