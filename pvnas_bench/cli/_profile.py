"""The command `profile`: a run without a record, and a table of its time by activity."""

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
"""Names of the clock's activities in the output; decoding has a separate line."""


class Profiled(Shown):
    """Shows a run on a display, and passes its clocks to the sampler."""

    def __init__(self, display: _progress.Display, samples: Samples) -> None:
        super().__init__(display)
        self._samples = samples

    def timed(self, clock: Clock) -> None:
        self._samples.begin(clock)


def profile(request: Request, *, functions: int, as_json: bool) -> int:
    """Run a request in a temporary folder, and print its time by activity.

    Args:
        functions: number of functions to list, of the strategy and of the harness.

    Raises:
        UsageError: the request cannot work.
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
    profiled = facts(record, ready, samples, functions)
    print(json.dumps(profiled) if as_json else describe(record, profiled))
    return EXIT_CODES[record.status]


def facts(record: records.Record, ready: float, samples: Samples, functions: int) -> dict[str, Any]:
    """Seconds by phase and activity; functions of strategy and harness with their shares of the run's samples."""
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
    """Seconds of a phase by activity.

    Args:
        strategys: the strategy's share of the time that the record assigns to the harness.
    """
    seconds = {WORDS.get(activity, activity): value for activity, value in cost.seconds.items()}
    both = seconds.pop(HARNESS, 0.0)
    return seconds | {STRATEGY: strategys * both, HARNESS: (1 - strategys) * both}


def describe(record: records.Record, profiled: Mapping[str, Any]) -> str:
    """Format the result of `facts` as a table."""
    phases = profiled["phases"]
    last = (STRATEGY, HARNESS)
    order = [*WORDS.values(), *sorted({a for p in phases.values() for a in p} - {*WORDS.values(), *last}), *last]
    lines = [
        f"{record.strategy.entry} on {record.space.name}, {record.data.name}, {record.protocol.name}, budget "
        f"{record.protocol.budget:g}, {counted(record.provenance.threads, 'thread')}, peak memory "
        f"{profiled['peak_memory_bytes'] / 2**20:.0f} MiB",
        f"{'':12}" + "".join(f"{name:>22}" for name in phases),
    ]
    for activity in order:
        cells = [_cell(phase.get(activity, 0.0), sum(phase.values())) for phase in phases.values()]
        lines.append(f"{activity:12}" + "".join(f"{cell:>22}" for cell in cells))
    lines.append(f"{'total':12}" + "".join(f"{sum(phase.values()):>20.1f} s" for phase in phases.values()))
    lines.append(f"{'decode':12}{profiled['decode']:>20.1f} s, including opening cached clips")
    for whose in last:
        if functions := profiled[f"{whose}_functions"]:
            lines += ["", f"where the {whose}'s time went, as a share of both phases:"]
            lines += [f"  {share:6.2%}  {function}" for function, share in functions.items()]
    return "\n".join(lines)


def _cell(seconds: float, total: float) -> str:
    return f"{seconds:.2f} s {seconds / total:6.1%}" if total else ""
