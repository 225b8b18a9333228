"""Comparison of entries over tasks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.boards.leaderboard import Board, Row
from pvnas_bench.system.text import counted


@dataclass(frozen=True)
class Across:
    """Comparison over tasks (space × data set) of the entries that are on every board of one protocol."""

    protocol: str
    budget: float
    tasks: tuple[str, ...]
    entries: tuple[str, ...]
    """Entries, best mean rank first."""
    scores: tuple[tuple[float, ...], ...]
    """Mean top-1 of each entry on each task."""
    mean_ranks: tuple[float, ...]
    friedman_p: float | None
    adjusted_p: tuple[tuple[float, ...], ...]
    """p values of pairwise Wilcoxon tests over tasks, Holm-adjusted."""
    unjustified: str | None
    """Reason why a critical-difference diagram is not justified; None if it is."""


def across(boards: Sequence[Board]) -> list[Across]:
    """Compare entries over tasks, for each protocol and budget. Blocks are tasks; seeds are averaged within them."""
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
        reason = f"it needs at least three entries that are on every board of the protocol, there are {len(entries)}"
    elif len(boards) < needed:
        reason = (
            f"its blocks are tasks (space × data set), not seeds, and there are {len(boards)}: with {len(entries)} "
            f"entries a significant difference needs at least {counted(needed, 'task')}"
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
