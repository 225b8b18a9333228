"""Deterministic quantities: compared exactly if everything that determines them is equal."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pvnas_bench.boards.check.findings import Finding, Verdict, board
from pvnas_bench.records import Record


def exact(fresh: Sequence[Record], reference: Sequence[Record]) -> Iterator[Finding]:
    """Compare the deterministic quantities of runs with equal seeds; yield the findings."""
    by_seed: dict[int, Record] = {record.seed: record for record in reference if record.outcome is not None}
    for record in fresh:
        other = by_seed.get(record.seed)
        if record.outcome is None or other is None or other.outcome is None:
            continue
        reason = _not_reproducible(record, other)
        if reason is None:
            yield from _differences(record, other, _fixed(record), _fixed(other))
        else:
            if record.outcome.architecture == other.outcome.architecture:
                yield from _differences(record, other, _architecture(record), _architecture(other))
            yield _finding("skipped", record, "trajectory", "", "", f"trajectory not compared: {reason}")


def _finding(verdict: Verdict, record: Record, quantity: str, before: str, after: str, message: str) -> Finding:
    where = f"seed {record.seed}: "
    return Finding(
        verdict, "exact", board(record), record.strategy.entry, where + quantity, before, after, where + message
    )


def _not_reproducible(record: Record, other: Record) -> str | None:
    """Reason why two runs with the same seed may differ; None if they must be equal to the last digit."""
    ours, theirs = record.provenance, other.provenance
    if not (ours.deterministic and theirs.deterministic):
        return "a run was not deterministic"
    if "interrupted" in (record.status, other.status):
        return "a run was interrupted"
    for name, mine, their in (
        ("device", record.device, other.device),
        ("hardware", ours.hardware, theirs.hardware),
        ("libraries", ours.libraries, theirs.libraries),
        ("threads", ours.threads, theirs.threads),
    ):
        if mine != their:
            return f"the runs differ in {name}"
    return None


def _architecture(record: Record) -> dict[str, Any]:
    assert record.outcome is not None
    return {"MACs": record.outcome.macs, "parameters": record.outcome.parameters}


def _fixed(record: Record) -> dict[str, Any]:
    """Quantities that a deterministic run repeats to the last digit."""
    assert record.outcome is not None
    return {
        **_architecture(record),
        "architecture": record.outcome.architecture,
        "steps": len(record.trajectory),
        "trajectory": [
            (step.step, step.cost, step.incumbent, step.macs, tuple(sorted(step.metrics.items())))
            for step in record.trajectory
        ],
        "budget used": record.search.reference_trainings,
        "MACs of the search": record.search.macs,
        "samples": record.search.samples,
        "architectures evaluated": record.search.architectures_evaluated,
    }


def _differences(record: Record, other: Record, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[Finding]:
    equal = True
    for name in ours:
        if _same(ours[name], theirs[name]):
            continue
        equal = False
        before, after, at = theirs[name], ours[name], ""
        if name == "trajectory":
            if len(before) != len(after):
                continue  # reported by "steps"
            index = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if not _same(a, b))
            before, after, at = before[index], after[index], f" at step {before[index][0]}"
        yield _finding("regressed", record, name + at, _short(before), _short(after), f"{name}{at} changed")
    if equal:
        names = ", ".join(name for name in ours if name not in ("steps",))
        yield _finding("ok", record, "exact", "", "", f"equal: {names}")


def _same(first: Any, second: Any) -> bool:
    """Return True if two values are equal; nan equals nan."""
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    return bool(first == second)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
