"""Reading results: a user's records, and among them the published ones."""

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
"""Where records go and are looked for unless a command says otherwise."""


def load(
    folder: Path, *, reference: bool, slimmed: bool = False, or_published: bool = False
) -> tuple[list[records.Record], list[records.Unreadable]]:
    """The records of a folder, and the published records of the same boards if asked for.

    Files that are no records are named on standard error and left out. Every command reads records here, so that a
    record counts for all of them or for none.

    Args:
        slimmed: as in `records.load_folder`.
        or_published: all published records, which is said in a line, while the folder is the default one and empty.

    Returns:
        the records, and the files that were left out.

    Raises:
        UsageError: there is no record in the folder.
    """
    if or_published and reference and folder == RUNS and not any(records.find(folder)):
        print(f"no records in {folder} yet: these are the published runs", file=sys.stderr)
        return published(slimmed), []
    own, unreadable = records.require_records(folder, slimmed=slimmed)
    for file in unreadable:
        print(f"left out {file.path}: {file.reason}", file=sys.stderr)
    return own + _of_boards(own, published(slimmed)) if reference else own, unreadable


def published(slimmed: bool) -> list[records.Record]:
    """The records that come with the package."""
    with resources.as_file(resources.files(REFERENCE)) as folder:
        return records.load_folder(folder, slimmed=slimmed)[0]


def _of_boards(own: Sequence[records.Record], found: Sequence[records.Record]) -> list[records.Record]:
    """The published records of the boards that a user's records are on, without those that are among them."""
    boards = {board(record) for record in own}
    known = {(record.id, record.provenance.created) for record in own}
    return [r for r in found if board(r) in boards and (r.id, r.provenance.created) not in known]


def board(record: records.Record) -> tuple[object, ...]:
    """What two records on one board have in common."""
    return tuple(board_key(record).values())


def on_board(listed: Iterable[records.Record], record: records.Record) -> list[records.Record]:
    """Those of the records that share a board with this one."""
    return [other for other in listed if board(other) == board(record)]


@contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[None]:
    """A file or folder, named by this option, that cannot be written in the context is the user's error."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {output} ({error.strerror}): choose another {option}") from None
