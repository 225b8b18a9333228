"""Do searches learn? Real searches against null ones, whose search-val labels were permuted (`Problem.null`).

The score of a run is its final test accuracy, as on a leaderboard; on a table it is the true accuracy, the mean over
the table's trainings. A strategy has *learnt* on a board if its real searches score higher than its null ones: a
one-sided Mann-Whitney test over seeds, exact and with ties, corrected by Holm for all strategies of the board.
Otherwise learning is *not shown*, and the power of the test says how much that means.

The difference between real and null searches is what the labels taught. What a null search finds by other means (a cost
term, a bias of the space, comparing many networks) it finds too. A null search is not a random one: permuted labels
favour architectures that are less sure of themselves, where a loss drives the search. So the mean of the random control
is given for comparison.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pvnas_bench.boards import statistics
from pvnas_bench.boards.leaderboard import board_key, protocol_title, score
from pvnas_bench.boards.statistics.hypothesis import ALPHA
from pvnas_bench.boards.trajectories import logged
from pvnas_bench.records import NULL, NULL_PROTOCOL, Record

Verdict = Literal["learnt", "not shown"]
EFFECT = 0.05
"""Difference of accuracy for which the power is given: 5 points."""
POWER = 0.8
"""Power for which the detectable difference is given."""
EFFICIENCY = 3 / math.pi
"""Asymptotic efficiency of the Mann-Whitney test relative to a t-test on normal scores."""
INACTIVE = "_"
SERIES = ("search_val_loss_of_chance", "alpha_entropy", "macs_gradient_share")
"""Logged series whose last values are reported."""


@dataclass(frozen=True)
class Agreement:
    """Mean Hamming distance between final architectures, in decisions; None with fewer than two.

    Attributes:
        decisions: number of decisions of an architecture.
        reals, nulls: between different real, or different null searches.
        between: between real and null searches.
    """

    decisions: int
    reals: float | None
    nulls: float | None
    between: float


@dataclass(frozen=True)
class Row:
    """Real against null searches of one strategy.

    Attributes:
        reals, nulls: numbers of seeds.
        left_out: number of runs that failed, were interrupted or have no score.
        real_mean, null_mean: mean scores, fractions.
        effect, low, high: difference of the means with its 95 % bootstrap interval.
        superiority: probability that a real search scores higher than a null one, ties counting half.
        p, adjusted: one-sided p value, and adjusted by Holm.
        power: power of the test for a difference of `EFFECT`, at Holm's strictest level; by the normal approximation
            with the pooled standard deviation, 0 if even the smallest p value is too large.
        detectable: difference that the test detects with the power `POWER`; infinite if none.
        series: mean last value in real and in null searches, by logged series.
    """

    entry: str
    reals: int
    nulls: int
    left_out: int
    real_mean: float
    null_mean: float
    effect: float
    low: float | None
    high: float | None
    superiority: float
    p: float
    adjusted: float
    verdict: Verdict
    power: float
    detectable: float
    agreement: Agreement
    series: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Comparison:
    """The strategies of one board, by name.

    Attributes:
        title: space, cap, data set and protocol.
        control: mean score of the random control's real runs; None without one.
        incomplete: entries without a scored real or without a scored null search.
    """

    title: str
    budget: float
    control: float | None
    rows: tuple[Row, ...]
    incomplete: tuple[str, ...]


@dataclass
class _Side:
    """The real or the null runs of an entry: those with a score by seed, and the number of others."""

    runs: dict[int, list[tuple[Record, float]]] = field(default_factory=lambda: defaultdict(list))
    left_out: int = 0

    def add(self, record: Record) -> None:
        result = score(record)
        if result is None:
            self.left_out += 1
        else:
            self.runs[record.seed].append((record, result.top1))

    @property
    def scores(self) -> statistics.Floats:
        """Mean score of each seed."""
        return np.array([np.mean([top1 for _, top1 in self.runs[seed]]) for seed in sorted(self.runs)])

    @property
    def records(self) -> list[Record]:
        """One run per seed, the first."""
        return [self.runs[seed][0][0] for seed in sorted(self.runs)]


def compare(records: Iterable[Record]) -> list[Comparison]:
    """Compare real with null searches on every board that has null ones, sorted by title."""
    boards: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        key = board_key(record)
        protocol = key.pop("protocol").removesuffix(NULL_PROTOCOL)
        boards[(protocol, *key.values())].append(record)
    compared = [_board(runs) for runs in boards.values() if any(run.null for run in runs)]
    return sorted(compared, key=lambda board: (board.title, board.budget))


def _board(runs: Sequence[Record]) -> Comparison:
    first = runs[0]
    sides: dict[tuple[str, str], dict[bool, _Side]] = defaultdict(lambda: {False: _Side(), True: _Side()})
    control = _Side()
    known: set[str] = set()
    for run in sorted(runs, key=lambda run: (run.provenance.created, run.id), reverse=True):
        if run.id in known:  # the latest record of a run counts
            continue
        known.add(run.id)
        if run.strategy.role == "random_control":
            control.add(run)
        elif run.strategy.role == "search":
            source = run.strategy.source
            plugin = f" @{source.sha256[:8]}" if source is not None and not source.builtin else ""
            sides[run.strategy.entry.removesuffix(NULL), plugin][run.null].add(run)
    whole = {name: side for name, side in sides.items() if side[False].runs and side[True].runs}
    rows = _verdicts([_row("".join(name), side[False], side[True], len(whole)) for name, side in sorted(whole.items())])
    return Comparison(
        title=f"{first.space.name} v{first.space.version} (cap {first.space.cap}) · {first.data.name} · "
        + protocol_title(first),
        budget=first.protocol.budget,
        control=float(control.scores.mean()) if control.runs else None,
        rows=tuple(rows),
        incomplete=tuple("".join(name) for name in sorted(sides.keys() - whole.keys())),
    )


def _row(entry: str, real: _Side, null: _Side, tests: int) -> Row:
    """Compare one entry; Holm's adjustment and the verdict follow."""
    ours, theirs = real.scores, null.scores
    effect = statistics.difference(ours, theirs)
    p = statistics.mann_whitney(ours, theirs)
    wins = np.sign(ours[:, None] - theirs[None, :])
    power, detectable = sensitivity(ours, theirs, ALPHA / tests)
    return Row(
        entry=entry,
        reals=len(ours),
        nulls=len(theirs),
        left_out=real.left_out + null.left_out,
        real_mean=float(ours.mean()),
        null_mean=float(theirs.mean()),
        effect=effect.value,
        low=effect.low,
        high=effect.high,
        superiority=float((wins.mean() + 1) / 2),
        p=p,
        adjusted=p,
        verdict="not shown",
        power=power,
        detectable=detectable,
        agreement=agreement(_architectures(real), _architectures(null)),
        series={name: values for name in SERIES if (values := (_last(real, name), _last(null, name))) != (None, None)},
    )


