"""Files that survive a crash: replaced as a whole or appended to, and on the disk when the call returns."""

import errno
import glob
import os
import secrets
import stat
from pathlib import Path

TAIL = 1 << 16
"""Bytes that are read at a time to find the end of the last whole line."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content; after a crash at any instant the file holds its old or its new content.

    Raises:
        OSError: it was not written; the file holds its old content.
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
    """A file's content.

    Raises:
        ValueError: it is no regular file (a pipe or a device could be read for ever), or has more bytes than the limit.
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("no regular file")
        if status.st_size > limit:
            raise ValueError(f"larger than {limit / 2**20:g} MiB")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote a file have left beside it."""
    for leftover in path.parent.glob(f"{glob.escape(_leftover(path.name))}*"):
        leftover.unlink(missing_ok=True)


def _leftover(name: str) -> str:
    return f".{name}."


def write_all(handle: int, content: bytes | bytearray) -> None:
    """`os.write` until everything is written."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot, as some network ones
            raise
    finally:
        os.close(handle)


class Appended:
    """A file that only grows, by whole entries."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it where it is missing.

        Raises:
            OSError: it cannot be written.
        """
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._end = os.fstat(self._handle).st_size

    def append(self, content: bytes) -> None:
        """Add an entry; it is on the disk when this returns.

        Raises:
            OSError: it is not; the file is as before, at the latest when the next entry is added.
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
        """Leave only whole lines: a process that was killed while it wrote may have left half of one."""
        while self._end:
            start = max(self._end - TAIL, 0)
            os.lseek(self._handle, start, os.SEEK_SET)
            found = os.read(self._handle, self._end - start).rfind(b"\n")
            self._end = start + found + 1
            if found >= 0:
                break
        os.ftruncate(self._handle, self._end)

    def close(self) -> None:
        os.close(self._handle)
