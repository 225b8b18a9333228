"""Records grouped by board and entry, for plots."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.leaderboard import Board, Row
from pvnas_bench.boards.plots._style import Look, looks
from pvnas_bench.records import Record


@dataclass(frozen=True)
class Entry:
    """A row of a board with its runs."""

    row: Row
    look: Look
    runs: tuple[Record, ...]
    """All runs, in the order of their seeds."""

    @property
    def completed(self) -> list[Record]:
        """Runs with a valid test score."""
        return [run for run in self.runs if leaderboard.score(run) is not None]


@dataclass(frozen=True)
class Runs:
    """A board and its entries, best first."""

    board: Board
    entries: tuple[Entry, ...]


def boards(records: Sequence[Record]) -> list[Runs]:
    """Build the boards of records, with their entries."""
    records = leaderboard.by_source(records)
    by_key: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in records:
        by_key[tuple(leaderboard.board_key(record).values())].append(record)
    grouped = []
    for board in leaderboard.build(records):
        key = (*board.fingerprints.values(), board.cap_macs, board.budget)
        runs: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(by_key[key], key=lambda r: (r.seed, r.provenance.created, r.id)):
            runs[record.strategy.entry].append(record)
        styles = looks([(row.entry, row.role) for row in board.rows])
        entries = tuple(Entry(row, styles[row.entry], tuple(runs[row.entry])) for row in board.rows)
        grouped.append(Runs(board, entries))
    return grouped
