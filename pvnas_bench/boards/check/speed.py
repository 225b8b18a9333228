"""Speed: seconds of each workload relative to the reference workload."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from pvnas_bench.boards.check.findings import Finding
from pvnas_bench.records import Record


def speed(fresh: Sequence[Record], reference: Sequence[Record], slowdown: float) -> Iterator[Finding]:
    """Compare the relative seconds of each workload on equal machines; yield the findings."""
    machines = {_machine(r) for r in fresh if r.speed} & {_machine(r) for r in reference if r.speed}
    ours = _relative_seconds([r for r in fresh if _machine(r) in machines])
    theirs = _relative_seconds([r for r in reference if _machine(r) in machines or not machines])
    for name, before in theirs.items():
        after = ours.get(name)
        if after is None:
            elsewhere = not machines and any(r.speed and name in r.speed.seconds for r in fresh)
            reason = "was timed on other machines or libraries" if elsewhere else "was not timed"
            yield Finding("skipped", "speed", "", "", name, f"{before:.3g}", "", f"{name} {reason}")
            continue
        ratio = after / before if before > 0 else math.inf
        yield Finding(
            "regressed" if ratio > slowdown else "ok",
            "speed",
            "",
            "",
            name,
            f"{before:.3g}",
            f"{after:.3g}",
            f"{name} takes {ratio:.2f} times as long as before, relative to the reference workload",
        )


def _machine(record: Record) -> str:
    """Key of the conditions under which ratios of seconds are comparable; ratios depend on the processor."""
    provenance = record.provenance
    parts = [record.device, provenance.hardware, provenance.libraries, provenance.threads]
    return json.dumps(parts, sort_keys=True)


def _relative_seconds(runs: Sequence[Record]) -> dict[str, float]:
    """Median over runs of the seconds of each workload, relative to the run's reference workload."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in runs:
        if record.speed is not None:
            for name, seconds in record.speed.seconds.items():
                values[name].append(seconds / record.speed.reference_seconds)
    return {name: median(listed) for name, listed in sorted(values.items())}
