"""The commands of trained models: what they print and write, their exit codes, and what they refuse."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pvnas_bench import registry
from pvnas_bench.cli import FAILED, OK, USAGE

from .conftest import Cli, Finished

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```bash\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def table_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def model(finished: Finished) -> Path:
    """The weights beside a record."""
    (path,) = finished.results.rglob("model.safetensors")
    return path


@pytest.fixture
def some(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A folder with two clips, one that is cut short, and a file that is none."""
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(tiny_dataset / "left" / "00.mp4", folder / name)
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes()[:700])
    (folder / "readme.txt").touch()
    return folder


def test_a_run_leaves_weights_that_evaluate_to_its_test_score(
    cli: Cli, finished: Finished, model: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    (trained,) = finished.record["outcome"]["trained"]
    ended = cli("evaluate", finished.results, tiny_dataset, "--json")
    assert ended.code == OK, ended.err
    said = json.loads(ended.out)
    assert {key: said[key] for key in ("top1", "top5", "mean_class", "loss")} == {
        "top1": trained["test_top1"],
        "top5": trained["test_top5"],
        "mean_class": trained["test_mean_class"],
        "loss": trained["test_loss"],
    }
    assert said["confusion"] == trained["confusion"]
    assert said["latency_ms"] > 0

    ended = cli("evaluate", model, tiny_dataset, "--split", "all", "--output", tmp_path / "out")
    assert ended.code == OK and "top-1" in ended.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("classes.csv", "clips.csv", "confusion.csv", "confusion.png")
    ]
    head, *rows = csv.reader((tmp_path / "out" / "confusion.csv").read_text().splitlines())
    assert head == ["true \\ predicted", "down", "left", "right"]
    assert [sum(map(int, row[1:])) for row in rows] == [12, 12, 12]
    clips = table_of(tmp_path / "out" / "clips.csv")
    counted = [[sum(c["class"] == a and c["predicted"] == b for c in clips) for b in head[1:]] for a in head[1:]]
    assert counted == [[int(cell) for cell in row[1:]] for row in rows]


def test_predictions_are_written_and_unreadable_files_named(cli: Cli, model: Path, some: Path, tmp_path: Path) -> None:
    table, picture = tmp_path / "new" / "out.csv", tmp_path / "out.png"
    ended = cli("predict", model, some, "--top", 2, "--output", table, "--plot", picture)
    assert ended.code == FAILED
    assert f"not predicted: {some / 'c.mp4'}: " in ended.err
    assert ended.out.splitlines() == [str(table), str(picture)]
    rows = table_of(table)
    assert [(Path(row["clip"]).name, row["rank"]) for row in rows] == [
        *[("a.mp4", "1"), ("a.mp4", "2"), ("b.mp4", "1"), ("b.mp4", "2"), ("c.mp4", "")]
    ]
    assert float(rows[0]["probability"]) >= float(rows[1]["probability"]) > 0
    assert rows[4]["error"] and not rows[0]["error"]
    assert picture.read_bytes().startswith(b"\x89PNG")

    ended = cli("predict", model, some / "a.mp4", "--json", "--window", "0.2", "--stride", "0.2", "--plot", picture)
    assert ended.code == OK
    said = json.loads(ended.out)
    assert said["classes"] == ["down", "left", "right"]
    assert [round(row["start"], 2) for row in said["predictions"]] == [0.0, 0.2, 0.33]
    assert all(abs(sum(one["probability"] for one in row["top"]) - 1) < 1e-6 for row in said["predictions"])

    ended = cli("predict", model, some / "a.mp4", some / "b.mp4", "--top", 1)
    assert ended.code == OK
    assert re.fullmatch(r".*a\.mp4 +\w+ \d+\.\d%\n.*b\.mp4 +\w+ \d+\.\d%\n2 predictions\n", ended.out)


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    cli: Cli, model: Path, some: Path, tmp_path: Path, tiny_dataset: Path
) -> None:
    (none := tmp_path / "none.safetensors").write_text("no model")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    clip = some / "a.mp4"
    before = sorted(tmp_path.rglob("*"))
    cases: list[tuple[list[object], str]] = [
        (["predict", none, clip], "is not a model that this program can use: no intact safetensors file"),
        (["evaluate", none, tiny_dataset], "is not a model"),
        (["export", none], "is not a model"),
        (["predict", tmp_path / "empty", clip], "holds no model.safetensors"),
        (["predict", model, tmp_path / "gone.mp4"], "no such file or folder"),
        (["predict", model, tmp_path / "empty"], "no video files in the folder"),
        (["predict", model, some / "c.mp4", "--output", tmp_path / "x.csv"], "c.mp4' cannot be read: "),
        (
            ["predict", model, some / "readme.txt", "--plot", tmp_path / "x.png"],
            "readme.txt' cannot be read: zero bytes",
        ),
        (["predict", model, clip, "--window", "long"], "--window is a number of seconds, or clip, got 'long'"),
        (["predict", model, clip, "--window", "-1"], "positive seconds"),
        (["predict", model, clip, "--output", "table.xlsx"], "--output is a .csv or a .json file"),
        (["predict", model, clip, "--plot", "plot.svg"], "--plot is a .png file"),
        (["predict", model, clip, "--output", tmp_path / "file" / "x.csv"], "choose another with --output"),
        (["predict", model, clip, "--plot", tmp_path / "file" / "x.png"], "choose another with --plot"),
        (["evaluate", model, tiny_dataset, "--output", tmp_path / "file"], "choose another with --output"),
        (["evaluate", model, "synthetic_moton"], "unknown data set"),
        (["export", model, "--output", tmp_path / "file" / "x.onnx"], "choose another with --output"),
        (["export", model, "--format", "tflite"], "'tflite' is not one of"),
        (["train", "no/such/one"], "has 3 groups"),
        (["train", model, "--dataset", tiny_dataset, "--output", tmp_path / "file"], "choose another with --output"),
    ]
    for words, reason in cases:
        ended = cli(*words)
        assert (ended.code, ended.out) == (USAGE, ""), words
        (line,) = ended.errors
        assert reason in line, words
    assert sorted(tmp_path.rglob("*")) == before


