"""Reading results: a user's records, and among them the published ones."""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from pvnas_bench import records
from pvnas_bench.boards.leaderboard import board_key
from pvnas_bench.errors import UsageError

REFERENCE = "pvnas_bench.reference"
RUNS = Path("results/runs")
"""Default folder of records."""


class Loaded(NamedTuple):
    """The records of a folder, and the files that were left out."""

    records: list[records.Record]
    unreadable: list[records.Unreadable]
    published_only: bool = False
    """True if the folder is empty and the records are the published ones."""

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of the records, a line each."""
        if self.published_only:
            return [f"no records in {RUNS} yet: showing the published runs"]
        return [f"left out {file.path}: {file.reason}" for file in self.unreadable]


def load(
    folder: Path,
    *,
    reference: bool,
    detail: records.Detail = "full",
    or_published: bool = False,
    null: bool | None = False,
) -> Loaded:
    """The records of a folder, and the published records of the same boards if asked for.

    Every command and function reads records here, so that a record counts for all of them or for none.

    Args:
        detail: parts of each record to keep in memory.
        or_published: return all published records while the folder is the default one and empty.
        null: True for records of null searches, False for the real ones, None for both.

    Raises:
        UsageError: there is no such record in the folder.
    """
    if or_published and reference and folder == RUNS and not any(records.find(folder)):
        return Loaded(_of_kind(published(detail), null), [], published_only=True)
    listed, unreadable = records.require_records(folder, detail=detail)
    wanted = _of_kind(listed, null)
    if not wanted:
        which, flag = ("real", "without") if null is False else ("null", "with")
        raise UsageError(
            f"no records of {which} searches in {folder}: run a search {flag} --null, or name another folder"
        )
    return Loaded(wanted + (_of_boards(wanted, published(detail)) if reference else []), unreadable)


def _of_kind(listed: Iterable[records.Record], null: bool | None) -> list[records.Record]:
    """The records of null searches (True), of real ones (False), or all (None)."""
    return [record for record in listed if null in (record.null, None)]


def published(detail: records.Detail = "full") -> list[records.Record]:
    """The records that come with the package.

    Args:
        detail: parts of each record to keep in memory.
    """
    with resources.as_file(resources.files(REFERENCE)) as folder:
        return records.load_folder(folder, detail=detail)[0]


def _of_boards(listed: Sequence[records.Record], published: Sequence[records.Record]) -> list[records.Record]:
    """The published records of the boards that a user's records are on, without those that are among them."""
    boards = {board(record) for record in listed}
    known = {(record.id, record.provenance.created) for record in listed}
    return [r for r in published if board(r) in boards and (r.id, r.provenance.created) not in known]


def board(record: records.Record) -> tuple[object, ...]:
    """What two records on one board have in common."""
    return tuple(board_key(record).values())


def on_board(listed: Iterable[records.Record], record: records.Record) -> list[records.Record]:
    """Those of the records that share a board with this one."""
    return [other for other in listed if board(other) == board(record)]
