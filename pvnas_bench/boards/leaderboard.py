"""The leaderboard: a pure function of records.

`build` groups records into boards, one for each set of fingerprints, and the runs of a board into rows, one for each
entry (a strategy with its non-default hyper-parameters). `boards.render` writes boards; the same records always give
the same bytes.

The score of a row:

- The score of a run is the mean over its retrainings. The unit of an entry is the *seed*: several runs of one entry
  with one seed are averaged, never selected, so that repeating a run neither helps nor narrows an interval.
- A run that failed, timed out, has a non-finite score, or ended with an architecture above a cap is a failure. A seed
  with failures only gets the mean score of the random-sampling control on the same board, or chance level
  (1 / classes) if the board has none; a note says which.
- Runs of a plug-in with different sources belong to different entries: if a board has several, each is marked with the
  beginning of its source's hash. A note names rows of built-in strategies that mix sources.
- An interrupted run, which had less than the budget, is counted but not scored.
- Null searches (`Record.null`) have boards of their own, marked in the title.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pvnas_bench.boards import reliability, statistics
from pvnas_bench.boards.objectives import COSTS, References, above_caps, costs_of, fronts, references, volume
from pvnas_bench.boards.statistics.practical import CERTAIN
from pvnas_bench.records import (
    FRAME_ORDER,
    HEADROOM,
    RELIABILITY,
    RETRAINED,
    SURROGATE,
    Record,
    Role,
    Source,
    without_cycle_collection,
)
from pvnas_bench.system.text import counted
from pvnas_bench.table.frame_order import FrameOrder
from pvnas_bench.table.headroom import Headroom
from pvnas_bench.table.surrogate import Quality

T = TypeVar("T")


class _Fact(NamedTuple, Generic[T]):
    """An entry of the diagnostics."""

    name: str
    type: TypeAdapter[T]


_QUALITY = _Fact(SURROGATE, TypeAdapter(Quality))
_HEADROOM = _Fact(HEADROOM, TypeAdapter(Headroom))
_RELIABILITY = _Fact(RELIABILITY, TypeAdapter(statistics.Reliability))
_FRAME_ORDER = _Fact(FRAME_ORDER, TypeAdapter(FrameOrder))


@dataclass(frozen=True)
class Row:
    """One entry of a board. Accuracies and improvement are fractions.

    A value that no run measured is None. Costs, MACs, parameters and latency are means over the entry's completed runs,
    peak memory is their maximum.
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
    hypervolume_macs: float | None
    hypervolume_parameters: float | None
    hypervolume_latency: float | None
    """Mean over seeds of the share of the box between (chance, reference cost) and (1, 0) that the run's network
    dominates; 0 for a seed without a completed run. None: no run has that cost, or those of the board do not compare.
    """
    fronts: str
    """Costs (macs, parameters, latency) at which no other entry's means are better in accuracy and cost."""
    search_energy_joules: float | None
    blind_to_time: float | None
    """Share of the searches on a table that ended at a network whose accuracy shuffled frames do not lower by more than
    the noise of one training; None: the table does not tell.
    """


