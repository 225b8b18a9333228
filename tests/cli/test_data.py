"""The `data` commands: list, verify, show and prepare; and runs on a description without a cache."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pvnas_bench import video
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, USAGE, _data
from pvnas_bench.errors import UsageError

from .conftest import Cli, process

EMBEDDED = len(video.list_datasets())


@pytest.fixture
def described(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A description of the tiny data set."""
    path = tmp_path / "mine.toml"
    path.write_text(f'root = "{tiny_dataset}"\nname = "tiny squares"\nlicence = "CC0"\nflip_safe = false\n')
    return path


def test_data_list_shows_the_data_sets_of_a_folder(cli: Cli, described: Path, tiny_dataset: Path) -> None:
    folder = described.parent
    shutil.copytree(tiny_dataset, folder / "classes")
    (folder / "set.csv").write_text("path,label\n")
    (folder / "empty").mkdir()
    (folder / "pyproject.toml").write_text("[project]\n")
    found = {item["name"]: item for item in json.loads(cli("data", "list", folder, "--json").out)}
    assert all(found.pop(name)["description"] for name, _ in video.list_datasets())
    assert {Path(name).name: item["format"] for name, item in found.items()} == {
        "classes": "class_folders",
        "mine.toml": "described",
        "set.csv": "manifest",
    }
    assert "mine.toml  described; CC0" in cli("data", "list", folder).out
    formats = cli("data", "list", "--formats").out.splitlines()
    names = "manifest something diving48 kinetics epic ucf101 hmdb51 nagoya_fir list class_folders"
    assert [line.split()[0] for line in formats] == names.split()
    assert cli("data", "list", folder / "nowhere").code == USAGE


def test_data_list_searches_subfolders(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_dataset, tmp_path / "disk" / "video" / "squares")
    shutil.copytree(tiny_dataset, tmp_path / "disk" / "more" / "of" / "them")
    (tmp_path / "disk" / "more" / "of" / "set.csv").write_text("path,label\n")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "disk")
    found = [Path(item["name"]) for item in json.loads(cli("data", "list", tmp_path / "disk", "--json").out)[EMBEDDED:]]
    assert [path.relative_to(tmp_path / "disk").as_posix() for path in found] == [
        "more/of/set.csv",
        "more/of/them",
        "video/squares",
    ]
    itself = json.loads(cli("data", "list", tiny_dataset, "--json").out)[EMBEDDED:]
    assert itself == [{"name": str(tiny_dataset), "format": "class_folders"}]


