"""The command `profile`: a run whose record is dropped, and a table of where its time went."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pvnas_bench import records
from pvnas_bench.cli import INTERRUPTED, _progress
from pvnas_bench.cli._run import EXIT_CODES, Shown
from pvnas_bench.runs.profiling import HARNESS, STRATEGY, Samples, sampled
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.system.text import counted
from pvnas_bench.training.workbench import Clock

WORDS: Mapping[str, str] = {"data": "augment", "forward": "forward", "backward": "backward", "optimiser": "optimiser"}
"""What each activity of the clock is called here; decoding has its own line."""


class Profiled(Shown):
    """Shows a run, and tells the sampler which clock counts."""

    def __init__(self, display: _progress.Display, samples: Samples) -> None:
        super().__init__(display)
        self._samples = samples

    def timed(self, clock: Clock) -> None:
        self._samples.begin(clock)


def profile(request: Request, *, functions: int, as_json: bool) -> int:
    """Run a request in a folder that is removed, and print where the time went.

    Args:
        functions: how many functions to name of the strategy, and of the harness.

    Raises:
        UsageError: something asked for cannot be done.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, _progress.display() as display, sampled() as samples:
            start = time.perf_counter()
            run = Run(replace(request, results=Path(folder)), Profiled(display, samples))
            ready = time.perf_counter() - start
            record, _ = run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if record.error:
        print(f"{record.status}: {record.error}", file=sys.stderr)
    found = facts(record, ready, samples, functions)
    print(json.dumps(found) if as_json else describe(record, found))
    return EXIT_CODES[record.status]


def facts(record: records.Record, ready: float, samples: Samples, functions: int) -> dict[str, Any]:
    """Seconds by phase and activity, and functions of strategy and harness with their share of the run's samples."""
    phases = {"search": record.search} | ({"final training": record.outcome.cost} if record.outcome else {})
    return {
        "decode": ready,
        "phases": {
            name: seconds_of(cost, samples.strategys(at) if at < len(samples.phases) else 0.0)
            for at, (name, cost) in enumerate(phases.items())
        },
        "peak_memory_bytes": max(cost.peak_memory_bytes for cost in phases.values()),
        "strategy_functions": dict(samples.top(STRATEGY, functions)),
        "harness_functions": dict(samples.top(HARNESS, functions)),
    }


def seconds_of(cost: records.PhaseCost, strategys: float) -> dict[str, float]:
    """By activity; of what the record calls the harness's, the strategy's share on its own."""
    found = {WORDS.get(activity, activity): seconds for activity, seconds in cost.seconds.items()}
    both = found.pop(HARNESS, 0.0)
    return found | {STRATEGY: strategys * both, HARNESS: (1 - strategys) * both}


def describe(record: records.Record, found: Mapping[str, Any]) -> str:
    """The same as a table."""
    phases = found["phases"]
    last = (STRATEGY, HARNESS)
    order = [*WORDS.values(), *sorted({a for p in phases.values() for a in p} - {*WORDS.values(), *last}), *last]
    lines = [
        f"{record.strategy.entry} on {record.space.name}, {record.data.name}, {record.protocol.name}, budget "
        f"{record.protocol.budget:g}, {counted(record.provenance.threads, 'thread')}, peak memory "
        f"{found['peak_memory_bytes'] / 2**20:.0f} MiB",
        f"{'':12}" + "".join(f"{name:>22}" for name in phases),
    ]
    for activity in order:
        cells = [_cell(phase.get(activity, 0.0), sum(phase.values())) for phase in phases.values()]
        lines.append(f"{activity:12}" + "".join(f"{cell:>22}" for cell in cells))
    lines.append(f"{'in all':12}" + "".join(f"{sum(phase.values()):>20.1f} s" for phase in phases.values()))
    lines.append(f"{'decode':12}{found['decode']:>20.1f} s, and opening clips that were decoded before")
    for whose in last:
        if functions := found[f"{whose}_functions"]:
            lines += ["", f"where the {whose}'s time went, as a share of both phases:"]
            lines += [f"  {share:6.2%}  {function}" for function, share in functions.items()]
    return "\n".join(lines)


def _cell(seconds: float, total: float) -> str:
    return f"{seconds:.2f} s {seconds / total:6.1%}" if total else ""
