"""Reading results: the user's records and the published ones."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from pvnas_bench import records
from pvnas_bench.boards.leaderboard import board_key
from pvnas_bench.errors import UsageError

REFERENCE = "pvnas_bench.reference"
RUNS = Path("results/runs")
"""Default folder of records."""


def load(
    folder: Path,
    *,
    reference: bool,
    detail: records.Detail = "full",
    or_published: bool = False,
    null: bool | None = False,
) -> tuple[list[records.Record], list[records.Unreadable]]:
    """Read the records of a folder, for any command.

    Invalid records are left out and reported on standard error.

    Args:
        reference: True to add the published records of the same boards.
        detail: parts of each record to keep in memory.
        or_published: True to return all published records, with a message, if the default folder has no records.
        null: True for records of null searches, False for the real ones, None for both.

    Returns:
        The records, and the files that were left out.

    Raises:
        UsageError: the folder has no such records.
    """
    if or_published and reference and folder == RUNS and not any(records.find(folder)):
        print(f"no records in {folder} yet: showing the published runs", file=sys.stderr)
        return [record for record in published(detail) if null in (record.null, None)], []
    local, unreadable = records.require_records(folder, detail=detail)
    for file in unreadable:
        print(f"left out {file.path}: {file.reason}", file=sys.stderr)
    wanted = [record for record in local if null in (record.null, None)]
    if not wanted:
        which, flag = ("real", "without") if null is False else ("null", "with")
        raise UsageError(
            f"no records of {which} searches in {folder}: run a search {flag} --null, or name another folder"
        )
    return wanted + _of_boards(wanted, published(detail)) if reference else wanted, unreadable


def published(detail: records.Detail = "full") -> list[records.Record]:
    """The records that come with the package."""
    with resources.as_file(resources.files(REFERENCE)) as folder:
        return records.load_folder(folder, detail=detail)[0]


def _of_boards(local: Sequence[records.Record], published: Sequence[records.Record]) -> list[records.Record]:
    """The published records on the boards of the user's records, without copies of the latter."""
    boards = {board(record) for record in local}
    known = {(record.id, record.provenance.created) for record in local}
    return [r for r in published if board(r) in boards and (r.id, r.provenance.created) not in known]


def board(record: records.Record) -> tuple[object, ...]:
    """Key of a record's board."""
    return tuple(board_key(record).values())


def on_board(listed: Iterable[records.Record], record: records.Record) -> list[records.Record]:
    """The records on the same board as this one."""
    return [other for other in listed if board(other) == board(record)]


@contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[None]:
    """Turn an OSError within the context into a UsageError about the output named by this option."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {output} ({error.strerror}): choose another path with {option}") from None