def test_a_missing_clip_is_called_missing(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    names = [f"left/{n:02d}.mp4" for n in range(9)] + [f"right/{n:02d}.mp4" for n in range(9)]
    rows = [f"{name},{name[0]},{'test' if '08' in name or '07' in name else 'train'}" for name in names]
    (tmp_path / "set.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tiny_dataset / name, tmp_path / name)
    (tmp_path / "left/03.mp4").unlink()
    ended = cli("data", "verify", "--dataset", tmp_path / "set.csv")
    assert ended.code == FAILED and "missing left/03.mp4\n" in ended.out and "1 missing, 0 corrupt" in ended.out
    found = json.loads(cli("data", "verify", "--dataset", tmp_path / "set.csv", "--json").out)
    assert found["missing"] == ["left/03.mp4"] and not found["corrupt"]
    for name in names[4:7]:
        (tmp_path / name).unlink()
    message = cli("data", "prepare", "--dataset", tmp_path / "set.csv").errors[0]
    assert "clips of 'set' are missing, among them 'left/0" in message and "missing_ok = true" in message


def test_generating_and_decoding_have_different_progress_labels(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def made(name: str, *, progress: Any, **_: Any) -> Any:
        progress(1, 2)
        progress(2, 2)
        raise UsageError("enough")

    monkeypatch.setattr(_data, "open_dataset", made)
    ended = cli("data", "prepare", "--dataset", "synthetic_motion")
    assert "making clips: 100%, 2 of 2 drawn and encoded" in ended.err and "prepared" not in ended.err


def test_prepare_refuses_data_on_which_no_run_is_possible(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    for label in ("left", "right"):
        (tmp_path / "small" / label).mkdir(parents=True)
        for number in range(3):
            shutil.copy(tiny_dataset / label / f"{number:02d}.mp4", tmp_path / "small" / label)
    ended = cli("data", "prepare", "--dataset", tmp_path / "small")
    assert ended.code == USAGE and "it has 1 clip; add clips of this class" in ended.errors[0]


def test_prepare_prints_the_required_space_and_the_licence(
    cli: Cli, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVNAS_BENCH_CACHE", str(tmp_path / "cache"))
    ended = cli("data", "prepare", "--dataset", described, "--workers", 1)
    assert ended.code == OK
    assert ended.err.startswith("the cache needs at most 6.69 MB in ")  # 36 clips, 32 frames of 44 × 44 × 3 bytes
    assert ended.out.splitlines()[0].startswith("tiny squares: 3 classes, 36 clips (")
    assert ended.out.splitlines()[1] == "licence: CC0"


def test_prepare_tolerates_the_given_share_of_broken_clips(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_dataset, tmp_path / "mine")
    for number in range(2, 7):
        (tmp_path / "mine" / "left" / f"{number:02d}.mp4").write_bytes(b"")
    refused = cli("data", "prepare", "--dataset", tmp_path / "mine")
    assert refused.code == USAGE and "accept more with `data prepare --tolerate`" in refused.errors[0]
    ended = cli("data", "prepare", "--dataset", tmp_path / "mine", "--tolerate", "0.2")
    assert ended.code == OK and ended.out.count("left out left/") == 5


def test_prepare_resumes_after_ctrl_c(tiny_dataset: Path, tmp_path: Path) -> None:
    for clip in tiny_dataset.rglob("*.mp4"):
        for number in range(10):
            (tmp_path / "many" / clip.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, tmp_path / "many" / clip.parent.name / f"{number}{clip.name}")
    cache = {**os.environ, "PVNAS_BENCH_CACHE": str(tmp_path / "cache")}
    words = ("data", "prepare", "--dataset", tmp_path / "many", "--workers", 1)
    with process(*words, env=cache) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith("clips: ") and not line.startswith("clips: 0%"):
                child.send_signal(signal.SIGINT)
                break
        _, err = child.communicate(timeout=60)
    if child.returncode == OK:
        pytest.skip("it was ready before the signal came")
    assert child.returncode == INTERRUPTED
    assert err.endswith("interrupted: repeat the command to resume\n")
    with process(*words, env=cache) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == OK and "360 clips" in out
    assert "clips: 0%" not in err


def test_verify(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    ended = cli("data", "verify", "--dataset", tiny_dataset)
    assert ended.code == OK
    assert ended.out.startswith("tiny")
    assert "36 clips, 0 missing, 0 corrupt, 0 too short, 0 duplicate, 0 leaking" in ended.out
    root = tmp_path / "mine"
    shutil.copytree(tiny_dataset, root)
    (root / "down" / "00.mp4").write_bytes(b"")
    for copy in ("left/copy1.mp4", "left/copy2.mp4"):
        shutil.copy(root / "left" / "03.mp4", root / copy)
    ended = cli("data", "verify", "--dataset", root, "--min-frames", 8)
    assert ended.code == FAILED
    lines = ended.out.splitlines()
    assert lines[0] == "corrupt down/00.mp4: zero bytes"
    assert lines[1].split()[0] in ("duplicate", "leak") and "left/copy1.mp4" in lines[1]
    assert lines[-1].startswith("mine: 38 clips, 0 missing, 1 corrupt, 0 too short, ")
    found = json.loads(cli("data", "verify", "--dataset", root, "--min-frames", 9, "--json").out)
    assert found["corrupt"] == [["down/00.mp4", "zero bytes"]] and len(found["too_short"]) == 37


def test_show(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    words = ("data", "show", "--dataset", tiny_dataset, "--output", tmp_path / "sheets")
    ended = cli(*words, "--class", "left", "--clips", 3, "--frames", 4)
    assert ended.code == OK and ended.last_line == str(tmp_path / "sheets" / "001-left.png")
    assert np.asarray(Image.open(ended.last_line)).shape == (2 * 16 + 3 * 116, 4 * 100 + 4, 3)
    assert "has no class 'up': it has down, left, right" in cli(*words, "--class", "up").errors[0]


@pytest.mark.long
def test_a_run_without_a_cache_gives_the_same_record(cli: Cli, described: Path, tmp_path: Path) -> None:
    words = ("run", "--strategy", "random_sampling", "--dataset", described, "--threads", 1)
    records = []
    for number, cache in enumerate(("--cache", "--no-cache")):
        ended = cli(*words, cache, "--results", tmp_path / str(number))
        assert ended.code == OK, ended.err
        records.append(json.loads(Path(ended.last_line).read_text()))
    kept, decoded = records
    assert kept["data"]["name"] == "tiny squares"
    assert decoded["outcome"]["trained"] == kept["outcome"]["trained"]
    assert decoded["outcome"]["architecture"] == kept["outcome"]["architecture"]
