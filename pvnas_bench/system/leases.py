"""Claims: one process at a time works on a path, among all processes that share its file system.

A claim is a file with the holder's machine and process, created by `link`, which succeeds for one process only, even on
network file systems with unreliable locks. The holder touches it regularly. A claim is void when its process on this
machine has ended, or when a process of another machine has not touched it for long, by the file server's clock. Claims
are numbered: a process takes over a void claim by creating the next number, so only one of several succeeds.
"""

import errno
import glob
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pvnas_bench.errors import UsageError

BEAT = 15.0
"""Seconds between touches."""
SILENCE = 10
"""Beats without a touch until another machine's claim may be void; it is watched for two more."""
LOOK = 0.01
"""Seconds between two looks at an awaited claim."""
LARGEST = 4096
"""Largest size of a claim in bytes."""


class InUse(UsageError):
    """Another process works on the path."""


@dataclass(frozen=True)
class Holder:
    """The holder of a claim.

    Attributes:
        machine: scope of its process number: one boot of one system, one container.
        started: start time of the process in the system's format: process numbers are reused.
        token: unique to this claim.
    """

    host: str
    machine: str
    pid: int
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def gone(self) -> bool | None:
        """True if its process has ended; None: unknown, on another machine."""
        if self.machine != _machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # another user's process
        return _started(self.pid) != self.started


UNKNOWN = Holder("another machine", "", 0, "", "")
"""Holder of an unreadable claim."""


class Claim:
    """A claim held by this process."""

    def __init__(self, path: Path, holder: Holder, beat: float) -> None:
        self._path, self._holder = path, holder
        self._ended = threading.Event()
        threading.Thread(target=self._touch, args=(beat,), daemon=True).start()

    def check(self) -> None:
        """Check that the claim is still held; call it before any write.

        Raises:
            UsageError: another process took over after a long silence.
        """
        if _read(self._path) != self._holder:
            raise UsageError(
                f"{self._path.parent} was taken over by another process, as this one was silent for minutes: "
                "nothing was written, let the other one end"
            )

    def _touch(self, beat: float) -> None:
        while not self._ended.wait(beat):
            try:
                os.utime(self._path)
            except FileNotFoundError:
                return
            except OSError:
                continue  # the file server is away; it may come back

    def release(self) -> None:
        self._ended.set()
        if _read(self._path) == self._holder:
            self._path.unlink(missing_ok=True)


@contextmanager
def claimed(path: Path, beat: float = BEAT, patience: float = 0.0) -> Iterator[Claim]:
    """Claim a path for this process until the context ends. New folders are removed if they stay empty.

    Args:
        patience: seconds to wait for another process to end.

    Raises:
        InUse: another process still works on it.
        UsageError: the folder cannot be written.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    holder = Holder(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), secrets.token_hex(8))
    try:
        claim = Claim(_wait(path, holder, beat, patience), holder, beat)
    except OSError as error:
        raise UsageError(f"cannot write {path.parent} ({error.strerror}): choose another folder") from None
    try:
        yield claim
    finally:
        claim.release()
        for folder in made:
            try:
                folder.rmdir()
            except OSError:
                break  # it is in use


def held(path: Path) -> Holder | None:
    """The holder of a path, as far as visible from here; None: nobody."""
    numbers = _numbers(path)
    holder = _read(_numbered(path, numbers[-1])) if numbers else None
    return None if holder is None or holder.gone else holder


def _wait(path: Path, holder: Holder, beat: float, patience: float) -> Path:
    """Repeat `_take` while another process holds the path."""
    until = time.monotonic() + patience
    while True:
        try:
            return _take(path, holder, beat)
        except InUse:
            if time.monotonic() >= until:
                raise
        time.sleep(LOOK)


def _take(path: Path, holder: Holder, beat: float) -> Path:
    """Create the next claim; return its file."""
    own = path.with_name(f".{path.name}.claimant-{holder.token}")
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                own.write_text(json.dumps(asdict(holder)))
            except FileNotFoundError:
                continue  # the folder was empty and was removed
            before = _numbers(path)
            found = None
            if before:
                last = _numbered(path, before[-1])
                found = _read(last)
                if found is None:
                    continue  # it was just released
                if not _void(last, found, own, beat):
                    raise InUse(f"{path} is in use by {found}: wait until that ends")
            mine = _numbered(path, before[-1] + 1 if before else 0)
            if not _made(own, mine):
                continue
            if _numbers(path)[-1:] != [_number(mine)] or (before and _read(last) != found):
                mine.unlink()  # another process was faster
                continue
            for number in before:
                _numbered(path, number).unlink(missing_ok=True)
            for leftover in path.parent.glob(f".{glob.escape(path.name)}.claimant-*"):
                claimant = _read(leftover)
                if claimant is not None and claimant.gone:
                    leftover.unlink(missing_ok=True)
            return mine
    finally:
        own.unlink(missing_ok=True)


def _made(own: Path, target: Path) -> bool:
    """Return True if this process's file became the claim: no other had."""
    try:
        os.link(own, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        try:  # this file system has no links
            with open(target, "x") as file:
                file.write(own.read_text())
        except FileExistsError:
            return False
    return True


def _void(path: Path, holder: Holder, own: Path, beat: float) -> bool:
    """Return True if a claim's holder is gone. May watch it for a while."""
    if holder.gone is not None:
        return holder.gone
    try:
        os.utime(own)
        touched = path.stat().st_mtime_ns
        if own.stat().st_mtime_ns - touched < SILENCE * beat * 1e9:
            return False
        time.sleep(2 * beat)  # a clock jump is not silence
        return path.stat().st_mtime_ns == touched
    except FileNotFoundError:
        return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.claim-{number}")


def _number(claim: Path) -> int:
    return int(claim.name.rpartition("-")[2])


def _numbers(path: Path) -> list[int]:
    """Numbers of the claims on a path, ascending."""
    found = path.parent.glob(f".{glob.escape(path.name)}.claim-*")
    return sorted(_number(claim) for claim in found if claim.name.rpartition("-")[2].isdigit())


def _read(claim: Path) -> Holder | None:
    """The holder of a claim; None: there is no claim."""
    try:
        with claim.open("rb") as file:
            text = file.read(LARGEST)
    except FileNotFoundError:
        return None
    try:
        values = json.loads(text)
        holder = Holder(**values)
        return holder if all(type(value) is type(getattr(UNKNOWN, name)) for name, value in values.items()) else UNKNOWN
    except (ValueError, TypeError):
        return UNKNOWN


@cache
def _machine() -> str:
    """Identifier of the scope of process numbers."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    words = [socket.gethostname()]
    if boot.exists() and namespace.exists():
        words += [boot.read_text().strip(), os.readlink(namespace)]
    return " ".join(words)


def _started(pid: int) -> str:
    """Start time of a process in system ticks; empty if unavailable or the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
