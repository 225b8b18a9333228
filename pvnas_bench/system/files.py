"""Crash-safe files: replaced as a whole or appended to, and on the disk when the call returns."""

import errno
import glob
import os
import secrets
import stat
from pathlib import Path

TAIL = 1 << 16
"""Bytes per read when looking for the end of the last complete line."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content; after a crash at any instant the file holds its old or its new content.

    Raises:
        OSError: writing failed; the file holds its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_leftover(path.name)}{secrets.token_hex(4)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            write_all(handle, content)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_whole(path: Path, limit: int) -> bytes:
    """Read a file's content.

    Raises:
        ValueError: the file is not regular (a pipe or a device may never end), or has more bytes than the limit.
        OSError: the file cannot be read.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if status.st_size > limit:
            raise ValueError(f"larger than {limit / 2**20:g} MiB")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of a file left next to it."""
    for leftover in path.parent.glob(f"{glob.escape(_leftover(path.name))}*"):
        leftover.unlink(missing_ok=True)


def _leftover(name: str) -> str:
    return f".{name}."


def write_all(handle: int, content: bytes | bytearray) -> None:
    """Repeat `os.write` until everything is written."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, if the system supports it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # unsupported by some network file systems
            raise
    finally:
        os.close(handle)


class Appended:
    """A file to which whole entries are appended."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it.

        Raises:
            OSError: the file cannot be written.
        """
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._end = os.fstat(self._handle).st_size

    def append(self, content: bytes) -> None:
        """Append an entry; it is on the disk when this returns.

        Raises:
            OSError: writing failed; the partial entry is removed, at the latest by the next call.
        """
        os.ftruncate(self._handle, self._end)
        os.lseek(self._handle, self._end, os.SEEK_SET)
        try:
            write_all(self._handle, content)
            os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._end)
            raise
        self._end += len(content)

    def cut_half_line(self) -> None:
        """Remove an incomplete last line, left by a killed writer."""
        while self._end:
            start = max(self._end - TAIL, 0)
            os.lseek(self._handle, start, os.SEEK_SET)
            newline = os.read(self._handle, self._end - start).rfind(b"\n")
            self._end = start + newline + 1
            if newline >= 0:
                break
        os.ftruncate(self._handle, self._end)

    def close(self) -> None:
        os.close(self._handle)
