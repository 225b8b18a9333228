"""Standard streams whose failures do not stop a command: closed, full, unread, or unable to encode a character.

A command's work matters more than its output: within `lasting`, writing never raises. After its first failure a stream
discards output, and `failed` holds the error.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

STANDARD = (0, 1, 2)


class Lasting(io.TextIOBase):
    """A text stream that discards output after a failure instead of raising, and replaces unencodable characters.

    Attributes:
        failed: the first error; None if there was none.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.failed: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        if self.failed is None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except OSError as error:
                self._fail(error)
            except ValueError:  # the stream is closed
                self._fail(OSError("closed"))
        return len(text)

    def flush(self) -> None:
        if self.failed is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)
            except ValueError:
                self._fail(OSError("closed"))

    def close(self) -> None:
        """Do nothing: the code that opened the stream closes it."""

    def _fail(self, error: OSError) -> None:
        """Discard all further output, including buffered output, which would fail when the interpreter ends."""
        self.failed = error
        try:
            number = self._stream.fileno()
        except (OSError, ValueError):
            return
        _to_nowhere(number)

    def isatty(self) -> bool:
        return self.failed is None and not self._stream.closed and self._stream.isatty()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "replace"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def occupy() -> None:
    """Open closed standard descriptors on the null device; otherwise a new file could get their number and output."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            _to_nowhere(number)


@contextmanager
def lasting() -> Iterator[tuple[Lasting, Lasting]]:
    """Make standard output and standard error `Lasting` within the context; flush them at its end."""
    before = sys.stdout, sys.stderr
    occupy()
    out, err = (Lasting(stream if stream is not None else _nothing()) for stream in before)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _nothing() -> TextIO:
    """Null stream, for a process started without a standard stream."""
    return open(os.devnull, "w", encoding="utf-8")
