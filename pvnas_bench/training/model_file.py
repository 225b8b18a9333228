"""The file of a trained model: weights in safetensors, and all that is needed to use them as JSON in its metadata.

The network is described by its specification, so a file needs neither the record of its run nor the file of its search
space. Reading executes no code and allocates no more than the file's own size: the specification must agree with the
shapes of the weights before a network is built.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pvnas_bench.errors import UsageError
from pvnas_bench.network.backbone import FrozenBackbone
from pvnas_bench.network.families import FAMILIES, cost_model
from pvnas_bench.network.standalone import Classifier, Network
from pvnas_bench.protocol import Protocol, protocol_entry, protocol_of
from pvnas_bench.records import Count, Fraction, Loss, ProtocolEntry, Seed
from pvnas_bench.space import Architecture, Backbone, SearchSpace
from pvnas_bench.system import machine
from pvnas_bench.system.files import read_whole
from pvnas_bench.video import MEAN, STD, ClipStore

FORMAT: Final = 1
"""Changes whenever older files could no longer be read, or the same weights would score otherwise."""
FILE_NAME = "model.safetensors"
METADATA = "pvnas_bench"
"""Metadata key of the JSON."""
MAX_BYTES = 2**30
"""A larger file is not a model: it is refused unread."""
_NETWORK, _BACKBONE = "network.", "backbone."
_M = TypeVar("_M", bound=nn.Module)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSpace(_Model):
    """The search space that the architecture is of."""

    name: str
    version: int
    fingerprint: str


class ModelData(_Model):
    """The data set that the model was trained on."""

    name: str
    fingerprint: str
    clips: dict[str, Count]
    """Clips per split."""
    median_frames: Count
    """Median stored frames of a training clip, at most `Preprocessing.stored_frames`."""


class Preprocessing(_Model):
    """From a clip's frames to the network's input, for programs other than this one; `protocol` has the same.

    Frames are brought to a square of `stored_size`, sampled along time, cut, resized to `size`, and normalised:
    (pixel / 255 - mean) / std. Bilinear resampling is antialiased.
    """

    channels: Literal["RGB"] = "RGB"
    fit: str
    """squash: each axis is resized on its own; crop: the centre square is cut first."""
    stored_size: Count
    stored_frames: Count
    """A longer clip is reduced to the centres of this many uniform segments first."""
    sampling: str
    """uniform: the centres of `frames` segments, floor((k + 1/2) length / frames); dense: `stride` frames apart."""
    stride: Count
    frames: Count
    size: Count
    views: tuple[Count, Count]
    """Samples along time and crops of a clip; the softmax outputs of all are averaged."""
    crop: float
    """Side of a crop relative to the stored square."""
    mean: float
    std: float


class ModelTraining(_Model):
    """How the weights came about."""

    record: str | None = None
    """`id` of the run's record; None: trained by `train`."""
    entry: str | None = None
    """Leaderboard row of that run."""
    seed: Seed
    retraining: Count = 0
    epochs: Count
    initial: str | None = None
    """SHA-256 of the weights that the training began with; None: random ones."""
    device: str
    threads: Count
    deterministic: bool


class ModelScores(_Model):
    """Scores on the data set's own splits after the training, as in the record."""

    val_top1: Fraction | None = None
    """Of the last epoch; None: the data set has no val split."""
    test_top1: Fraction
    test_top5: Fraction
    test_mean_class: Fraction
    test_loss: Loss


class ModelInfo(_Model):
    """The metadata of a model."""

    format: Literal[1] = FORMAT
    architecture: str
    space: ModelSpace
    family: str
    network: dict[str, Any]
    """Specification of the network; its type depends on the family."""
    backbone: dict[str, Any] | None = None
    """Specification of the frozen network before it."""
    classes: tuple[str, ...] = Field(min_length=1)
    """In the order of the network's outputs."""
    macs: Count
    """Of one view's forward pass, without a frozen backbone."""
    parameters: Count
    """Trainable ones, without a frozen backbone's."""
    data: ModelData
    preprocessing: Preprocessing
    protocol: ProtocolEntry
    training: ModelTraining
    scores: ModelScores
    weights_sha256: str
    """`weights_digest` of all weights and batch-norm statistics."""
    pvnas_bench: str
    libraries: dict[str, str]
    """Versions at the time of the training."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network in evaluation mode with its metadata.

    Attributes:
        backbone: the frozen network whose features it takes; None: it takes clips.
        backbone_spec: the specification of that.
    """

    info: ModelInfo
    network: Classifier
    backbone: FrozenBackbone | None
    backbone_spec: Backbone | None
    protocol: Protocol


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors: names, types, shapes and values, whatever their device and memory order."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        whole.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def all_weights(network: nn.Module, backbone: FrozenBackbone | None) -> dict[str, Tensor]:
    """Copies on the CPU of the weights and batch-norm statistics, by their names in a file."""
    parts: list[tuple[str, nn.Module]] = [(_NETWORK, network)]
    if backbone is not None:
        parts.append((_BACKBONE, backbone))
    return {
        prefix + name: tensor.detach().to("cpu", copy=True).contiguous()
        for prefix, module in parts
        for name, tensor in module.state_dict().items()
    }


