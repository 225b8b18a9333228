"""The gate for continuous integration: do fresh records hold what reference records promise?

What is compared, of runs that share a board and an entry:

- *Accuracy*: test top-1 over seeds, by a one-sided test of "worse than the baseline by more than the margin" (see
  `worse_p`), Holm-adjusted over all entries.
- *Deterministic quantities*, exactly. MACs and parameters wherever both sides found the same architecture; the
  whole trajectory, the architecture and the budget used where a run with the same seed was deterministic on the same
  device, hardware and library versions. Where these differ the comparison is skipped, and said to be.
- *Speed*: seconds of each piece of work beside the reference workload's of the same process, fresh over baseline, of
  runs on the same device, hardware, threads and library versions.
- *Failures*: a run that failed where the baseline has a completed run of that entry.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pvnas_bench import records
from pvnas_bench.boards import leaderboard, statistics
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.system.files import read_whole, write_atomically

MARGIN = 0.02
"""A loss of mean top-1 up to this is tolerated, as a fraction."""
ALPHA = 0.01
"""Family-wise: an unchanged tree whose runs are not deterministic fails once in a hundred checks."""
SLOWDOWN = 1.25
"""A piece of work may take so many times what the baseline's took, both relative to the reference workload."""
LARGEST = 2**30
"""Bytes of a baseline."""

Kind = Literal["accuracy", "exact", "speed", "failure"]
Verdict = Literal["ok", "regressed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One comparison."""

    verdict: Verdict
    kind: Kind
    board: str
    entry: str
    quantity: str
    baseline: str
    fresh: str
    message: str


@dataclass(frozen=True)
class Check:
    """All comparisons of fresh records with a baseline."""

    findings: tuple[Finding, ...]

    @property
    def regressed(self) -> tuple[Finding, ...]:
        """What makes the check fail."""
        return tuple(finding for finding in self.findings if finding.verdict == "regressed")

    @property
    def exit_code(self) -> int:
        """1 if anything regressed."""
        return 1 if self.regressed else 0


def load_baseline(path: Path) -> list[Record]:
    """Reference records: a folder of records, one record, or a JSON array of records.

    Unlike a results folder a baseline may not have unreadable files: what is not compared cannot fail.

    Raises:
        UsageError: there is no such file, or something in it is no record.
    """
    if path.is_dir():
        found, unreadable = records.require_records(path)
        if unreadable:
            raise UsageError(f"baseline {unreadable[0].path} is unreadable ({unreadable[0].reason}): mend or remove it")
        return found
    try:
        if path.name.endswith(records.FILE_NAME):
            return [records.load(path)]
        return TypeAdapter(list[Record]).validate_json(read_whole(path, LARGEST))
    except OSError as error:
        raise UsageError(f"cannot read baseline {path} ({error.strerror}): name a file or folder of records") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise UsageError(
            f"baseline {path} is no JSON array of records ({where}: {first['msg']}): write it anew"
        ) from None
    except ValueError as error:
        raise UsageError(f"baseline {path} is unreadable ({error}): write it anew") from None


def save_baseline(found: Sequence[Record], path: Path) -> None:
    """Write records as the JSON array that `load_baseline` reads, in an order that makes changes readable."""
    ordered = sorted(found, key=lambda r: (r.board, r.strategy.entry, r.seed, r.id))
    lines = ",\n".join(record.model_dump_json() for record in ordered)
    write_atomically(path, f"[\n{lines}\n]\n".encode())


def compare(
    fresh: Sequence[Record],
    baseline: Sequence[Record],
    *,
    margin: float = MARGIN,
    alpha: float = ALPHA,
    slowdown: float = SLOWDOWN,
    require_all: bool = False,
) -> Check:
    """Compare fresh records with reference ones.

    Args:
        margin: tolerated loss of mean top-1, a fraction.
        alpha: family-wise error of the accuracy tests.
        slowdown: tolerated ratio of relative seconds.
        require_all: an entry of the baseline without any fresh run is a regression too.

    Raises:
        UsageError: the two have no board and entry in common, so that nothing would be checked.
    """
    ours, theirs = _groups(fresh), _groups(baseline)
    shared = [key for key in theirs if key in ours]
    if not shared:
        raise UsageError(_nothing_shared(fresh, baseline))
    findings: list[Finding] = []
    for key in theirs:
        if key in ours:
            findings += _failures(ours[key], theirs[key])
            findings += _exact(ours[key], theirs[key])
        else:
            findings.append(_missing(theirs[key], fresh, required=require_all))
    findings += _accuracy([(ours[key], theirs[key]) for key in shared], margin, alpha)
    findings += _speed([r for key in shared for r in ours[key]], [r for key in shared for r in theirs[key]], slowdown)
    return Check(tuple(findings))


_Key = tuple[Any, ...]


def _groups(found: Sequence[Record]) -> dict[_Key, list[Record]]:
    """Runs by board and entry, in a fixed order."""
    groups: dict[_Key, list[Record]] = defaultdict(list)
    for record in sorted(found, key=lambda r: (r.strategy.entry, r.seed, r.provenance.created, r.id)):
        groups[(*leaderboard.board_key(record).values(), record.strategy.entry)].append(record)
    return dict(sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))))


