"""Entries compared over tasks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.boards.leaderboard import Board, Row
from pvnas_bench.system.text import counted


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
            f"entries no difference can be significant on fewer than {counted(needed, 'task')}"
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
