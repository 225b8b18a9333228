"""Leases: one process at a time works on a path, among all processes that share its file system.

A lease is a file with the holder's machine and process, created by `link`, which succeeds for one process only, even on
network file systems with unreliable locks. The holder touches it regularly. A lease is void when its process on this
machine has ended, or when a process of another machine has not touched it for long, by the file server's clock. Leases
are numbered: a process takes over a void lease by creating the next number, so only one of several succeeds.
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
"""Beats without a touch until another machine's lease may be void; it is watched for two more."""
LOOK = 0.01
"""Seconds between two attempts to take a lease."""
LARGEST = 4096
"""Largest size of a lease file in bytes."""


class InUse(UsageError):
    """Another process works on the path."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lease.

    Attributes:
        machine: scope of its process number: one boot of one system, one container.
        started: start time of the process in the system's format, since process numbers are reused.
        token: unique to this lease.
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
        """True if its process has ended; None if unknown, since it is on another machine."""
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
"""Holder of an unreadable lease."""


class Claim:
    """A lease held by this process."""

    def __init__(self, path: Path, holder: Holder, beat: float) -> None:
        self._path, self._holder = path, holder
        self._ended = threading.Event()
        threading.Thread(target=self._touch, args=(beat,), daemon=True).start()

    def check(self) -> None:
        """Check that the lease is still held; call it before every write.

        Raises:
            UsageError: another process took the lease over after a long silence.
        """
        if _read(self._path) != self._holder:
            raise UsageError(
                f"another process took over {self._path.parent}, since this one was suspended for minutes: "
                "nothing was written, wait for the other process to end"
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
        """Give the lease up, unless another process took it over."""
        self._ended.set()
        if _read(self._path) == self._holder:
            self._path.unlink(missing_ok=True)


@contextmanager
def claimed(path: Path, beat: float = BEAT, patience: float = 0.0) -> Iterator[Claim]:
    """Hold the lease on a path within the context. New folders that stay empty are removed.

    Args:
        beat: seconds between touches.
        patience: seconds to wait for another process to end.

    Raises:
        InUse: another process still holds it.
        UsageError: the folder cannot be written.
    """
    created = [folder for folder in path.parents if not folder.exists()]
    holder = Holder(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), secrets.token_hex(8))
    try:
        claim = Claim(_wait(path, holder, beat, patience), holder, beat)
    except OSError as error:
        raise UsageError(f"cannot write {path.parent} ({error.strerror}): choose another folder") from None
    try:
        yield claim
    finally:
        claim.release()
        for folder in created:
            try:
                folder.rmdir()
            except OSError:
                break  # it is in use


def held(path: Path) -> Holder | None:
    """The holder of the lease on a path; None if there is none, or its process is known to have ended."""
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
    """Create the next lease on a path; return its file.

    Raises:
        InUse: another process holds it.
    """
    candidate = path.with_name(f".{path.name}.claimant-{holder.token}")
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                candidate.write_text(json.dumps(asdict(holder)))
            except FileNotFoundError:
                continue  # the folder was empty and was removed
            before = _numbers(path)
            previous = None
            if before:
                last = _numbered(path, before[-1])
                previous = _read(last)
                if previous is None:
                    continue  # it was just released
                if not _void(last, previous, candidate, beat):
                    raise InUse(f"{path} is in use by {previous}: wait until it ends")
            mine = _numbered(path, before[-1] + 1 if before else 0)
            if not _linked(candidate, mine):
                continue
            if _numbers(path)[-1:] != [_number(mine)] or (before and _read(last) != previous):
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
        candidate.unlink(missing_ok=True)


def _linked(candidate: Path, target: Path) -> bool:
    """Link this process's file as the lease; return False if the lease exists already."""
    try:
        os.link(candidate, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        try:  # this file system has no links
            with open(target, "x") as file:
                file.write(candidate.read_text())
        except FileExistsError:
            return False
    return True


def _void(path: Path, holder: Holder, candidate: Path, beat: float) -> bool:
    """Return True if a lease's holder is gone; may take two beats."""
    if holder.gone is not None:
        return holder.gone
    try:
        os.utime(candidate)
        touched = path.stat().st_mtime_ns
        if candidate.stat().st_mtime_ns - touched < SILENCE * beat * 1e9:
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
    """Numbers of the leases on a path, ascending."""
    leases = path.parent.glob(f".{glob.escape(path.name)}.claim-*")
    return sorted(_number(lease) for lease in leases if lease.name.rpartition("-")[2].isdigit())


def _read(claim: Path) -> Holder | None:
    """Read the holder from a lease's file; None if there is no file."""
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