def _board(record: Record) -> str:
    return f"{record.space.name} (cap {record.space.cap}) · {record.data.name} · {record.protocol.name}"


def _nothing_shared(fresh: Sequence[Record], baseline: Sequence[Record]) -> str:
    if not fresh or not baseline:
        return f"nothing to check: {len(fresh)} fresh records and {len(baseline)} of the baseline, run the missing ones"
    entries = {r.strategy.entry for r in fresh} & {r.strategy.entry for r in baseline}
    if not entries:
        return "nothing to check: no fresh record is of an entry of the baseline, run one of its entries"
    entry = min(entries)
    ours = [leaderboard.board_key(r) for r in fresh if r.strategy.entry == entry]
    theirs = [leaderboard.board_key(r) for r in baseline if r.strategy.entry == entry]
    parts = [part for part in ours[0] if not {key[part] for key in ours} & {key[part] for key in theirs}]
    differ = ", ".join(parts) or "the combination of space, data and protocol"
    return f"nothing to check: fresh records and baseline differ in {differ}, run the baseline's or renew the baseline"


def _missing(reference: Sequence[Record], fresh: Sequence[Record], *, required: bool) -> Finding:
    first = reference[0]
    elsewhere = any(r.strategy.entry == first.strategy.entry for r in fresh)
    reason = "has fresh runs on other boards only" if elsewhere else "has no fresh run"
    return Finding(
        "regressed" if required else "skipped",
        "failure",
        _board(first),
        first.strategy.entry,
        "runs",
        f"{len(reference)}",
        "0",
        f"{first.strategy.entry} {reason}",
    )


def _failures(fresh: Sequence[Record], reference: Sequence[Record]) -> Iterator[Finding]:
    if not _seed_scores(reference):
        return
    known = {record.seed for record in reference} - _seed_scores(reference).keys()  # seeds that failed before, too
    for record in fresh:
        if leaderboard.score(record) is None and record.status != "interrupted" and record.seed not in known:
            reason = record.error or f"status {record.status}, but no valid test score"
            yield Finding(
                "regressed",
                "failure",
                _board(record),
                record.strategy.entry,
                f"seed {record.seed}",
                "completed",
                record.status,
                f"seed {record.seed} failed: {reason}",
            )


# Accuracy.