def describe(
    space: SearchSpace,
    architecture: Architecture,
    store: ClipStore,
    protocol: Protocol,
    training: ModelTraining,
    scores: ModelScores,
    weights: Mapping[str, Tensor],
    version: str,
) -> ModelInfo:
    """The metadata of a model trained on a store's train split.

    Args:
        version: of pvnas-bench.
    """
    spec, views = space.spec(architecture), protocol.test_views
    costs = cost_model(space, len(store.classes))(architecture)
    frames = spec.frames if space.backbone is None else spec.steps
    size = spec.size if space.backbone is None else space.backbone.network.size
    splits = {split: store.indices(split) for split in ("train", "val", "test")}
    lengths = store.lengths[splits["train"]]
    return ModelInfo(
        architecture=str(architecture),
        space=ModelSpace(name=space.name, version=space.version, fingerprint=space.fingerprint),
        family=space.family,
        network=json.loads(json.dumps(asdict(spec))),
        backbone=None if space.backbone is None else json.loads(json.dumps(asdict(space.backbone))),
        classes=store.classes,
        macs=costs.macs,
        parameters=costs.parameters,
        data=ModelData(
            name=store.dataset.name,
            fingerprint=store.dataset.fingerprint,
            clips={split: len(indices) for split, indices in splits.items()},
            median_frames=int(sorted(lengths.tolist())[len(lengths) // 2]),
        ),
        preprocessing=Preprocessing(
            fit=protocol.fit,
            stored_size=protocol.cache_size,
            stored_frames=protocol.cache_frames,
            sampling=protocol.sampling,
            stride=protocol.stride,
            frames=frames,
            size=size,
            views=(views.temporal, views.spatial),
            crop=views.side,
            mean=MEAN,
            std=STD,
        ),
        protocol=protocol_entry(protocol),
        training=training,
        scores=scores,
        weights_sha256=weights_digest(weights),
        pvnas_bench=version,
        libraries=machine.libraries(),
    )


def encode(info: ModelInfo, weights: Mapping[str, Tensor]) -> bytes:
    """The bytes of a model's file; equal models have equal bytes."""
    return save_tensors(dict(sorted(weights.items())), {METADATA: info.model_dump_json()})


def load(path: Path) -> TrainedNetwork:
    """Read a model on the CPU.

    Raises:
        UsageError: the file cannot be read, is not a model, is damaged, or is of another version.
    """
    try:
        return decode(read_whole(path, MAX_BYTES))
    except OSError as error:
        raise UsageError(f"the model {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is not a model that this program can use: {error}") from None


def decode(content: bytes) -> TrainedNetwork:
    """The model of a file's bytes.

    Raises:
        ValueError: the bytes are not a model; the message is the reason.
    """
    try:
        tensors = load_tensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = header.get("__metadata__", {})[METADATA]
    except KeyError:
        raise ValueError("its metadata describe no model of pvnas-bench") from None
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"no intact safetensors file ({_first_line(error)})") from None
    info = _info(text)
    try:
        spec: Any = TypeAdapter(FAMILIES[info.family].spec).validate_python(info.network)
        backbone = None if info.backbone is None else TypeAdapter(Backbone).validate_python(info.backbone)
        protocol = protocol_of(info.protocol)
    except (ValueError, LookupError) as error:
        raise ValueError(f"it describes no network of this version ({_first_line(error)})") from None
    network = _filled(
        lambda: FAMILIES[info.family].network(spec, len(info.classes)), _part(tensors, _NETWORK), info.pvnas_bench
    )
    frozen = None
    if backbone is not None:
        frozen = _filled(
            lambda: FrozenBackbone(Network(backbone.network, 1), backbone.grid),
            _part(tensors, _BACKBONE),
            info.pvnas_bench,
        )
    if weights_digest(tensors) != info.weights_sha256:
        raise ValueError("its weights are not those that its metadata name: the file was damaged or edited")
    network.eval()
    return TrainedNetwork(info, network, frozen, backbone, protocol)


def _info(text: str) -> ModelInfo:
    try:
        version = json.loads(text).get("format")
    except (ValueError, AttributeError, RecursionError):
        raise ValueError("its metadata are not JSON") from None
    if version != FORMAT:
        raise ValueError(f"it is of format {version}, this program reads format {FORMAT}: use the pvnas-bench it is of")
    try:
        return ModelInfo.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"its metadata are not those of a model ({where}: {first['msg']})") from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _filled(build: Callable[[], _M], weights: Mapping[str, Tensor], version: str) -> _M:
    """A module with these weights, built only where they are of its names, types and shapes."""
    try:
        with torch.device("meta"):
            module = build()
    except (ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ValueError(f"its network cannot be built ({_first_line(error)})") from None
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
    given = {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
    if wanted != given:
        differing = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise ValueError(
            f"its weights, of pvnas-bench {version}, do not fit the network of this version: "
            f"{differing[0]} differs, and {len(differing) - 1} more"
        )
    aligned = {name: tensor.clone() for name, tensor in weights.items()}  # a file's tensors lie at any address
    module.load_state_dict(aligned, assign=True)
    return module


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
