"""Export of a model: one graph from pixels to logits, as ONNX or as a program of `torch.export`.

The graph begins with the pixels that a view of a clip shows, so that another program only decodes, samples and resizes;
normalisation and a frozen backbone are inside.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from pvnas_bench.errors import UsageError
from pvnas_bench.network.backbone import FrozenBackbone
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.runs.words import check_writable
from pvnas_bench.system.files import write_atomically
from pvnas_bench.training import process
from pvnas_bench.training.model_file import METADATA, ModelInfo
from pvnas_bench.video import MEAN, STD

Format = Literal["onnx", "torch"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
INPUT, OUTPUT = "frames", "logits"
TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit where that exceeds 1."""
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_CHECKED = (1, 3)
"""Batches that an exported graph is checked on."""


class FromPixels(nn.Module):
    """A network with what precedes it: uint8 pixels (N, T, S, S, 3) → logits (N, classes)."""

    def __init__(self, network: Classifier, backbone: FrozenBackbone | None) -> None:
        super().__init__()
        self.network, self.backbone = network, backbone
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        x = frames.to(torch.float32).sub(255 * MEAN).mul(1 / (255 * STD)).permute(0, 1, 4, 2, 3)
        if self.backbone is not None:
            x = self.backbone(x.flatten(0, 1)).unflatten(0, (-1, frames.shape[1])).transpose(1, 2)
        logits: Tensor = self.network(x)
        return logits


@dataclass(frozen=True, eq=False)
class Graph:
    """What is exported: a network on any device, a frozen backbone if any, and the model's metadata."""

    network: Classifier
    backbone: FrozenBackbone | None
    info: ModelInfo


def export(model: Graph, path: Path, format: str = "onnx") -> Path:
    """Write a model as a graph with a dynamic batch, after checking it against the network.

    An ONNX file's metadata, and the extra file ``pvnas_bench`` of a program of torch, are the model's metadata as JSON,
    with classes and preprocessing.

    Args:
        format: onnx, or torch for a program that `torch.export.load` reads.

    Raises:
        UsageError: there is no such format, its packages are not installed, the graph differs from the network, or the
            path cannot be written; nothing was written.
    """
    chosen = next((known for known in get_args(Format) if known == format), None)
    if chosen is None:
        raise UsageError(f"unknown format {format!r}: choose onnx or torch")
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder: name a file with --output")
    check_writable(path.parent, "folder", "--output")
    if chosen == "onnx" and (missing := [name for name in _PACKAGES if find_spec(name) is None]):
        raise UsageError(f"ONNX needs {' and '.join(missing)}: install pvnas-bench[export]")
    with process.configured(max(model.info.training.threads, 1), deterministic=True), _silent():
        content = _onnx(model) if chosen == "onnx" else _program(model)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r} ({error.strerror}): choose another --output") from None
    return path


def pixels_shape(model: Graph, batch: int) -> tuple[int, ...]:
    """Shape of the graph's input, (N, T, S, S, 3)."""
    asked = model.info.preprocessing
    return batch, asked.frames, asked.size, asked.size, 3


def _exported(model: Graph) -> tuple[FromPixels, "torch.export.ExportedProgram", Tensor]:
    """The module on the CPU, its program, and an example of the input."""
    module = deepcopy(FromPixels(model.network, model.backbone)).to("cpu")
    example = torch.zeros(pixels_shape(model, 2), dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        program = torch.export.export(module, (example,), dynamic_shapes={INPUT: {0: batch}})
    return module, program, example


def _program(model: Graph) -> bytes:
    module, program, _ = _exported(model)
    content = BytesIO()
    torch.export.save(program, content, extra_files={METADATA: model.info.model_dump_json()})
    content.seek(0)
    again = torch.export.load(content).module()
    _check(module, lambda frames: again(frames).detach().numpy(), model)
    return content.getvalue()


def _onnx(model: Graph) -> bytes:
    module, program, example = _exported(model)
    made: Any = torch.onnx.export(
        program, (example,), input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
    )
    proto = made.model_proto
    info = model.info.model_dump(mode="json")
    for key, value in {
        METADATA: info,
        "classes": info["classes"],
        "preprocessing": info["preprocessing"],
    }.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    content: bytes = proto.SerializeToString()
    session = import_module("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    _check(module, lambda frames: session.run([OUTPUT], {INPUT: frames.numpy()})[0], model)
    return content


def _check(module: FromPixels, exported: Any, model: Graph) -> None:
    """Compare a graph with its network on random pixels.

    Raises:
        UsageError: they differ.
    """
    rng = np.random.default_rng(0)
    for batch in _CHECKED:
        frames = torch.from_numpy(rng.integers(0, 256, pixels_shape(model, batch), dtype=np.uint8))
        with torch.no_grad():
            expected = module(frames).numpy()
        difference = float(np.abs(exported(frames) - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise UsageError(
                f"the exported graph differs from the network by {difference:g} in a logit, with torch "
                f"{torch.__version__}: nothing was written"
            )


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the exporters' messages about what concerns their authors."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
