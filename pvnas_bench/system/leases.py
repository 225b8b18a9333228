"""Claims: one process at a time works on a thing, whether the others are on this machine or share its file system.

A claim is a file with the holder's machine and process, made by `link`, which succeeds for one process only, also on
network file systems where locks are not to be relied on. The holder touches it all the while. A claim is void when its
process is gone from this machine, or when a process of another machine has not touched it for long, by the clock of the
file server alone. Claims are numbered: who takes over a void claim makes the next number, so that of several who find
it void only one gets it.
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
"""Seconds from touch to touch."""
SILENCE = 10
"""Beats without a touch after which a claim of another machine may be void; it is watched for two more."""
LOOK = 0.01
"""Seconds between two looks at a claim that is waited for."""
LARGEST = 4096
"""Bytes of a claim."""


class InUse(UsageError):
    """Another process works on it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a claim.

    Attributes:
        machine: what its process number is valid in: one start of one system, one container.
        started: when the process began, in the system's own words: process numbers are used again.
        token: of this claim alone.
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
        """Whether its process has ended; None: it is of another machine, and cannot be seen."""
        if self.machine != _machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # of another user
        return _started(self.pid) != self.started


UNKNOWN = Holder("another machine", "", 0, "", "")
"""The holder of a claim that cannot be read."""


class Claim:
    """A claim that this process holds."""

    def __init__(self, path: Path, holder: Holder, beat: float) -> None:
        self._path, self._holder = path, holder
        self._ended = threading.Event()
        threading.Thread(target=self._touch, args=(beat,), daemon=True).start()

    def check(self) -> None:
        """Make sure that it is still held; call it before anything is written.

        Raises:
            UsageError: another process took over, as it had not been touched for long.
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
    """Within the context this process alone works on what goes to a path. Folders made for it go when they stay empty.

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
    """Who works on what goes to a path, as far as can be seen from here; None: nobody."""
    numbers = _numbers(path)
    holder = _read(_numbered(path, numbers[-1])) if numbers else None
    return None if holder is None or holder.gone else holder


def _wait(path: Path, holder: Holder, beat: float, patience: float) -> Path:
    """`_take`, again and again while another process has it."""
    until = time.monotonic() + patience
    while True:
        try:
            return _take(path, holder, beat)
        except InUse:
            if time.monotonic() >= until:
                raise
        time.sleep(LOOK)


def _take(path: Path, holder: Holder, beat: float) -> Path:
    """Make the next claim; its file."""
    own = path.with_name(f".{path.name}.claimant-{holder.token}")
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                own.write_text(json.dumps(asdict(holder)))
            except FileNotFoundError:
                continue  # the folder was empty and went
            before = _numbers(path)
            found = None
            if before:
                last = _numbered(path, before[-1])
                found = _read(last)
                if found is None:
                    continue  # it was given up just now
                if not _void(last, found, own, beat):
                    raise InUse(f"{path} is in use by {found}: wait until that ends")
            mine = _numbered(path, before[-1] + 1 if before else 0)
            if not _made(own, mine):
                continue
            if _numbers(path)[-1:] != [_number(mine)] or (before and _read(last) != found):
                mine.unlink()  # somebody was quicker, between two looks
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
    """Whether a claim could be made of this process's file: nobody else had made it."""
    try:
        os.link(own, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        try:  # no links on this file system
            with open(target, "x") as file:
                file.write(own.read_text())
        except FileExistsError:
            return False
    return True


def _void(path: Path, holder: Holder, own: Path, beat: float) -> bool:
    """Whether a claim's holder is gone. May watch it for a while."""
    if holder.gone is not None:
        return holder.gone
    try:
        os.utime(own)
        touched = path.stat().st_mtime_ns
        if own.stat().st_mtime_ns - touched < SILENCE * beat * 1e9:
            return False
        time.sleep(2 * beat)  # a clock that jumped is not silence
        return path.stat().st_mtime_ns == touched
    except FileNotFoundError:
        return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.claim-{number}")


def _number(claim: Path) -> int:
    return int(claim.name.rpartition("-")[2])


def _numbers(path: Path) -> list[int]:
    """Numbers of the claims on a path, in order."""
    found = path.parent.glob(f".{glob.escape(path.name)}.claim-*")
    return sorted(_number(claim) for claim in found if claim.name.rpartition("-")[2].isdigit())


def _read(claim: Path) -> Holder | None:
    """Who made a claim; None: there is none."""
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
    """What process numbers are valid in."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    words = [socket.gethostname()]
    if boot.exists() and namespace.exists():
        words += [boot.read_text().strip(), os.readlink(namespace)]
    return " ".join(words)


def _started(pid: int) -> str:
    """When a process began, in ticks of the system; empty where it does not tell, or the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
