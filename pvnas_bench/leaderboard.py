"""The leaderboard: a pure function of records.

`build` sorts records into boards, one for each set of fingerprints, and each board's runs into rows, one for
each entry (a strategy with the hyper-parameters that differ from its defaults). The `render_…` and `to_…`
functions write boards down; the same records always give the same bytes.

How a row's score comes about:

- A run's score is the mean over its retrainings; an entry's unit is the *seed*. Several runs of one entry with
  one seed are averaged, never chosen from, so that doing a run again neither helps nor narrows an interval.
- A run that failed, timed out, scored not a number, or found an architecture above the cap is a failure. A seed
  with failures only is imputed with the mean of the random-sampling control on the same board, or with chance
  level (1 / classes) where the board has none; the board says which.
- An interrupted run had less than the budget: it is counted and not scored.
"""

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from pvnas_bench import statistics
from pvnas_bench.records import Record, Role, Summary, without_cycle_collection

AnyRecord = Record | Summary


@dataclass(frozen=True)
class Row:
    """One entry of a board. Accuracies and improvement are fractions, seconds are wall or CPU seconds.

    What no run of the entry measured is None. Costs, MACs, parameters and latency are means over the entry's
    completed runs, peak memory is their maximum.
    """

    rank: int
    rank_low: int | None
    rank_high: int | None
    tie_group: int
    entry: str
    strategy: str
    role: Role
    seeds: int
    runs: int
    failures: int
    interrupted: int
    top1_mean: float
    top1_mean_low: float | None
    top1_mean_high: float | None
    top1_iqm: float
    top1_iqm_low: float | None
    top1_iqm_high: float | None
    top5: float
    mean_class: float
    improvement: float | None
    improvement_low: float | None
    improvement_high: float | None
    macs: float | None
    parameters: float | None
    latency_ms: float | None
    search_reference_trainings: float | None
    search_wall_seconds: float | None
    search_cpu_seconds: float | None
    search_peak_memory_bytes: int | None
    architectures_evaluated: float | None


@dataclass(frozen=True)
class Board:
    """The rows of one set of fingerprints, best mean top-1 first."""

    space: str
    data: str
    protocol: str
    cap: str
    cap_macs: int
    budget: float
    classes: int
    fingerprints: dict[str, str]
    """Of space, data and protocol."""
    differs: tuple[str, ...]
    """The parts in which this board's runs differ from those of the other boards: space, data, protocol, cap, budget.
    """
    rows: tuple[Row, ...]
    underpowered: bool
    """Too few seeds for any test to declare a winner."""
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Space, cap, data set and protocol in one line."""
        return f"{self.space} (cap {self.cap}) · {self.data} · {self.protocol}"


class Score(NamedTuple):
    """A run's test result: the means over its retrainings."""

    top1: float
    top5: float
    mean_class: float


