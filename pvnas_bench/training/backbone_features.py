"""Features of clips from a space's frozen backbone, which is trained once and then run once on every frame.

The backbone trains on search-train only, never on search-val or test. Its seed is fixed and its weights are stored, so
all strategies and seeds use the same features. Its cost is not part of any search budget; records state it separately.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pvnas_bench import seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.backbone import FrozenBackbone, frame_cost
from pvnas_bench.network.cost import network_cost
from pvnas_bench.network.standalone import Network
from pvnas_bench.protocol import Protocol
from pvnas_bench.space import Backbone
from pvnas_bench.training import process
from pvnas_bench.training.model_file import weights_digest
from pvnas_bench.training.train import train
from pvnas_bench.training.workbench import Clock, Workbench
from pvnas_bench.video import ClipStore, Embed, FeatureStore, cache_root, extract, images, made_whole

SEED = 0
_FORMAT = 1
_WEIGHTS, _ABOUT = "backbone.safetensors", "backbone.json"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Features:
    """Features of clips, and their cost.

    Attributes:
        network: the frozen network that computed the features.
        store: the clips with their features.
        about: backbone and costs for the record, as JSON values.
    """

    store: FeatureStore
    network: FrozenBackbone
    about: Mapping[str, Any]


def prepare_features(
    backbone: Backbone,
    store: ClipStore,
    indices: npt.NDArray[np.int64],
    protocol: Protocol,
    device: torch.device,
    *,
    cache_dir: Path | None = None,
    training: Progress | None = None,
    extracting: Progress | None = None,
) -> Features:
    """Train the backbone and compute the features of all clips, or open the cached ones.

    It uses one thread, so that features do not depend on a run's number of threads.

    Args:
        indices: indices of the clips to train on.
        training: callback with (epochs done, total epochs).
        extracting: callback with (clips done, total clips).

    Raises:
        UsageError: the cache folder cannot be written or is damaged, or a clip can no longer be read.
    """
    with process.configured(threads=1, deterministic=True):
        folder = cache_root(cache_dir) / "backbones" / _key(backbone, store, indices, protocol, device)
        reused = folder.is_dir()
        if not reused:
            with made_whole(folder) as scratch:
                _train(scratch, backbone, store, indices, protocol, device, training)
        network, digest, trained = _open(folder, backbone, len(store.classes))
        frozen = FrozenBackbone(network, backbone.grid).to(device)
        features = features_of(store, frozen, backbone, device, cache_dir=cache_dir, progress=extracting)
    cost = frame_cost(backbone)
    about = {
        "parameters": cost.parameters,
        "macs_per_frame": cost.macs,
        "features_per_frame": backbone.features,
        "weights_sha256": digest,
        "reused": reused,
        **trained,
        "extraction_frames": features.extracted_frames,
        "extraction_macs": features.extracted_frames * cost.macs,
        "extraction_seconds": features.extract_seconds,
        "longest_clip_frames": int(features.durations.max()),
    }
    return Features(features, frozen, about)


def features_of(
    store: ClipStore,
    frozen: FrozenBackbone,
    backbone: Backbone,
    device: torch.device,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> FeatureStore:
    """The clips of a store with the features that a frozen network makes of them, computed or opened.

    Call it on one thread, so that the features do not depend on a run's threads.

    Raises:
        UsageError: the cache folder cannot be written or is damaged, or a clip can no longer be read.
    """
    digest = hashlib.sha256(json.dumps([weights_digest(frozen.state_dict()), asdict(backbone)]).encode()).hexdigest()
    return extract(store, embedding(frozen, backbone, device), digest, cache_dir=cache_dir, progress=progress)


def embedding(frozen: FrozenBackbone, backbone: Backbone, device: torch.device) -> Embed:
    """The features (T, F) of stored frames (T, S, S, 3), by a frozen network on this device."""

    def embed(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = frozen(images(frames, backbone.network.size).to(device)).cpu().numpy()
        return vectors

    return embed


def _key(
    backbone: Backbone, store: ClipStore, indices: npt.NDArray[np.int64], protocol: Protocol, device: torch.device
) -> str:
    """Hash of everything that determines the weights."""
    recipe = {k: v for k, v in vars(protocol).items() if k not in ("name", "version", "description", "budget")}
    clips = hashlib.sha256(store.clips[indices].tobytes()).hexdigest()
    parts = [_FORMAT, asdict(backbone), store.dataset.fingerprint, clips, asdict(store.spec), recipe, device.type]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _train(
    folder: Path,
    backbone: Backbone,
    store: ClipStore,
    indices: npt.NDArray[np.int64],
    protocol: Protocol,
    device: torch.device,
    progress: Progress | None,
) -> None:
    """Train a 2-D clip classifier by the protocol's recipe and store its weights."""
    start, ledger = time.perf_counter(), Ledger(reference=1)
    with seeding.torch_seeded(SEED, "backbone"):
        network = Network(backbone.network, len(store.classes)).to(device)
    macs = network_cost(backbone.network, len(store.classes)).macs
    bench = Workbench(store, protocol, device, ledger, Clock())
    curve = train(
        network,
        macs,
        bench,
        indices,
        epochs=protocol.epochs,
        seed=seeding.derive(SEED, "backbone"),
        progress=None if progress is None else lambda epoch: progress(epoch, protocol.epochs),
    )
    weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / _WEIGHTS)
    about = {
        "training_clips": len(indices),
        "training_epochs": protocol.epochs,
        "training_macs": ledger.macs,
        "training_seconds": time.perf_counter() - start,
        "training_loss": curve[-1]["train_loss"],
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _open(folder: Path, backbone: Backbone, classes: int) -> tuple[Network, str, dict[str, Any]]:
    """Load the trained network; return it with the digest of its weights and its training cost."""
    with seeding.torch_seeded(SEED, "backbone"):  # the stored weights replace these; global generators stay as they are
        network = Network(backbone.network, classes)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        digest = hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
        network.load_state_dict(load_file(folder / _WEIGHTS))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"the cache {str(folder)!r} is damaged ({reason}): delete that folder and run again") from None
    return network, digest, dict(about)