def _verdicts(rows: Sequence[Row]) -> list[Row]:
    """Adjust the p values by Holm, and decide."""
    adjusted = statistics.holm([row.p for row in rows]).tolist()
    return [
        replace(row, adjusted=p, verdict="learnt" if p < ALPHA else "not shown")
        for row, p in zip(rows, adjusted, strict=True)
    ]


def sensitivity(reals: statistics.Floats, nulls: statistics.Floats, level: float) -> tuple[float, float]:
    """Power of the test for a difference of `EFFECT`, and the difference that it detects with the power `POWER`.

    Args:
        level: one-sided level of the test.
    """
    n, m = len(reals), len(nulls)
    if 1 / math.comb(n + m, n) >= level:
        return 0.0, math.inf
    spread = float(((reals - reals.mean()) ** 2).sum() + ((nulls - nulls.mean()) ** 2).sum())
    error = math.sqrt(spread / max(n + m - 2, 1) * (1 / n + 1 / m) / EFFICIENCY)
    normal = NormalDist()
    needed = normal.inv_cdf(1 - level)
    if error == 0:
        return 1.0, 0.0
    return normal.cdf(EFFECT / error - needed), (needed + normal.inv_cdf(POWER)) * error


def _architectures(side: _Side) -> list[str]:
    return [run.outcome.architecture for run in side.records if run.outcome]


def _last(side: _Side, name: str) -> float | None:
    """Mean over runs of the last logged value of a series."""
    values = [series[-1] for run in side.records if (series := logged(run, name))]
    return float(np.mean(values)) if values else None


def agreement(reals: Sequence[str], nulls: Sequence[str]) -> Agreement:
    """Mean Hamming distances within and between two groups of architectures of one space, given as strings."""
    codes = _codes([*reals, *nulls])
    groups = codes[: len(reals)], codes[len(reals) :]
    counts = np.stack([[(group == code).sum(0) for group in groups] for code in np.unique(codes)])
    ours, theirs = counts[:, 0].astype(float), counts[:, 1].astype(float)
    n, m = len(reals), len(nulls)

    def within(of: statistics.Floats, size: int) -> float | None:
        same = (of * (of - 1)).sum(0) / (size * (size - 1)) if size > 1 else None
        return None if same is None else float((1 - same).sum())

    between = float((1 - (ours * theirs).sum(0) / (n * m)).sum())
    return Agreement(codes.shape[1], within(ours, n), within(theirs, m), between)


def _codes(architectures: Sequence[str]) -> npt.NDArray[np.int64]:
    """Option of each decision as a number, (architectures, decisions); equal numbers are equal options."""
    groups = [[group.split("-") for group in architecture.split("/")] for architecture in architectures]
    widths = [max(map(len, column)) for column in zip(*groups, strict=True)]
    tokens = [
        [
            token
            for group, width in zip(of, widths, strict=True)
            for token in (group if len(group) == width else [INACTIVE] * width)
        ]
        for of in groups
    ]
    known = {token: number for number, token in enumerate(sorted({token for of in tokens for token in of}))}
    return np.array([[known[token] for token in of] for of in tokens], np.int64)