@dataclass
class _Entry:
    """The runs of one entry on one board."""

    entry: str
    strategy: str
    role: Role
    completed: dict[int, list[tuple[AnyRecord, Score]]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    interrupted: int = 0
    scores: dict[int, Score] = field(default_factory=dict)
    """Of each seed, after imputation."""


def score(record: AnyRecord) -> Score | None:
    """The test result of a run; None where the run is no valid completed one (see the module's first lines)."""
    outcome = record.outcome
    if record.status != "ok" or outcome is None or not outcome.trained or outcome.macs > record.space.cap_macs:
        return None
    return _finite(_mean_score([Score(t.test_top1, t.test_top5, t.test_mean_class) for t in outcome.trained]))


def _finite(score: Score) -> Score | None:
    return score if math.isfinite(score.top1 + score.top5 + score.mean_class) else None


def board_key(record: AnyRecord) -> dict[str, Any]:
    """What must agree for two runs to share a board: the three fingerprints, the cap and the budget."""
    return {
        "space": record.space.fingerprint,
        "data": record.data.fingerprint,
        "protocol": record.protocol.fingerprint,
        "cap": record.space.cap_macs,
        "budget": record.protocol.budget,
    }


def build(records: Sequence[AnyRecord]) -> list[Board]:
    """Boards of these records, in the order of their names; runs with different fingerprints never share one."""
    with without_cycle_collection():
        return _build(records)


def _build(records: Sequence[AnyRecord]) -> list[Board]:
    groups: dict[tuple[Any, ...], list[AnyRecord]] = defaultdict(list)
    for record in records:
        groups[tuple(board_key(record).values())].append(record)
    keys = [board_key(runs[0]) for runs in groups.values()]
    differs = tuple(part for part in (keys[0] if keys else ()) if len({key[part] for key in keys}) > 1)
    boards = [_board(runs, differs) for runs in groups.values()]
    boards.sort(key=lambda b: (b.space, b.cap_macs, b.data, b.protocol, b.budget, *b.fingerprints.values()))
    return _with_namesakes(boards)


def _board(runs: Sequence[AnyRecord], differs: tuple[str, ...]) -> Board:
    runs = sorted(runs, key=lambda r: (r.strategy.entry, r.seed, r.provenance.created, r.id))
    first = runs[0]
    entries = _entries(runs)
    chance = 1 / max(len(first.data.classes), 1)
    control = _control_scores([entry for entry in entries if entry.role == "random_control"])
    imputed = _mean_score(control) if control else Score(chance, min(1.0, 5 * chance), chance)
    for entry in entries:
        _impute(entry, imputed)
    entries = [entry for entry in entries if entry.scores]
    order = sorted(entries, key=lambda e: (-_top1(e).mean(), _mean_macs(e) or math.inf, e.entry))
    different, power = _differences(order)
    rows = _rows(order, np.array([s.top1 for s in control]), different)
    return Board(
        space=f"{first.space.name} v{first.space.version}",
        data=first.data.name,
        protocol=f"{first.protocol.name} v{first.protocol.version}",
        cap=first.space.cap,
        cap_macs=first.space.cap_macs,
        budget=first.protocol.budget,
        classes=len(first.data.classes),
        fingerprints={
            "space": first.space.fingerprint,
            "data": first.data.fingerprint,
            "protocol": first.protocol.fingerprint,
        },
        differs=differs,
        rows=tuple(rows),
        underpowered=power is not None,
        notes=tuple(([power] if power else []) + _notes(runs, rows, bool(control), imputed)),
    )


def _entries(runs: Sequence[AnyRecord]) -> list[_Entry]:
    entries: dict[str, _Entry] = {}
    for run in runs:
        strategy = run.strategy
        entry = entries.setdefault(strategy.entry, _Entry(strategy.entry, strategy.name, strategy.role))
        result = score(run)
        if run.status == "interrupted":
            entry.interrupted += 1
        elif result is None:
            entry.failed[run.seed] += 1
        else:
            entry.completed[run.seed].append((run, result))
    return list(entries.values())


def _mean_score(scores: Iterable[Score]) -> Score:
    listed = list(scores)
    if len(listed) == 1:
        return listed[0]
    count = len(listed)
    return Score(
        math.fsum([s.top1 for s in listed]) / count,
        math.fsum([s.top5 for s in listed]) / count,
        math.fsum([s.mean_class for s in listed]) / count,
    )


def _control_scores(controls: Sequence[_Entry]) -> list[Score]:
    """Of each seed of the random-sampling control that completed, its score."""
    return [_mean_score(s for _, s in runs) for entry in controls for runs in entry.completed.values()]


def _impute(entry: _Entry, imputed: Score) -> None:
    for seed in sorted(entry.completed.keys() | entry.failed.keys()):
        runs = entry.completed.get(seed)
        entry.scores[seed] = _mean_score(s for _, s in runs) if runs else imputed


def _top1(entry: _Entry) -> statistics.Floats:
    return np.array([score.top1 for score in entry.scores.values()])


def _runs(entry: _Entry) -> list[AnyRecord]:
    return [run for runs in entry.completed.values() for run, _ in runs]


def _mean_macs(entry: _Entry) -> float | None:
    return _mean(run.outcome.macs for run in _runs(entry) if run.outcome)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    total = math.fsum(listed)
    if not math.isfinite(total):
        listed = [value for value in listed if math.isfinite(value)]
        total = math.fsum(listed)
    return total / len(listed) if listed else None


def _differences(order: Sequence[_Entry]) -> tuple[statistics.Floats, str | None]:
    """Adjusted p values between the entries, and a sentence where no winner can be declared for want of seeds."""
    size = len(order)
    if size < 2:
        return np.ones((size, size)), None
    comparisons = size * (size - 1) // 2
    needed = statistics.pairs_needed(comparisons)
    shared = [len(order[0].scores.keys() & entry.scores.keys()) for entry in order[1:]]
    fewest, most = min(shared), max(len(entry.scores) for entry in order)
    power = None
    if fewest < needed:
        smallest = statistics.smallest_p(fewest)
        power = (
            f"underpowered: no winner can be declared. Two entries share as few as {fewest} seeds, with which an exact "
            f"two-sided Wilcoxon test reaches p = {smallest:.3g} at best; "
            f"Holm's correction for all comparisons of {size} entries needs {needed} seeds each."
        )
    if most < needed:
        return np.ones((size, size)), power
    adjusted, _ = statistics.pairwise([{seed: s.top1 for seed, s in e.scores.items()} for e in order])
    return adjusted, power


def _rows(order: Sequence[_Entry], control: statistics.Floats, adjusted: statistics.Floats) -> list[Row]:
    if not order:
        return []
    intervals = statistics.rank_intervals([_top1(entry) for entry in order])
    groups = statistics.tie_groups(adjusted)
    means = [float(_top1(entry).mean()) for entry in order]
    rows: list[Row] = []
    for entry, interval, group, value in zip(order, intervals, groups, means, strict=True):
        top1 = _top1(entry)
        mean, middle = statistics.bootstrap([top1]), statistics.bootstrap([top1], "iqm")
        gain = None
        if entry.role != "random_control" and len(control) and control.mean() > 0:
            gain = statistics.relative_improvement(top1, control)
        others = _mean_score(entry.scores.values())
        runs = _runs(entry)
        outcomes = [run.outcome for run in runs if run.outcome]
        rows.append(
            Row(
                rank=1 + sum(other > value for other in means),
                rank_low=interval[0] if interval else None,
                rank_high=interval[1] if interval else None,
                tie_group=group,
                entry=entry.entry,
                strategy=entry.strategy,
                role=entry.role,
                seeds=len(entry.scores),
                runs=len(runs) + sum(entry.failed.values()) + entry.interrupted,
                failures=sum(entry.failed.values()),
                interrupted=entry.interrupted,
                top1_mean=mean.value,
                top1_mean_low=mean.low,
                top1_mean_high=mean.high,
                top1_iqm=middle.value,
                top1_iqm_low=middle.low,
                top1_iqm_high=middle.high,
                top5=others.top5,
                mean_class=others.mean_class,
                improvement=gain.value if gain else None,
                improvement_low=gain.low if gain else None,
                improvement_high=gain.high if gain else None,
                macs=_mean_macs(entry),
                parameters=_mean(outcome.parameters for outcome in outcomes),
                latency_ms=_mean(outcome.latency_ms for outcome in outcomes),
                search_reference_trainings=_mean(run.search.reference_trainings for run in runs),
                search_wall_seconds=_mean(run.search.wall_seconds for run in runs),
                search_cpu_seconds=_mean(run.search.cpu_seconds for run in runs),
                search_peak_memory_bytes=max((run.search.peak_memory_bytes for run in runs), default=None),
                architectures_evaluated=_mean(run.search.architectures_evaluated for run in runs),
            )
        )
    return rows


def _notes(runs: Sequence[AnyRecord], rows: Sequence[Row], has_control: bool, imputed: Score) -> list[str]:
    notes = []
    if not has_control:
        notes.append("no run of a random-sampling control here, so improvement over random sampling is not known.")
    if any(row.failures for row in rows):
        source = "the mean of the random-sampling control" if has_control else "chance level"
        notes.append(f"failures count: a seed without a completed run is scored {imputed.top1:.1%} top-1, {source}.")
    above = [run for run in runs if run.outcome and run.outcome.macs > run.space.cap_macs]
    if above:
        notes.append(f"{len(above)} runs are failures because their architecture is above the cap.")
    interrupted = sum(run.status == "interrupted" for run in runs)
    if interrupted:
        notes.append(f"{interrupted} interrupted runs are not scored: they had less than the budget.")
    over = [run for run in runs if run.search.overshoot > 0.01 * run.protocol.budget]
    if over:
        notes.append(f"{len(over)} runs spent over 1 % more than the budget.")
    machines = {repr(sorted(run.provenance.hardware.items())) + run.device for run in runs}
    if len(machines) > 1:
        notes.append(f"runs of {len(machines)} kinds of machine: their latency and seconds do not compare.")
    versions = {(run.provenance.pvnas_bench, run.provenance.commit) for run in runs}
    if len(versions) > 1:
        notes.append(f"runs of {len(versions)} versions of the code.")
    return notes


def _with_namesakes(boards: Sequence[Board]) -> list[Board]:
    """Boards that a reader could take for one, because all names agree, say which fingerprint tells them apart."""
    numbered = [(board.title, board.budget) for board in boards]
    result = []
    for board, name in zip(boards, numbered, strict=True):
        twins = [other for other, theirs in zip(boards, numbered, strict=True) if theirs == name and other is not board]
        parts = sorted(
            {part for twin in twins for part, mark in twin.fingerprints.items() if mark != board.fingerprints[part]}
        )
        if parts:
            marks = ", ".join(f"{part} {_mark(board.fingerprints[part])}" for part in parts)
            note = f"another board has the same names and other fingerprints; this one is {marks}."
            board = Board(**{**{f.name: getattr(board, f.name) for f in fields(board)}, "notes": (note, *board.notes)})
        result.append(board)
    return result


@dataclass(frozen=True)
class Across:
    """The entries that stand on every board of one protocol, compared over tasks (space × data set)."""

    protocol: str
    budget: float
    tasks: tuple[str, ...]
    entries: tuple[str, ...]
    """Best mean rank first."""
    scores: tuple[tuple[float, ...], ...]
    """Of each entry, its mean top-1 on each task."""
    mean_ranks: tuple[float, ...]
    friedman_p: float | None
    adjusted_p: tuple[tuple[float, ...], ...]
    """Pairwise Wilcoxon tests over tasks, Holm-adjusted."""
    unjustified: str | None
    """Why no critical-difference diagram may be drawn; None where it may."""


def across(boards: Sequence[Board]) -> list[Across]:
    """Comparisons over tasks, one for each protocol and budget. Blocks are tasks: seeds are averaged within them."""
    protocols: dict[tuple[str, str, float], list[Board]] = defaultdict(list)
    for board in boards:
        protocols[board.protocol, board.fingerprints["protocol"], board.budget].append(board)
    return [_across(group) for _, group in sorted(protocols.items())]


def _across(boards: Sequence[Board]) -> Across:
    on_all = set.intersection(*({row.entry for row in board.rows} for board in boards))
    means = {e: tuple(_row(board, e).top1_mean for board in boards) for e in sorted(on_all)}
    entries = list(means)
    table = np.array([means[e] for e in entries]).T if entries else np.empty((len(boards), 0))
    mean_ranks = np.mean([statistics.ranks(-row) for row in table], axis=0) if entries else np.empty(0)
    order = sorted(range(len(entries)), key=lambda i: (mean_ranks[i], entries[i]))
    entries = [entries[i] for i in order]
    enough = len(boards) >= 2 and len(entries) >= 3
    adjusted, _ = statistics.pairwise([dict(enumerate(means[e])) for e in entries])
    needed = statistics.pairs_needed(len(entries) * (len(entries) - 1) // 2)
    if len(entries) < 3:
        reason = f"it compares three or more entries that stand on every board of the protocol, and {len(entries)} do"
    elif len(boards) < needed:
        reason = (
            f"its blocks are tasks (space × data set), not seeds, and there are {len(boards)}: with {len(entries)} "
            f"entries no difference can be significant on fewer than {needed} tasks"
        )
    else:
        reason = None
    return Across(
        protocol=boards[0].protocol,
        budget=boards[0].budget,
        tasks=tuple(f"{board.space} (cap {board.cap}) · {board.data}" for board in boards),
        entries=tuple(entries),
        scores=tuple(means[e] for e in entries),
        mean_ranks=tuple(float(mean_ranks[i]) for i in order),
        friedman_p=statistics.friedman(table).p if enough else None,
        adjusted_p=tuple(tuple(float(p) for p in row) for row in adjusted),
        unjustified=reason,
    )


def _row(board: Board, entry: str) -> Row:
    return next(row for row in board.rows if row.entry == entry)


# Writing boards down.


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _percent_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return _percent(value) if low is None or high is None else f"{_percent(value)} [{_percent(low)}, {_percent(high)}]"


def _improvement(row: Row) -> str:
    if row.improvement is None:
        return "–"
    if row.improvement_low is None or row.improvement_high is None:
        return f"{100 * row.improvement:+.1f}"
    return f"{100 * row.improvement:+.1f} [{100 * row.improvement_low:+.1f}, {100 * row.improvement_high:+.1f}]"


def _count(value: float | None) -> str:
    """A count in engineering notation: 12.3 M."""
    if value is None:
        return "–"
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:.3g}"


def _plain(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _memory(value: float | None) -> str:
    return "–" if value is None else f"{value / 2**20:.0f} MiB"


def _rank(row: Row) -> str:
    if row.rank_low is None or row.rank_high is None:
        return f"{row.rank}"
    return f"{row.rank} [{row.rank_low}–{row.rank_high}]"


_ROLES: dict[Role, str] = {"search": "", "random_control": " (control)", "expert_control": " (hand-designed)"}


def _name(row: Row) -> str:
    return f"{row.entry}{_ROLES[row.role]}"


@dataclass(frozen=True)
class Column:
    """A column of the tables that people read."""

    key: str
    """The field of a row that it shows, and by which it sorts."""
    header: str
    cell: Callable[[Row], str]
    help: str
    keep: int
    """Narrow terminals drop the columns with the highest numbers first; 0 is never dropped."""


COLUMNS: tuple[Column, ...] = (
    Column("rank", "rank", _rank, "by mean top-1, with the 95 % bootstrap interval of the rank", 0),
    Column("tie_group", "tie", lambda r: f"{r.tie_group}", "group that tests cannot tell from the group's first", 2),
    Column("entry", "entry", _name, "strategy and what differs from its defaults", 0),
    Column(
        "top1_mean",
        "top-1 %",
        lambda r: _percent_interval(r.top1_mean, r.top1_mean_low, r.top1_mean_high),
        "mean over seeds of the test accuracy, with its 95 % bootstrap interval",
        0,
    ),
    Column(
        "top1_iqm",
        "IQM %",
        lambda r: _percent_interval(r.top1_iqm, r.top1_iqm_low, r.top1_iqm_high),
        "interquartile mean of the test accuracy, with its 95 % bootstrap interval",
        6,
    ),
    Column("improvement", "vs random %", _improvement, "relative improvement of mean top-1 over random sampling", 1),
    Column("top5", "top-5 %", lambda r: _percent(r.top5), "mean over seeds", 8),
    Column("mean_class", "mean-class %", lambda r: _percent(r.mean_class), "accuracy averaged over classes", 7),
    Column("macs", "MACs", lambda r: _count(r.macs), "of the architecture found, per clip", 1),
    Column("parameters", "params", lambda r: _count(r.parameters), "of the architecture found", 4),
    Column("latency_ms", "latency ms", lambda r: _plain(r.latency_ms, 2), "one clip, on the run's device", 5),
    Column(
        "search_reference_trainings",
        "search rt",
        lambda r: _plain(r.search_reference_trainings, 2),
        "search cost in reference trainings",
        1,
    ),
    Column("search_wall_seconds", "wall", lambda r: _seconds(r.search_wall_seconds), "search, wall time", 3),
    Column("search_cpu_seconds", "CPU", lambda r: _seconds(r.search_cpu_seconds), "search, CPU time", 9),
    Column(
        "search_peak_memory_bytes",
        "peak",
        lambda r: _memory(r.search_peak_memory_bytes),
        "search, most memory of any run",
        10,
    ),
    Column(
        "architectures_evaluated",
        "archs",
        lambda r: _plain(r.architectures_evaluated, 0),
        "architectures evaluated by the search",
        11,
    ),
    Column("seeds", "seeds", lambda r: f"{r.seeds}", "search seeds behind the scores", 0),
    Column("failures", "fail", lambda r: f"{r.failures}", "failed runs", 0),
)


def _one_line(text: str) -> str:
    """Text that cannot move the cursor, start an escape sequence or reverse the reading direction."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _mark(fingerprint: str) -> str:
    """A fingerprint as people compare it: short ones in full, digests by their start."""
    return fingerprint if len(fingerprint) <= 32 else fingerprint[:12]


def describe(board: Board) -> str:
    """What a board's runs have in common, in one line."""
    marks = ", ".join(f"{part} {_mark(fingerprint)}" for part, fingerprint in board.fingerprints.items())
    limits = f"cap {_count(board.cap_macs)} MACs, budget {board.budget:g} rt"
    return f"{limits}, {board.classes} classes; fingerprints: {marks}"


def render_terminal(boards: Sequence[Board], width: int = 120) -> str:
    """Plain-text tables for a terminal of so many columns; what does not fit is left out and named."""
    return "\n".join(_terminal_board(board, width) for board in boards)


def _terminal_board(board: Board, width: int) -> str:
    kept = list(COLUMNS)
    while True:
        cells = [[column.header for column in kept]] + [
            [_shorten(_one_line(column.cell(row)), 48) for column in kept] for row in board.rows
        ]
        widths = [max(len(line[index]) for line in cells) for index in range(len(kept))]
        droppable = [column for column in kept if column.keep]
        if sum(widths) + 2 * (len(kept) - 1) <= width or not droppable:
            break
        kept.remove(max(droppable, key=lambda column: column.keep))
    lines = [_one_line(board.title), _one_line(describe(board)), ""]
    for number, cells_of_row in enumerate(cells):
        aligned = [
            cell.ljust(size) if column.header == "entry" else cell.rjust(size)
            for column, cell, size in zip(kept, cells_of_row, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
        if number == 0:
            lines.append("  ".join("─" * size for size in widths))
    lines += [f"· {_one_line(note)}" for note in board.notes]
    hidden = [column.header for column in COLUMNS if column not in kept]
    if hidden:
        lines.append(f"· not shown for want of width: {', '.join(hidden)}.")
    return "\n".join(lines) + "\n"


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def _markdown(text: str) -> str:
    return _one_line(text).translate(_MARKDOWN)


def to_markdown(boards: Sequence[Board]) -> str:
    """One heading, table and list of notes for each board, then what the columns mean."""
    blocks = []
    for board in boards:
        lines = [f"### {_markdown(board.title)}", "", _markdown(describe(board)), ""]
        lines.append("| " + " | ".join(column.header for column in COLUMNS) + " |")
        lines.append("|" + "|".join(" :-- " if column.header == "entry" else " --: " for column in COLUMNS) + "|")
        for row in board.rows:
            cells = [_markdown(c.cell(row)) if c.header == "entry" else c.cell(row) for c in COLUMNS]
            lines.append("| " + " | ".join(cells) + " |")
        if board.notes:
            lines += ["", *(f"- {_markdown(note)}" for note in board.notes)]
        blocks.append("\n".join(lines) + "\n")
    legend = ["Columns:", "", *(f"- **{column.header}**: {column.help}" for column in COLUMNS)]
    return "\n".join([*blocks, "\n".join(legend) + "\n"])


_BOARD_COLUMNS = ("space", "cap", "cap_macs", "data", "protocol", "budget")
_FINGERPRINTS = ("space_fingerprint", "data_fingerprint", "protocol_fingerprint")
_TABLE_COLUMNS = (*_BOARD_COLUMNS, *_FINGERPRINTS, "underpowered", *(f.name for f in fields(Row)))


def table(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """All rows of all boards as flat dictionaries with the same keys: the board's, then the row's, unrounded units."""
    return [
        {
            **{name: getattr(board, name) for name in _BOARD_COLUMNS},
            **{f"{part}_fingerprint": mark for part, mark in board.fingerprints.items()},
            "underpowered": board.underpowered,
            **{name: _rounded(value) for name, value in asdict(row).items()},
        }
        for board in boards
        for row in board.rows
    ]


def _rounded(value: Any) -> Any:
    """Ten significant digits: more than any measurement here has, fewer than differ between machines."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def to_csv(boards: Sequence[Board]) -> str:
    """One line for each row of each board; an unknown value is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _TABLE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table(boards))
    return text.getvalue()


def to_json(boards: Sequence[Board]) -> str:
    """An array of boards with their rows and notes."""
    listed = []
    for board in boards:
        entry = {f.name: getattr(board, f.name) for f in fields(Board)}
        entry["rows"] = [{name: _rounded(value) for name, value in asdict(row).items()} for row in board.rows]
        listed.append(entry)
    return json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_parquet(boards: Sequence[Board]) -> bytes:
    """The table of `to_csv` as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
    names = {"cap_macs": "int", "budget": "float", "underpowered": "bool"} | {
        f.name: "int" if "int" in str(f.type) else "float" if "float" in str(f.type) else "str" for f in fields(Row)
    }
    schema = pa.schema([(name, types[names.get(name, "str")]) for name in _TABLE_COLUMNS])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table(boards), schema), sink)
    return bytes(sink.getvalue().to_pybytes())
