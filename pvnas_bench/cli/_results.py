"""Reading results: a user's records, and among them the published ones."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pvnas_bench import records
from pvnas_bench.boards.leaderboard import board_key
from pvnas_bench.errors import UsageError

REFERENCE = "pvnas_bench.reference"

_Read = TypeVar("_Read", records.Record, records.Summary)


def load(folder: Path, kind: type[_Read], *, reference: bool) -> tuple[list[_Read], list[records.Unreadable]]:
    """The records of a folder, and the published records of the same boards if asked for.

    Files that are no records are named on standard error and left out.

    Returns:
        the records, and the files that were left out.

    Raises:
        UsageError: there is no record in the folder.
    """
    own: list[_Read]
    own, unreadable = records.require_records(folder, kind)
    for file in unreadable:
        print(f"left out {file.path}: {file.reason}", file=sys.stderr)
    return own + published(own, kind) if reference else own, unreadable


def published(own: Sequence[_Read], kind: type[_Read]) -> list[_Read]:
    """The published records of the boards that a user's records are on, without those that are among them."""
    boards = {board(record) for record in own}
    known = {(record.id, record.provenance.created) for record in own}
    with resources.as_file(resources.files(REFERENCE)) as folder:
        found, _ = records.load_folder(folder, kind)
    return [r for r in found if board(r) in boards and (r.id, r.provenance.created) not in known]


def board(record: records.Record | records.Summary) -> tuple[object, ...]:
    """What two records on one board have in common."""
    return tuple(board_key(record).values())


def on_board(listed: Iterable[_Read], record: records.Record | records.Summary) -> list[_Read]:
    """Those of the records that share a board with this one."""
    return [other for other in listed if board(other) == board(record)]


@contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[None]:
    """A file or folder, named by this option, that cannot be written in the context is the user's error."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {output} ({error.strerror}): choose another {option}") from None
