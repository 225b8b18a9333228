"""Exported graphs: what onnxruntime and torch.export compute is what the network scores."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from pvnas_bench.deploy import export as exporting
from pvnas_bench.deploy.model import Model, load_model
from pvnas_bench.errors import UsageError
from pvnas_bench.video import decoded, loose_clips

from .conftest import OPERATORS, SPACES, Trained

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "onnx_predict.py"


def pixels(model: Model, clips: list[Path]) -> np.ndarray:
    """(N V, T, S, S, 3) pixels of every view of the clips, which are short enough to be stored whole."""
    stored = [frames for frames in decoded(clips, model.spec, workers=1) if not isinstance(frames, str)]
    asked = model.info.preprocessing
    return model.batch(loose_clips(stored, model.spec)).pixels(asked.frames, asked.size).numpy()


def shares(logits: np.ndarray, clips: int) -> np.ndarray:
    """(N, classes) mean softmax over views."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return (exponentials / exponentials.sum(1, keepdims=True)).reshape(clips, -1, logits.shape[1]).mean(1)


ORDINARY = ("st_default", "st_temporal_cell")
"""Networks that the ordinary run of the tests exports."""
KINDS = [pytest.param(k, marks=() if k in ORDINARY else pytest.mark.long) for k in (*OPERATORS, *SPACES)]


@pytest.mark.parametrize("kind", KINDS)
def test_exported_graphs_score_every_test_clip_as_the_record_does(
    kind: str, trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    model = load_model(trained(kind).path)
    result = model.evaluate(str(tiny_dataset))
    frames = pixels(model, [tiny_dataset / clip for clip in result.clips])

    path = model.export(tmp_path / "model.onnx")
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {"frames": frames})
    one_by_one = np.concatenate([session.run(None, {"frames": view[None]})[0] for view in frames])
    program = torch.export.load(model.export(tmp_path / "model.pt2", "torch")).module()
    by_torch = program(torch.from_numpy(frames)).detach().numpy()
    for found in (logits, one_by_one, by_torch):
        predicted = shares(found, len(result.clips))
        assert np.abs(predicted - result.probabilities).max() < 1e-4
        assert predicted.argmax(1).tolist() == result.probabilities.argmax(1).tolist()

    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["pvnas_bench"]) == model.info.model_dump(mode="json")
    assert json.loads(said["classes"]) == list(model.classes)
    assert session.get_inputs()[0].shape[1:] == list(frames.shape[1:])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    extra = {"pvnas_bench": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    assert json.loads(extra["pvnas_bench"])["weights_sha256"] == model.info.weights_sha256


def test_a_script_with_nothing_but_onnxruntime_and_pyav_agrees(
    trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    """Its resizing is another one, so its probabilities differ a little."""
    model = load_model(trained("f3").path)
    path = model.export(tmp_path / "model.onnx")
    clip = tiny_dataset / "right" / "05.mp4"
    (expected,) = model.predict([clip], workers=1)
    command = [sys.executable, "-P", str(SCRIPT), str(path), str(clip)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    said = dict(line.rsplit(" ", 1) for line in ended.stdout.splitlines())
    for name, share in zip(model.classes, expected.probabilities, strict=True):
        assert abs(float(said[name].rstrip("%")) / 100 - share) < 0.02
    assert len([line for line in SCRIPT.read_text().split('"""')[2].splitlines() if line]) < 20


class Wrong(nn.Module):
    """A graph that answers something else."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.full((len(frames), 3), 9.0)


def test_a_graph_that_differs_is_not_written(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        def module(self) -> nn.Module:
            return Wrong()

    model = load_model(trained("s3").path)
    monkeypatch.setattr(exporting.torch.export, "load", lambda _: Odd())
    with pytest.raises(UsageError, match=r"differs from the network by [\d.]+ in a logit.*nothing was written"):
        model.export(tmp_path / "model.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_what_it_cannot_do(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(trained("s3").path)
    with pytest.raises(UsageError, match="unknown format 'tflite': choose onnx or torch"):
        model.export(tmp_path / "model.tflite", "tflite")
    with pytest.raises(UsageError, match="is a folder"):
        model.export(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written: choose another with --output"):
        model.export(tmp_path / "file" / "model.onnx")
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UsageError, match=r"ONNX needs onnxscript: install pvnas-bench\[export\]"):
        model.export(tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
