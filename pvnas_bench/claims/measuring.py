"""From the records of a claim's runs to what was measured."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pvnas_bench.claims.definition import Claim, ClaimTest
from pvnas_bench.claims.metrics import Missing, Value
from pvnas_bench.claims.results import EntryRuns, Measured, Pair, Result
from pvnas_bench.records import Record
from pvnas_bench.table.table import Table

Runs = Mapping[str, Mapping[int, Record]]
"""Records by entry, as the claim writes it, and seed."""
SHOWN = 5
"""Largest number of reasons for missing pairs that a result keeps."""


def measure(claim: Claim, runs: Runs, table: Table | None) -> Result:
    """Measure the tests of a claim.

    Args:
        runs: what there is; missing and failed runs are named in the result.
        table: the table of the claim's space and data set, if its setting is tabular.
    """
    return Result(
        claim=claim.name,
        sha256=claim.sha256,
        tests=tuple(_measured(test, claim.setting.all_seeds, runs, table) for test in claim.tests),
        entries=tuple(_entry(entry, runs.get(entry, {})) for entry in claim.entries),
    )


def _measured(test: ClaimTest, seeds: Sequence[int], runs: Runs, table: Table | None) -> Measured:
    pairs: list[Pair] = []
    missing: dict[str, list[int]] = defaultdict(list)
    for seed in seeds:
        try:
            pairs.append(_pair(test, seed, runs, table))
        except Missing as reason:
            missing[str(reason)].append(seed)
    said = [f"{reason} (seeds {', '.join(map(str, at[:3]))}{', …' * (len(at) > 3)})" for reason, at in missing.items()]
    return Measured(title=test.title, pairs=tuple(pairs), missing=tuple(said[:SHOWN]))


def _pair(test: ClaimTest, seed: int, runs: Runs, table: Table | None) -> Pair:
    run = _run(test.entry, seed, runs)
    other = None if test.against is None else _run(test.against, seed, runs)
    value = _value(test, test.entry, run, table, other)
    against = None if other is None or test.against is None else _value(test, test.against, other, table, None)
    return Pair(
        seed=seed,
        value=value.value,
        against=None if against is None else against.value,
        censored=value.censored,
        against_censored=against is not None and against.censored,
    )


def _run(entry: str, seed: int, runs: Runs) -> Record:
    run = runs.get(entry, {}).get(seed)
    if run is None:
        raise Missing(f"{entry} has not run")
    if run.status != "ok":
        raise Missing(f"{entry}: the run ended with status {run.status}")
    return run


def _value(test: ClaimTest, entry: str, run: Record, table: Table | None, other: Record | None) -> Value:
    try:
        value = test.metric(run, table, other)
    except Missing as reason:
        raise Missing(f"{entry}: {reason}") from None
    if not math.isfinite(value.value) or (test.metric.ratio and value.value <= 0):
        raise Missing(f"{entry}: {value.value:g} is no value of {test.metric.name}")
    return value


def _entry(entry: str, runs: Mapping[int, Record]) -> EntryRuns:
    phases = [run.search for run in runs.values()] + [run.outcome.cost for run in runs.values() if run.outcome]
    seconds = [phase.cpu_seconds - phase.seconds.get("table", 0.0) for phase in phases]
    sources = {run.strategy.source.sha256[:12] for run in runs.values() if run.strategy.source is not None}
    return EntryRuns(
        entry=entry,
        board=tuple(sorted({"/".join(map(str, (*run.board, run.protocol.budget))) for run in runs.values()})),
        runs=len(runs),
        cpu_seconds=round(math.fsum(seconds), 1),
        sources=tuple(sorted(sources)),
        versions=tuple(sorted({run.provenance.pvnas_bench for run in runs.values()})),
    )
