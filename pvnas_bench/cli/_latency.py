"""The command `latency`: the table of this machine, and its error on networks."""

import json
import sys
from pathlib import Path
from typing import Any

from pvnas_bench import registry
from pvnas_bench.api import progress as bars
from pvnas_bench.cli import INTERRUPTED, OK
from pvnas_bench.errors import UsageError
from pvnas_bench.network.families import cost_model
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.records import Record, require_records
from pvnas_bench.runs import latency
from pvnas_bench.space import SearchSpace
from pvnas_bench.system import machine
from pvnas_bench.system.text import counted
from pvnas_bench.training import process
from pvnas_bench.video import open_dataset


def show(
    space: str,
    dataset: str | None,
    architectures: list[str],
    results: Path | None = None,
    *,
    networks: int,
    device: str,
    threads: int | None,
    precision: str,
    again: bool,
    as_json: bool,
) -> int:
    """Measure the table of a space if there is none, then predict and measure networks.

    Args:
        dataset: the data set whose classes the networks tell apart; None: as many classes as make no difference.
        architectures: those to measure; none: random ones.
        results: folder of runs whose networks are measured instead.

    Raises:
        UsageError: something asked for cannot be done.
    """
    searched = registry.get_space(space)
    chosen = [searched.parse(string) for string in architectures]
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f"a precision is float32 or bfloat16, got {precision!r}: change --precision")
    place = latency.Place(
        process.choose_device(device), threads or machine.usable_cores(), True, precision == "bfloat16"
    )
    try:
        with bars.display() as display:
            observer = bars.Shown(display)
            classes = CLASSES if dataset is None else len(open_dataset(dataset, progress=observer.making).classes)
            table = latency.open_table(searched, classes, place, None, observer, again=again)
            costs = cost_model(searched, classes, table)
            runs = _runs(results, searched, table) if results is not None else []
            chosen += [searched.parse(run.outcome.architecture) for run in runs if run.outcome]
            if chosen:
                predictions = latency.measured_predictions(searched, costs, place, chosen, observer)
            else:
                predictions = latency.check(searched, costs, place, networks, observer)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    found: dict[str, Any] = {
        "space": searched.name,
        "table": str(latency.table_path(searched, classes, place, None)),
        "fingerprint": table.fingerprint,
        "layers": len(table.milliseconds),
        "overhead_ms": table.overhead_ms,
        "layer_ms": table.layer_ms,
        "scale": table.scale,
        "machine": place.identity,
        **latency.summary(predictions),
        "experts": {name: costs(network).latency_ms for name, network in searched.experts.items()},
        "predictions": latency.rows(predictions),
    }
    if runs:
        caps = [run.space.caps["latency"] for run in runs]
        measured = [p.measured_ms for p in predictions[-len(runs) :]]
        found["runs"] = len(runs)
        found["runs_under"] = sum(ms <= TOLERANCE * cap for ms, cap in zip(measured, caps, strict=True))
        found["runs_highest"] = max(ms / cap for ms, cap in zip(measured, caps, strict=True))
    print(json.dumps(found) if as_json else describe(searched, found, place, listed=bool(chosen)))
    return OK


CLASSES = 16
TOLERANCE = 1.05
"""Measured latency over the cap up to which a run's network keeps to it."""


def _runs(results: Path, space: SearchSpace, table: LatencyTable) -> list[Record]:
    """The finished runs of a folder under a cap on the latency of this table.

    Raises:
        UsageError: there is none.
    """
    found, _ = require_records(results, detail="scores")
    runs = [
        run
        for run in found
        if run.status == "ok"
        and run.outcome
        and "latency" in run.space.caps
        and run.space.fingerprint.startswith(f"{space.fingerprint}:")
        and run.space.fingerprint.endswith(f":{table.fingerprint}")
    ]
    if not runs:
        raise UsageError(
            f"no finished run in {results} has a cap on latency of {space.name} by this machine's table "
            f"{table.fingerprint}: give the --dataset, --threads and --device of the runs"
        )
    return runs


def describe(space: SearchSpace, found: dict[str, Any], place: latency.Place, *, listed: bool) -> str:
    """The same as lines."""
    lines = [
        f"{space.name} on {found['machine']['processor']}, {place.device}, {counted(place.threads, 'thread')}: "
        f"{counted(found['layers'], 'layer')} timed",
        f"  latency       {found['overhead_ms']:.3f} ms + {found['layer_ms']:.4f} ms a layer + "
        f"{found['scale']:.3f} × the layers alone",
        f"  error         median {found['error_median']:.1%}, 90 % of {counted(found['networks'], 'network')} within "
        f"{found['error_p90']:.1%}, most {found['error_most']:.1%}; bias {found['bias']:+.1%}",
        f"  measurements  spread {found['spread']:.1%} (median over the least of the rounds, minus 1)",
        f"  order         Kendall's τ {found['tau']:.3f} between predicted and measured",
        "  hand-designed " + ", ".join(f"{name} {ms:.3g} ms" for name, ms in found["experts"].items()),
        f"  table         {Path(found['table'])} ({found['fingerprint']})",
    ]
    if "runs" in found:
        lines.append(
            f"  runs          {found['runs_under']} of {found['runs']} measured within {TOLERANCE:g} × their cap, the "
            f"highest {found['runs_highest']:.3f} ×"
        )
    if listed:
        lines += [
            f"{row['predicted_ms']:9.3f} ms predicted {row['measured_ms']:9.3f} ms measured {row['error']:+7.1%}  "
            f"{row['architecture']}"
            for row in found["predictions"]
        ]
    return "\n".join(lines)
