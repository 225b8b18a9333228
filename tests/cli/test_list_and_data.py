import json
import os
import pty
import shutil
from pathlib import Path

import pytest

from pvnas_bench.cli import OK

from .conftest import Cli, process


@pytest.mark.parametrize(
    ("what", "among"),
    [
        ("strategies", {"pvnas", "random_search", "random_sampling", "expert"}),
        ("spaces", {"st_default"}),
        ("datasets", {"synthetic_motion"}),
    ],
)
def test_lists_are_arrays_of_objects_with_a_name(cli: Cli, what: str, among: set[str]) -> None:
    ended = cli("list", what, "--json")
    assert ended.code == OK
    found = json.loads(ended.out)
    assert among <= {item["name"] for item in found}
    assert all(item["description"] for item in found)
    lines = cli("list", what).out.splitlines()
    assert [line.split()[0] for line in lines] == [item["name"] for item in found]


def test_a_strategy_is_listed_with_its_settings(cli: Cli) -> None:
    found = {item["name"]: item for item in json.loads(cli("list", "strategies", "--json").out)}
    assert found["pvnas"]["settings"]["scheduler"]["default"] == "diversity"
    assert found["expert"]["role"] == "expert_control"


def test_prepare_prints_the_contents_of_the_data_set(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    shutil.copytree(tiny_dataset, root)
    (root / "down" / "00.mp4").write_bytes(b"")
    text = cli("data", "prepare", "--dataset", root).out.splitlines()
    assert text[0].startswith("mine: 3 classes, 35 clips (")
    assert text[1].startswith("left out down/00.mp4: ")
    about = json.loads(cli("data", "prepare", "--dataset", root, "--json").out)
    assert about["classes"] == ["down", "left", "right"]
    assert sum(about["clips"].values()) == 35
    assert [clip["path"] for clip in about["skipped"]] == ["down/00.mp4"]


def test_a_terminal_gets_a_live_bar_and_the_result_stays_clean(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVNAS_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")
    screen, terminal = pty.openpty()
    with process("data", "prepare", "--dataset", tiny_dataset, stderr=terminal) as child:
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(screen, 65536):
                shown += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
        out, _ = child.communicate(timeout=60)
    os.close(screen)
    assert child.returncode == OK
    assert out.startswith("tiny")
    assert b"\x1b[" in shown
    assert b"clips" in shown
    assert b"100%" in shown
