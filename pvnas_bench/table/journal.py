"""The journal of a build: one JSON line for each finished training, flushed to the disk at once.

A process killed while writing leaves an incomplete line, which the next process that opens the journal removes. Only
one process at a time can open it, among all machines that share the folder.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import Appended, read_whole
from pvnas_bench.system.leases import claimed
from pvnas_bench.table.schema import About, KnownTraining, Session

TRAINING = TypeAdapter(KnownTraining)
LARGEST = 2**31
"""Largest size of a journal in bytes."""


@dataclass
class Content:
    """Content of a journal or a table file."""

    about: About | None = None
    sessions: list[Session] = field(default_factory=list)
    trainings: list[KnownTraining] = field(default_factory=list)

    def add(self, later: "Content") -> None:
        """Append the content of a later file of the same recipe; for equal keys the earlier training is kept."""
        known, shift = {training.key for training in self.trainings}, len(self.sessions)
        self.about = self.about or later.about
        self.sessions += later.sessions
        for training in later.trainings:
            if training.key not in known:
                known.add(training.key)
                self.trainings.append(training._replace(session=training.session + shift))


def read(path: Path) -> Content:
    """Read a journal; an incomplete last line is ignored, and an absent file is an empty journal.

    Raises:
        UsageError: the file is not a journal, or a complete line cannot be read.
    """
    content = Content()
    if not path.exists():
        return content
    for number, line in enumerate(_whole_lines(_content(path)), 1):
        try:
            ((kind, values),) = from_json(line).items()
            if kind == "about":
                content.about = About.model_validate(values)
            elif kind == "session":
                content.sessions.append(Session.model_validate(values))
            elif kind == "training":
                content.trainings.append(TRAINING.validate_python(values))
            else:
                raise ValueError(f"unknown kind {kind!r}")
        except (ValueError, TypeError, AttributeError, RecursionError, ValidationError) as error:
            raise UsageError(f"{path}, line {number} is damaged ({error}): remove that line and build again") from None
    return content


def _content(path: Path) -> bytes:
    try:
        return read_whole(path, LARGEST)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not the journal of a table ({error}): move it to another folder") from None


def _whole_lines(text: bytes) -> list[bytes]:
    return text[: text.rfind(b"\n") + 1].splitlines()


class Journal:
    """A journal open for appending."""

    def __init__(self, path: Path, file: Appended) -> None:
        self._path, self._file = path, file

    def append(self, entry: About | Session | KnownTraining) -> None:
        """Write one entry; it is on the disk when this returns.

        Raises:
            UsageError: the entry cannot be written; the journal is unchanged.
        """
        kind = {About: "about", Session: "session", KnownTraining: "training"}[type(entry)]
        values = entry._asdict() if isinstance(entry, KnownTraining) else json.loads(entry.model_dump_json())
        line = json.dumps({kind: values}, separators=(",", ":"))
        try:
            self._file.append(line.encode() + b"\n")
        except OSError as error:
            raise UsageError(
                f"cannot write {self._path} ({error.strerror}): free some space, then repeat the command"
            ) from None


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """Open a journal for appending, exclusively, and remove an incomplete last line.

    Raises:
        UsageError: another process has it open, or it cannot be written.
    """
    with claimed(path):
        try:
            file = Appended(path)
        except OSError as error:
            raise UsageError(f"cannot write {path} ({error.strerror}): choose another folder with --tables") from None
        try:
            file.cut_half_line()
            yield Journal(path, file)
        finally:
            file.close()