@dataclass(frozen=True)
class Board:
    """The rows of one set of fingerprints, best mean top-1 first."""

    space: str
    data: str
    protocol: str
    cap: str
    cap_macs: int
    caps: dict[str, float]
    """Every cap: macs, params, latency in milliseconds."""
    budget: float
    classes: int
    references: References
    """Reference point of the hypervolumes: each cost, and `top1`, chance."""
    fingerprints: dict[str, str]
    """Fingerprints of space, data and protocol."""
    differs: tuple[str, ...]
    """Parts in which the boards differ from each other: space, data, protocol, cap, budget."""
    rows: tuple[Row, ...]
    null: bool
    """True for a board of null searches."""
    underpowered: bool
    """True if there are too few seeds for any test to declare a winner."""
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Space, cap, data set and protocol in one line."""
        null = " · null searches" if self.null else ""
        return f"{self.space} (cap {self.cap}) · {self.data} · {self.protocol}{null}"


class Score(NamedTuple):
    """Test result of a run: means over its retrainings, as fractions."""

    top1: float
    top5: float
    mean_class: float


@dataclass
class _Entry:
    """The runs of one entry on one board."""

    entry: str
    strategy: str
    role: Role
    completed: dict[int, list[tuple[Record, Score]]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    interrupted: int = 0
    scores: dict[int, Score] = field(default_factory=dict)
    """Score of each seed, after imputation."""


def score(record: Record) -> Score | None:
    """The test result of a run; None if the run is not completed or not valid (see the module's docstring)."""
    outcome = record.outcome
    if record.status != "ok" or outcome is None or not outcome.trained or above_caps(record):
        return None
    return _finite(_mean_score([Score(t.test_top1, t.test_top5, t.test_mean_class) for t in outcome.trained]))


def _finite(score: Score) -> Score | None:
    return score if math.isfinite(score.top1 + score.top5 + score.mean_class) else None


def board_key(record: Record) -> dict[str, Any]:
    """Key of a record's board: the three fingerprints, the cap and the budget."""
    return {
        "space": record.space.fingerprint,
        "data": record.data.fingerprint,
        "protocol": record.protocol.fingerprint,
        "cap": record.space.cap_macs,
        "budget": record.protocol.budget,
    }


def protocol_title(record: Record) -> str:
    """Name and version of a record's protocol, and that its accuracies are a surrogate's if they are."""
    return f"{record.protocol.name} v{record.protocol.version}{', surrogate' if record.surrogate else ''}"


def build(records: Sequence[Record]) -> list[Board]:
    """Build the boards of records, sorted by name; runs with different fingerprints never share a board."""
    with without_cycle_collection():
        return _build(records)


def by_source(records: Sequence[Record]) -> Sequence[Record]:
    """Mark the entries of records so that a plug-in with several sources on one board has several entries.

    Built-in strategies, and records without a source, keep their entries.
    """
    if not any(record.strategy.source and not record.strategy.source.builtin for record in records):
        return records
    groups: dict[tuple[Any, ...], set[Source | None]] = defaultdict(set)
    for record in records:
        groups[*board_key(record).values(), record.strategy.entry].add(record.strategy.source)
    return [
        record if len(groups[*board_key(record).values(), record.strategy.entry]) == 1 else _marked(record)
        for record in records
    ]


def _marked(record: Record) -> Record:
    strategy = record.strategy
    if strategy.source is None or strategy.source.builtin:
        return record
    entry = f"{strategy.entry}{_mark(strategy.source)}"
    return record.model_copy(update={"strategy": strategy.model_copy(update={"entry": entry})})


def _mark(source: Source) -> str:
    return f" @{source.sha256[:8]}"


def _build(records: Sequence[Record]) -> list[Board]:
    records = by_source(records)
    groups: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        groups[tuple(board_key(record).values())].append(record)
    keys = [board_key(runs[0]) for runs in groups.values()]
    differs = tuple(part for part in (keys[0] if keys else ()) if len({key[part] for key in keys}) > 1)
    boards = [_board(runs, differs) for runs in groups.values()]
    boards.sort(key=lambda b: (b.space, b.cap_macs, b.data, b.protocol, b.budget, *b.fingerprints.values()))
    return _with_namesakes(boards)


def _board(runs: Sequence[Record], differs: tuple[str, ...]) -> Board:
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
    point = references([run for entry in order for run in _runs(entry)], chance, machines=_machines(runs))
    rows = _rows(order, np.array([s.top1 for s in control]), different, point)
    return Board(
        space=f"{first.space.name} v{first.space.version}",
        data=first.data.name,
        protocol=protocol_title(first),
        cap=first.space.cap,
        cap_macs=first.space.cap_macs,
        caps=first.space.caps or {"macs": float(first.space.cap_macs)},
        budget=first.protocol.budget,
        classes=len(first.data.classes),
        references=point,
        fingerprints={
            "space": first.space.fingerprint,
            "data": first.data.fingerprint,
            "protocol": first.protocol.fingerprint,
        },
        differs=differs,
        rows=tuple(rows),
        null=first.null,
        underpowered=power is not None,
        notes=(
            *_of_surrogate(runs),
            *_of_table(runs),
            *([power] if power else []),
            *_resolution(runs, order),
            *_notes(runs, rows, bool(control), imputed),
        ),
    )


def _entries(runs: Sequence[Record]) -> list[_Entry]:
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
    """Scores of the completed seeds of the random-sampling control."""
    return [_mean_score(s for _, s in runs) for entry in controls for runs in entry.completed.values()]


def _impute(entry: _Entry, imputed: Score) -> None:
    for seed in sorted(entry.completed.keys() | entry.failed.keys()):
        runs = entry.completed.get(seed)
        entry.scores[seed] = _mean_score(s for _, s in runs) if runs else imputed


def _top1(entry: _Entry) -> statistics.Floats:
    return np.array([score.top1 for score in entry.scores.values()])


def _runs(entry: _Entry) -> list[Record]:
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
    """Adjusted p values between the entries, and a note if there are too few seeds to declare a winner."""
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
            f"underpowered: no winner can be declared. Two entries share {_as_few_as(fewest)}, with which an exact "
            f"two-sided Wilcoxon test reaches p = {smallest:.3g} at best; "
            f"Holm's correction for all comparisons of {size} entries needs {counted(needed, 'seed')} each."
        )
    if most < needed:
        return np.ones((size, size)), power
    adjusted, _ = statistics.pairwise([{seed: s.top1 for seed, s in e.scores.items()} for e in order])
    return adjusted, power


