"""Leases: one process at a time, on this and other machines."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pvnas_bench.errors import UsageError
from pvnas_bench.system import leases
from pvnas_bench.system.leases import Holder, claimed, held

HERE = Holder("here", leases._machine(), os.getpid(), leases._started(os.getpid()), "a")
BEAT = 0.02

HOLD = """
import sys
from pathlib import Path
from pvnas_bench.system.leases import claimed
with claimed(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""
RACE = """
import os, sys, time
from pathlib import Path
from pvnas_bench.system.leases import claimed
from pvnas_bench.errors import UsageError
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
done = 0
while done < rounds:
    try:
        with claimed(folder / "x"):
            handle = os.open(folder / "alone", os.O_CREAT | os.O_EXCL)
            os.close(handle)
            os.unlink(folder / "alone")
            done += 1
    except UsageError:
        pass
"""


def left(path: Path, holder: Holder, number: int = 0, age: float = 0.0) -> Path:
    """A lease file of another process, touched the given number of seconds ago."""
    claim = path.with_name(f".{path.name}.claim-{number}")
    claim.write_text(json.dumps(asdict(holder)))
    os.utime(claim, (time.time() - age,) * 2)
    return claim


def test_the_second_process_learns_the_owner_of_the_lease(tmp_path: Path) -> None:
    with claimed(tmp_path / "x") as claim:
        with (
            pytest.raises(UsageError, match=rf"x is in use by process {os.getpid()} on .*: wait"),
            claimed(tmp_path / "x"),
        ):
            pass
        claim.check()
        assert held(tmp_path / "x") is not None
        with claimed(tmp_path / "y"):
            pass
    assert held(tmp_path / "x") is None
    with claimed(tmp_path / "x"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_created_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b" / "x"):
        pass
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "a" / "b" / "x"):
        (tmp_path / "a" / "kept").touch()
    assert os.listdir(tmp_path / "a") == ["kept"]


def test_a_lease_of_a_killed_process_is_void(tmp_path: Path) -> None:
    path = tmp_path / "x"
    command = [sys.executable, "-c", HOLD, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "mine\n"
        with pytest.raises(UsageError, match=f"process {child.pid} "), claimed(path):
            pass
        child.kill()
        child.wait()
        assert os.listdir(tmp_path) == [".x.claim-0"]
        with claimed(path):
            assert os.listdir(tmp_path) == [".x.claim-1"]


@pytest.mark.parametrize(
    ("holder", "void"),
    [
        (HERE, False),
        (replace(HERE, started="0"), True),  # its number was used again
        (replace(HERE, pid=2**22 + 1), True),
    ],
)
def test_a_lease_of_this_machine_is_checked_against_its_processes(tmp_path: Path, holder: Holder, void: bool) -> None:
    left(tmp_path / "x", holder, age=1e6)
    assert (held(tmp_path / "x") is None) == void
    if void:
        with claimed(tmp_path / "x"):
            pass
        assert list(tmp_path.iterdir()) == []


ELSEWHERE = replace(HERE, machine="elsewhere", host="elsewhere")


@pytest.mark.parametrize("age", [0.0, -1e6])
def test_a_renewed_lease_of_another_machine_holds(tmp_path: Path, age: float) -> None:
    left(tmp_path / "x", ELSEWHERE, age=age)
    with pytest.raises(UsageError, match="on elsewhere"), claimed(tmp_path / "x"):
        pass


def test_a_lease_of_another_machine_expires(tmp_path: Path) -> None:
    left(tmp_path / "x", ELSEWHERE, number=7, age=1000 * BEAT)
    with claimed(tmp_path / "x", beat=BEAT):
        assert os.listdir(tmp_path) == [".x.claim-8"]


def test_a_jump_of_the_clock_does_not_expire_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = left(tmp_path / "x", ELSEWHERE, age=1e6)
    monkeypatch.setattr(time, "sleep", lambda _: os.utime(claim))  # its holder touches it while it is watched
    with pytest.raises(UsageError, match="on elsewhere"), claimed(tmp_path / "x", beat=BEAT):
        pass


def test_a_process_that_lost_its_lease_notices_before_it_writes(tmp_path: Path) -> None:
    with claimed(tmp_path / "x") as claim:
        (tmp_path / ".x.claim-0").unlink()
        other = left(tmp_path / "x", ELSEWHERE, number=1)
        with pytest.raises(UsageError, match="another process took over"):
            claim.check()
    assert other.exists(), "the other one's claim stays"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": 1}', json.dumps({**asdict(HERE), "pid": "1"}), "x" * 10**6]
)
def test_an_unreadable_lease_holds_while_it_is_young(tmp_path: Path, content: str) -> None:
    (tmp_path / ".x.claim-0").write_text(content)
    with pytest.raises(UsageError, match="another machine"), claimed(tmp_path / "x"):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"), claimed(tmp_path / "file" / "x"):
        pass


def test_a_lease_is_renewed(tmp_path: Path) -> None:
    with claimed(tmp_path / "x", beat=BEAT):
        claim = tmp_path / ".x.claim-0"
        os.utime(claim, (0, 0))
        while claim.stat().st_mtime == 0:
            time.sleep(BEAT)


def test_only_one_of_many_processes_holds_the_lease(tmp_path: Path) -> None:
    dead = left(tmp_path / "x", replace(HERE, pid=2**22 + 1))  # they begin with a takeover
    command = [sys.executable, "-c", RACE, os.fspath(tmp_path), "30"]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait(timeout=120) for child in children] == [0] * 4
    assert not dead.exists()
    assert list(tmp_path.iterdir()) == []
