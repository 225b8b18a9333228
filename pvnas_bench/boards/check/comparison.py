"""The comparison of fresh records with a baseline."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.check.accuracy import accuracy
from pvnas_bench.boards.check.exact import exact
from pvnas_bench.boards.check.findings import Check, Finding, board, seed_scores
from pvnas_bench.boards.check.speed import speed
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record

MARGIN = 0.02
"""Tolerated loss of mean top-1, a fraction."""
ALPHA = 0.01
"""Family-wise error rate: unchanged code whose runs are not deterministic fails one check in a hundred."""
SLOWDOWN = 1.25
"""Tolerated ratio of seconds, fresh to baseline, both relative to the reference workload."""


def compare(
    fresh: Sequence[Record],
    baseline: Sequence[Record],
    *,
    margin: float = MARGIN,
    alpha: float = ALPHA,
    slowdown: float = SLOWDOWN,
    require_all: bool = False,
) -> Check:
    """Compare fresh records with those of a baseline.

    Args:
        margin: tolerated loss of mean top-1, a fraction.
        alpha: family-wise error rate of the accuracy tests.
        slowdown: tolerated ratio of relative seconds.
        require_all: count an entry of the baseline without a fresh run as a regression.

    Raises:
        UsageError: the two have no board and entry in common, so nothing can be compared.
    """
    ours, theirs = _groups(fresh), _groups(baseline)
    shared = [key for key in theirs if key in ours]
    if not shared:
        raise UsageError(_nothing_shared(fresh, baseline))
    findings: list[Finding] = []
    for groups, which in ((ours, "fresh"), (theirs, "baseline")):
        for key in shared:
            groups[key], left_out = _of_one_source(groups[key], which)
            findings += left_out
    for key in theirs:
        if key in ours:
            findings += _failures(ours[key], theirs[key])
            findings += exact(ours[key], theirs[key])
        else:
            findings.append(_missing(theirs[key], fresh, required=require_all))
    findings += accuracy([(ours[key], theirs[key]) for key in shared], margin, alpha)
    findings += speed([r for key in shared for r in ours[key]], [r for key in shared for r in theirs[key]], slowdown)
    return Check(tuple(findings))


_Key = tuple[Any, ...]


def _groups(runs: Sequence[Record]) -> dict[_Key, list[Record]]:
    """Runs by board and entry, in a fixed order."""
    groups: dict[_Key, list[Record]] = defaultdict(list)
    for record in sorted(runs, key=lambda r: (r.strategy.entry, r.seed, r.provenance.created, r.id)):
        groups[(*leaderboard.board_key(record).values(), record.strategy.entry)].append(record)
    return dict(sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))))


def _of_one_source(runs: list[Record], which: str) -> tuple[list[Record], list[Finding]]:
    """Select a plug-in's runs of its latest source, with a finding about the others; sources are not averaged."""
    last = max(runs, key=lambda r: r.provenance.created)
    source = last.strategy.source
    selected = [run for run in runs if run.strategy.source == source]
    if source is None or source.builtin or len(selected) == len(runs):
        return runs, []
    count = len(runs) - len(selected)
    message = f"{count} {which} {'run' if count == 1 else 'runs'} of another source of {last.strategy.entry} left out"
    entry = last.strategy.entry
    return selected, [Finding("skipped", "failure", board(last), entry, "source", "", source.sha256[:8], message)]


def _nothing_shared(fresh: Sequence[Record], baseline: Sequence[Record]) -> str:
    if not fresh or not baseline:
        return f"nothing to check: {len(fresh)} fresh records and {len(baseline)} in the baseline, run the missing ones"
    entries = {r.strategy.entry for r in fresh} & {r.strategy.entry for r in baseline}
    if not entries:
        return "nothing to check: fresh records and baseline have no entry in common, run an entry of the baseline"
    entry = min(entries)
    ours = [leaderboard.board_key(r) for r in fresh if r.strategy.entry == entry]
    theirs = [leaderboard.board_key(r) for r in baseline if r.strategy.entry == entry]
    parts = [part for part in ours[0] if not {key[part] for key in ours} & {key[part] for key in theirs}]
    differ = ", ".join(parts) or "the combination of space, data and protocol"
    return (
        f"nothing to check: fresh records and baseline differ in {differ}, run with the baseline's or write a new "
        "baseline with --update"
    )


def _missing(reference: Sequence[Record], fresh: Sequence[Record], *, required: bool) -> Finding:
    first = reference[0]
    elsewhere = any(r.strategy.entry == first.strategy.entry for r in fresh)
    reason = "has fresh runs on other boards only" if elsewhere else "has no fresh run"
    return Finding(
        "regressed" if required else "skipped",
        "failure",
        board(first),
        first.strategy.entry,
        "runs",
        f"{len(reference)}",
        "0",
        f"{first.strategy.entry} {reason}",
    )


def _failures(fresh: Sequence[Record], reference: Sequence[Record]) -> Iterator[Finding]:
    if not seed_scores(reference):
        return
    known = {record.seed for record in reference} - seed_scores(reference).keys()  # seeds that failed before
    for record in fresh:
        if leaderboard.score(record) is None and record.status != "interrupted" and record.seed not in known:
            reason = record.error or f"status {record.status}, but without a valid test score"
            yield Finding(
                "regressed",
                "failure",
                board(record),
                record.strategy.entry,
                f"seed {record.seed}",
                "completed",
                record.status,
                f"seed {record.seed} failed: {reason}",
            )