def _as_few_as(seeds: int) -> str:
    return "no seed" if seeds == 0 else f"as few as {seeds} seeds" if seeds > 1 else "only 1 seed"


def _rows(
    order: Sequence[_Entry], control: statistics.Floats, adjusted: statistics.Floats, point: References
) -> list[Row]:
    if not order:
        return []
    intervals = statistics.rank_intervals([_top1(entry) for entry in order])
    groups = statistics.tie_groups(adjusted)
    means = [float(_top1(entry).mean()) for entry in order]
    rows: list[Row] = []
    listed = [[(run, score.top1) for runs in entry.completed.values() for run, score in runs] for entry in order]
    on_front = fronts([(value, costs_of([run for run, _ in runs])) for value, runs in zip(means, listed, strict=True)])
    for number, (entry, interval, group, value) in enumerate(zip(order, intervals, groups, means, strict=True)):
        by_seed = [[(run, score.top1) for run, score in entry.completed.get(seed, ())] for seed in entry.scores]
        volumes = {cost: volume(by_seed, cost, point) for cost in COSTS}
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
                hypervolume_macs=volumes["macs"],
                hypervolume_parameters=volumes["parameters"],
                hypervolume_latency=volumes["latency"],
                fronts=", ".join(on_front[number]),
                search_energy_joules=_mean(
                    run.search.energy_joules for run in runs if run.search.energy_joules is not None
                ),
                blind_to_time=_mean(float(one.blind) for run in runs if (one := _stated(run, _FRAME_ORDER))),
            )
        )
    return rows


def _of_surrogate(runs: Sequence[Record]) -> Iterator[str]:
    """Yield a note on how well the surrogate of a board predicts; its records agree, as its fingerprint does."""
    if not runs[0].surrogate or RETRAINED in runs[0].protocol.fingerprint:
        return
    note = "surrogate: a model predicts all accuracies."
    if (quality := next(filter(None, (_stated(run, _QUALITY) for run in runs)), None)) is not None:
        note = f"surrogate: a model of {quality.fitted:,} trained networks predicts all accuracies; {quality}."
    yield note


def _of_table(runs: Sequence[Record]) -> Iterator[str]:
    """Yield a note on the headroom of a board of searches on a table; its records agree, as its fingerprints do."""
    if RETRAINED in runs[0].protocol.fingerprint:
        return
    if (room := next(filter(None, (_stated(run, _HEADROOM) for run in runs)), None)) is not None:
        yield f"headroom: {room}."


def _stated(run: Record, fact: "_Fact[T]") -> "T | None":
    """What a run on a table, or on a surrogate, states of it in its diagnostics; None: nothing that can be read."""
    if not run.tabular or fact.name not in run.diagnostics:
        return None
    try:
        return fact.type.validate_python(run.diagnostics[fact.name])
    except ValidationError:
        return None


def _resolution(runs: Sequence[Record], order: Sequence[_Entry]) -> list[str]:
    """How much of the scores is the strategy, how much one training tells, and which entries are practically equal."""
    notes = []
    searches = [{seed: s.top1 for seed, s in one.scores.items()} for one in order if one.role == "search"]
    if (said := reliability.consistency_sentence(searches)) is not None:
        notes.append(said)
    if (report := reliability.of_board(runs, _published())) is not None:
        notes.append(reliability.sentence(report.scores))
        notes += _practically(order, report.scores.noise, "the noise of one training")
    if RETRAINED not in runs[0].protocol.fingerprint:
        notes += _of_trainings(runs, order)
    return notes


def _of_trainings(runs: Sequence[Record], order: Sequence[_Entry]) -> Iterator[str]:
    """Yield notes on the trainings of a board's table, and on entries that are equal by the error of its scores."""
    if (scores := next(filter(None, (_stated(run, _RELIABILITY) for run in runs)), None)) is not None:
        yield reliability.sentence(scores, "networks")
    room = next(filter(None, (_stated(run, _HEADROOM) for run in runs)), None)
    if room is not None and room.standard_error:
        yield from _practically(order, room.standard_error, "the standard error of a network's score")


