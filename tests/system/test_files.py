"""A failing disk never loses data that was reported as saved."""

import os
from pathlib import Path

import pytest
from faults import Fault, layer

from pvnas_bench.system.files import Appended, remove_leftovers, write_atomically

FAULTS: tuple[Fault, ...] = ("ENOSPC", "EIO", "torn")
OLD, NEW = b"old" * 1000, b"new" * 2000


def calls_of_a_write(folder: Path) -> int:
    with layer() as seen:
        write_atomically(folder / "f", NEW)
    return seen.calls


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_has_its_old_content_or_its_new_one_at_every_fault(tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "f"
    number = calls_of_a_write(tmp_path)
    assert number == 4, "write, fsync, replace, and fsync of the folder"
    for at in range(number):
        path.write_bytes(OLD)
        with layer(fault, at) as seen, pytest.raises(OSError, match=r"No space|Input/output"):
            write_atomically(path, NEW)
        assert seen.failed == 1
        assert path.read_bytes() == (OLD if at < 3 else NEW)
        assert list(tmp_path.iterdir()) == [path], "no half file stays"


def test_only_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for name in (".f.0a1b2c3d", ".f.zz", "f", ".g.1", "f.1"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "f")
    assert sorted(os.listdir(tmp_path)) == [".g.1", "f", "f.1"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lasting", [False, True])
def test_appended_entries_survive_every_fault(tmp_path: Path, fault: Fault, lasting: bool) -> None:
    entries = [f"entry {i}\n".encode() for i in range(4)]
    with layer() as seen:
        file = Appended(tmp_path / "whole")
        for entry in entries:
            file.append(entry)
        file.close()
    for at in range(seen.calls):
        path, saved = tmp_path / f"{fault}{at}", []
        file = Appended(path)
        with layer(fault, at, lasting=lasting):
            for entry in entries:
                try:
                    file.append(entry)
                except OSError:
                    continue
                saved.append(entry)
        if lasting:  # incomplete files stay until the disk works again
            assert path.read_bytes().startswith(b"".join(saved))
            file.append(b"last\n")
            saved.append(b"last\n")
        file.close()
        assert path.read_bytes() == b"".join(saved)
        assert lasting or len(saved) >= len(entries) - 1