def test_a_training_is_made_again_by_its_json(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    words = ["train", "8-16-3/f3-e3-no/f3-e3-no/s3-e3-no", "--space", "st_micro", "--dataset", tiny_dataset]
    words += ["--epochs", 1, "--threads", 1]
    said: list[dict[str, Any]] = []
    for name in ("one", "two"):
        ended = cli(*words, "--output", tmp_path / name, "--json")
        assert ended.code == OK, ended.err
        said.append(json.loads(ended.out))
    assert said[0].pop("model") == str(tmp_path / "one" / "model.safetensors")
    said[1].pop("model")
    assert said[0] == said[1]


def slow_clip(path: Path) -> None:
    """Five seconds of noise at 10 frames a second."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(50):
            picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.long
def test_the_document_s_commands_do_what_they_say(
    cli: Cli, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but those on the embedded data set, whose training takes minutes."""
    monkeypatch.chdir(tmp_path)
    for name in ("my_clips", "other_clips"):
        shutil.copytree(tiny_dataset, tmp_path / name)
    shutil.rmtree(tmp_path / "other_clips" / "down")
    (tmp_path / "new_clips").mkdir()
    for clip in sorted(tiny_dataset.rglob("*.mp4"))[::5]:
        shutil.copy(clip, tmp_path / "new_clips" / f"{clip.parent.name}{clip.name}")
    slow_clip(tmp_path / "long.mp4")
    ran = []
    for line in "".join(SHELL).splitlines():
        program, command, *words = shlex.split(line)
        assert program == "pvnas-bench"
        if "table:1" in words or "st_micro" in words:
            continue
        if command == "run":
            words += ["--budget", "2.0"]
        if command in ("run", "train"):
            words += ["--threads", "1"]
        ended = cli(command, *words)
        assert ended.code == OK, (line, ended.err)
        ran.append(command)
    assert ran[:4] == ["run", "train", "predict", "export"]
    rows = table_of(Path("predictions.csv"))
    assert len({row["clip"] for row in rows}) == len(list(Path("new_clips").iterdir()))
    times = [float(row["start"]) for row in table_of(Path("timeline.csv")) if row["rank"] == "1"]
    assert times == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0], abs=1e-3)
    for file in ("my_model.onnx", "timeline.png", "evaluation/confusion.png"):
        assert Path(file).stat().st_size > 0
    script, session = PYTHON
    assert script == (ROOT / "docs" / "examples" / "onnx_predict.py").read_text(encoding="utf-8")
    ended = subprocess.run([sys.executable, "-P", "-c", session], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


def test_architectures_in_the_document_exist() -> None:
    (string,) = re.findall(r"train (\S+/\S+) --space st_micro", DOCUMENT)
    assert str(registry.get_space("st_micro").parse(string)) == string