def _practically(order: Sequence[_Entry], noise: float, named: str) -> Iterator[str]:
    """Yield a note that compares the first entry with the others; the region of equivalence is the noise."""
    if len(order) < 2:
        return
    first, groups = order[0].scores, defaultdict[str, list[str]](list)
    for other in order[1:]:
        shared = sorted(first.keys() & other.scores.keys())
        answer = None
        if shared:
            ours, theirs = ([scores[seed].top1 for seed in shared] for scores in (other.scores, first))
            answer = statistics.signed_rank_posterior(ours, theirs, noise).answer
        groups[answer or "undecided"].append(other.entry)
    listed = "; ".join(f"{answer}: {', '.join(entries)}" for answer, entries in groups.items())
    yield (
        f"compared with {order[0].entry}: {listed} (Bayesian signed-rank test, probability {CERTAIN:.0%}; differences "
        f"up to {100 * noise:.1f} points, {named}, are practically equal)."
    )


@cache
def _published() -> tuple[reliability.ReliabilityReport, ...]:
    return tuple(reliability.published())


def _notes(runs: Sequence[Record], rows: Sequence[Row], has_control: bool, imputed: Score) -> list[str]:
    notes = []
    if not has_control:
        notes.append("no random-sampling control on this board, so the improvement over it is unknown.")
    if any(row.failures for row in rows):
        source = "the mean of the random-sampling control" if has_control else "chance level"
        notes.append(f"failures count: a seed without a completed run is scored {imputed.top1:.1%} top-1, {source}.")
    above = [run for run in runs if above_caps(run)]
    if above:
        notes.append(f"{counted(len(above), 'run')} with an architecture above a cap, counted as failed.")
    interrupted = sum(run.status == "interrupted" for run in runs)
    if interrupted:
        notes.append(f"{counted(interrupted, 'interrupted run')} not scored, since the search is incomplete.")
    over = [run for run in runs if run.search.overshoot > 0.01 * run.protocol.budget]
    if over:
        notes.append(f"{counted(len(over), 'run')} exceeded the budget by more than 1 %.")
    if (machines := _machines(runs)) > 1:
        notes.append(f"runs on {machines} kinds of machine: latency and times are not comparable.")
    notes += _sources(runs)
    versions = {(run.provenance.pvnas_bench, run.provenance.commit) for run in runs}
    if len(versions) > 1:
        notes.append(f"runs of {len(versions)} versions of the code.")
    return notes


def _machines(runs: Sequence[Record]) -> int:
    """Number of kinds of machine, by the facts that all records have; newer versions record more facts."""
    stated = [run.provenance.hardware for run in runs]
    common = sorted(set.intersection(*map(set, stated))) or sorted(set().union(*stated))
    return len({(r.device, *(repr(r.provenance.hardware.get(name)) for name in common)) for r in runs})


def _sources(runs: Sequence[Record]) -> Iterator[str]:
    """Yield notes about rows that mix sources of a strategy, and about entries marked with their sources."""
    seeds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    apart = False
    for run in runs:
        source = run.strategy.source
        seeds[run.strategy.entry][source.sha256[:8] if source else "not recorded"].add(run.seed)
        apart |= source is not None and run.strategy.entry.endswith(_mark(source))
    if apart:
        yield "@ marks entries of one plug-in with different sources, by the beginning of the source's hash."
    mixed = [
        f"{entry} ({'; '.join(f'{source}: {_seeds(of)}' for source, of in sorted(sources.items()))})"
        for entry, sources in seeds.items()
        if len(sources) > 1
    ]
    if mixed:
        yield f"these rows mix runs of different sources of their strategy: {', '.join(mixed)}."


def _seeds(seeds: Iterable[int]) -> str:
    """Format seeds as text, consecutive ones as a range."""
    ordered = sorted(seeds)
    runs: list[list[int]] = []
    for seed in ordered:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    words = [f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return f"seed{'s' * (len(ordered) > 1)} {', '.join(words)}"


def mark(fingerprint: str) -> str:
    """Shorten a fingerprint for people: short ones in full, digests by their beginning."""
    return fingerprint if len(fingerprint) <= 32 else fingerprint[:12]


def _with_namesakes(boards: Sequence[Board]) -> list[Board]:
    """Add a note to boards with equal names: the fingerprints in which they differ."""
    numbered = [(board.title, board.budget) for board in boards]
    result = []
    for board, name in zip(boards, numbered, strict=True):
        twins = [other for other, theirs in zip(boards, numbered, strict=True) if theirs == name and other is not board]
        parts = sorted(
            {part for twin in twins for part, mark in twin.fingerprints.items() if mark != board.fingerprints[part]}
        )
        if parts:
            marks = ", ".join(f"{part} {mark(board.fingerprints[part])}" for part in parts)
            note = f"another board has the same names but other fingerprints; this one has {marks}."
            board = replace(board, notes=(note, *board.notes))
        result.append(board)
    return result