def _accuracy(
    pairs: Sequence[tuple[Sequence[Record], Sequence[Record]]], margin: float, alpha: float
) -> Iterator[Finding]:
    tested: list[tuple[Record, dict[int, float], dict[int, float], float]] = []
    for fresh, reference in pairs:
        ours, theirs = _seed_scores(fresh), _seed_scores(reference)
        if ours and theirs:
            tested.append((reference[0], ours, theirs, worse_p(theirs, ours, margin, _test_clips(reference[0]))))
    adjusted = statistics.holm([p for *_, p in tested])
    for (record, ours, theirs, _), p in zip(tested, adjusted.tolist(), strict=True):
        before, after = float(np.mean(list(theirs.values()))), float(np.mean(list(ours.values())))
        change = f"mean top-1 {100 * (after - before):+.2f} points over {len(theirs)} and {len(ours)} seeds"
        yield Finding(
            "regressed" if p < alpha else "ok",
            "accuracy",
            _board(record),
            record.strategy.entry,
            "test top-1",
            f"{100 * before:.2f} %",
            f"{100 * after:.2f} %",
            f"{change}, p = {p:.2g} of a loss beyond {100 * margin:g} points",
        )


def _seed_scores(found: Sequence[Record]) -> dict[int, float]:
    """The top-1 of each seed with a completed run; several runs of a seed are averaged."""
    seeds: dict[int, list[float]] = defaultdict(list)
    for record in found:
        result = leaderboard.score(record)
        if result is not None:
            seeds[record.seed].append(result.top1)
    return {seed: float(np.mean(scores)) for seed, scores in seeds.items()}


def _test_clips(record: Record) -> int:
    return max(record.data.clips.get("test", 1), 1)


def worse_p(reference: Mapping[int, float], fresh: Mapping[int, float], margin: float, clips: int) -> float:
    """p value of the one-sided test that the fresh mean is below the reference mean by more than the margin.

    Two tests, and twice the smaller p value of both: the t test of the differences of shared seeds, which is sharp
    where a seed fixes most of a run, and the t test of two samples with pooled variance, which uses every seed.
    With a single run on each side it is the test of two proportions. A score is a count of clips, so no standard
    deviation is taken to be below one clip.

    Args:
        reference, fresh: the score of each seed.
        clips: test clips behind each score.
    """
    before, after = np.array(list(reference.values())), np.array(list(fresh.values()))
    if len(before) + len(after) == 2:
        variance = float(before[0] * (1 - before[0]) + after[0] * (1 - after[0])) / clips
        error = max(math.sqrt(variance), 1 / clips)
        return 0.5 * math.erfc(float(before[0] - after[0] - margin) / error / math.sqrt(2))
    p_values = [
        _t_p(before.mean() - after.mean() - margin, _pooled(before, after, clips), len(before) + len(after) - 2)
    ]
    shared = sorted(reference.keys() & fresh.keys())
    if len(shared) > 1:
        loss = np.array([reference[seed] - fresh[seed] for seed in shared])
        error = max(float(loss.std(ddof=1)), 1 / clips) / math.sqrt(len(shared))
        p_values.append(_t_p(loss.mean() - margin, error, len(shared) - 1))
    return min(1.0, len(p_values) * min(p_values))


def _pooled(first: statistics.Floats, second: statistics.Floats, clips: int) -> float:
    """Standard error of the difference of two means, from the variance within both."""
    squares = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum())
    deviation = max(math.sqrt(squares / (len(first) + len(second) - 2)), 1 / clips)
    return deviation * math.sqrt(1 / len(first) + 1 / len(second))


def _t_p(shortfall: float, error: float, freedom: int) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, -float(shortfall) / error))


# Deterministic quantities.


def _exact(fresh: Sequence[Record], reference: Sequence[Record]) -> Iterator[Finding]:
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
        verdict, "exact", _board(record), record.strategy.entry, where + quantity, before, after, where + message
    )


def _not_reproducible(record: Record, other: Record) -> str | None:
    """Why two runs with the same seed need not be equal to the last digit."""
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
    """What a deterministic run must repeat to the last digit."""
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
                continue  # "steps" says so
            index = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if not _same(a, b))
            before, after, at = before[index], after[index], f" at step {before[index][0]}"
        yield _finding("regressed", record, name + at, _short(before), _short(after), f"{name}{at} changed")
    if equal:
        names = ", ".join(name for name in ours if name not in ("steps",))
        yield _finding("ok", record, "exact", "", "", f"equal: {names}")


def _same(first: Any, second: Any) -> bool:
    """Equality in which nan is equal to itself."""
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    return bool(first == second)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


# Speed.


def _speed(fresh: Sequence[Record], reference: Sequence[Record], slowdown: float) -> Iterator[Finding]:
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
            f"{name} takes {ratio:.2f} times what it took, relative to the reference workload",
        )


def _machine(record: Record) -> str:
    """What two runs must share for their ratios to agree: processors differ in what they are good at."""
    provenance = record.provenance
    parts = [record.device, provenance.hardware, provenance.libraries, provenance.threads]
    return json.dumps(parts, sort_keys=True)


def _relative_seconds(found: Sequence[Record]) -> dict[str, float]:
    """Of each piece of work the median over runs of its seconds, in units of the run's reference workload."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in found:
        if record.speed is not None:
            for name, seconds in record.speed.seconds.items():
                values[name].append(seconds / record.speed.reference_seconds)
    return {name: median(listed) for name, listed in sorted(values.items())}


# Writing checks down.


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def render_terminal(check: Check) -> str:
    """A table of what regressed and what was skipped, and one line of counts."""
    lines = []
    shown = [f for verdict in ("regressed", "skipped") for f in check.findings if f.verdict == verdict]
    if shown:
        header = ("", "what", "entry", "quantity", "baseline", "fresh")
        table = [header] + [
            (f.verdict.upper(), f.kind, _plain(f.entry), _plain(f.quantity), _plain(f.baseline), _plain(f.fresh))
            for f in shown
        ]
        widths = [max(len(row[column]) for row in table) for column in range(len(header))]
        for number, (row, finding) in enumerate(zip(table, [None, *shown], strict=True)):
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if number == 0:
                lines.append("  ".join("─" * width for width in widths))
            elif finding is not None:
                where = f" [{finding.board}]" if finding.board else ""
                lines.append(f"    {_plain(finding.message)}{_plain(where)}")
    count = {verdict: sum(f.verdict == verdict for f in check.findings) for verdict in ("ok", "regressed", "skipped")}
    lines.append(f"{count['regressed']} regressed, {count['ok']} hold, {count['skipped']} not compared")
    return "\n".join(lines) + "\n"


def to_junit(check: Check) -> str:
    """JUnit XML: one test case for each comparison."""
    suite = ElementTree.Element(
        "testsuite",
        name="pvnas_bench check",
        tests=str(len(check.findings)),
        failures=str(len(check.regressed)),
        errors="0",
        skipped=str(sum(f.verdict == "skipped" for f in check.findings)),
    )
    for finding in check.findings:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_plain(" / ".join(part for part in (finding.board, finding.entry) if part) or "speed"),
            name=_plain(f"{finding.kind}: {finding.quantity}"),
        )
        if finding.verdict != "ok":
            name = "failure" if finding.verdict == "regressed" else "skipped"
            note = ElementTree.SubElement(case, name, message=_plain(finding.message))
            if finding.verdict == "regressed":
                note.text = _plain(f"baseline: {finding.baseline} fresh: {finding.fresh}")
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def to_github(check: Check) -> str:
    """Workflow commands that GitHub shows as annotations: an error for each regression."""
    lines = []
    for finding in check.regressed:
        title = _escape(f"{finding.kind}: {finding.entry or finding.quantity}", ":,")
        message = f"{finding.message} (baseline {finding.baseline}, fresh {finding.fresh})"
        lines.append(f"::error title={title}::{_escape(message)}\n")
    return "".join(lines)


def _escape(text: str, further: str = "") -> str:
    """GitHub's escapes for the values of workflow commands."""
    for character in "%\r\n" + further:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
