"""The frozen backbone: its training data, a single training, and no later changes."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import get_protocol
from pvnas_bench.runs.clips import search_splits
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.time_controls import time_controls, window_lengths
from pvnas_bench.spaces.st_temporal_cell import BACKBONE
from pvnas_bench.training import backbone_features as room
from pvnas_bench.training.backbone_features import Features, prepare_features
from pvnas_bench.training.workbench import Clock, Workbench
from pvnas_bench.video import CacheSpec, ClipBatch, ClipStore, open_dataset, prepare

PROTOCOL = dataclasses.replace(get_protocol("quick"), epochs=2)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tiny_dataset: Path) -> ClipStore:
    return prepare(open_dataset(str(tiny_dataset)), CacheSpec(PROTOCOL.cache_size, PROTOCOL.cache_frames, PROTOCOL.fit))


def prepared(store: ClipStore, cache: Path, **changes: Any) -> Features:
    indices = search_splits(store, PROTOCOL)["train"]
    settings = {"indices": indices, "backbone": BACKBONE, "protocol": PROTOCOL} | changes
    return prepare_features(store=store, device=CPU, cache_dir=cache, **settings)


@dataclasses.dataclass(frozen=True, eq=False)
class Watched(ClipStore):
    """A store that records which clips are read."""

    seen: set[int]

    def frames(self, index: int) -> Any:
        self.seen.add(index)
        return super().frames(index)


def test_the_backbone_is_trained_only_on_the_given_clips(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {field.name: getattr(store, field.name) for field in dataclasses.fields(ClipStore)}
    watched = Watched(**contents, seen=set())
    during: list[set[int]] = []
    monkeypatch.setattr(room, "extract", lambda *_, **__: during.append(set(watched.seen)) or _Enough.throw())
    splits = search_splits(store, PROTOCOL)
    with pytest.raises(_Enough):
        prepared(watched, tmp_path)
    assert during == [set(splits["train"].tolist())]
    assert not during[0] & {*splits["val"].tolist(), *store.indices("val").tolist(), *store.indices("test").tolist()}


class _Enough(Exception):
    @classmethod
    def throw(cls) -> None:
        raise cls


def test_the_backbone_is_reproducible(store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(store, tmp_path / "one")
    torch.manual_seed(99)
    state = torch.get_rng_state()
    second = prepared(store, tmp_path / "two")
    assert torch.equal(torch.get_rng_state(), state)
    assert first.about["weights_sha256"] == second.about["weights_sha256"]
    for clip in range(len(store)):
        assert np.array_equal(first.store.features(clip), second.store.features(clip))
    monkeypatch.setattr(room, "train", None)  # a second training fails
    third = prepared(store, tmp_path / "one")
    assert third.about == {**first.about, "reused": True}
    assert not first.about["reused"]


def test_the_cache_key_covers_training_data_and_recipe(store: ClipStore, tmp_path: Path) -> None:
    digests = {
        prepared(store, tmp_path, **changes).about["weights_sha256"]
        for changes in (
            {},
            {"indices": search_splits(store, PROTOCOL)["val"]},
            {"protocol": dataclasses.replace(PROTOCOL, epochs=1)},
        )
    }
    assert len(digests) == 3
    widths = prepared(store, tmp_path, backbone=dataclasses.replace(BACKBONE, grid=1)).store.features(0).shape[1]
    assert widths == BACKBONE.features // 4
    budget = prepared(store, tmp_path, protocol=PROTOCOL.with_budget(1.0)).about
    assert budget["reused"]  # the search budget is not part of the key


def test_the_training_of_the_backbone_is_counted(store: ClipStore, tmp_path: Path) -> None:
    about = prepared(store, tmp_path).about
    from pvnas_bench.network.cost import network_cost
    from pvnas_bench.training.train import training_macs

    clips = len(search_splits(store, PROTOCOL)["train"])
    macs = network_cost(BACKBONE.network, len(store.classes)).macs
    assert about["training_clips"] == clips
    assert about["training_macs"] == training_macs(macs, clips, PROTOCOL.epochs, PROTOCOL)


def test_a_damaged_backbone_is_named(store: ClipStore, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    (file,) = tmp_path.glob("backbones/*/backbone.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"backbones/.* is damaged .*: delete that folder and run again"):
        prepared(store, tmp_path)


@pytest.mark.parametrize("strategy", ["nas_tc", "random_search"])
def test_backbone_and_features_are_bit_identical_after_a_search(
    strategy: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    def request(name: str) -> Request:
        return Request(
            name,
            space="st_temporal_cell",
            dataset=str(tiny_dataset),
            budget=1.5,
            threads=1,
            cache=tmp_path / "cache",
            results=tmp_path / "results",
        )

    def digests() -> dict[str, str]:
        files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and "clips" not in path.parts]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    run(request("random_sampling"))
    before = digests()
    assert {"backbone.safetensors", "features.f32"} <= before.keys()
    record, _ = run(request(strategy))
    assert record.status == "ok"
    assert digests() == before


# --- the controls of time ---------------------------------------------------------------------------------------------


def test_windows_grow_fourfold_up_to_the_longest_clip() -> None:
    assert window_lengths(1) == [1]
    assert window_lengths(4) == [1, 4]
    assert window_lengths(1500) == [1, 4, 16, 64, 256, 1024, 1500]


class Rising(Classifier):
    """Predicts class 1 if the first feature rises from the first to the last time step, else class 0."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        rises = (features[:, 0, -1] > features[:, 0, 0]).float()
        return torch.stack([1 - rises, rises], 1)

    def inputs(self, batch: ClipBatch) -> torch.Tensor:
        return batch.features(8)


def test_controls_detect_networks_that_need_order_and_length(store: ClipStore, tmp_path: Path) -> None:
    features = prepared(store, tmp_path).store
    ramp = np.tile(np.arange(8, dtype=np.float32), len(features))[:, None]
    indices = np.arange(len(features))
    all_rise = dataclasses.replace(features.dataset, labels=np.ones(len(features.dataset), dtype=np.int32))
    rising = dataclasses.replace(features, _features=ramp, dataset=all_rise)
    ledger = Ledger(1)
    bench = Workbench(rising, PROTOCOL, CPU, ledger, Clock())
    found = time_controls(Rising(), 3, bench, indices)
    assert found["clip_length"] == [[1, 0.0], [4, 1.0], [8, 1.0]]
    assert found["frame_shuffle"]["top1"] == 1.0
    assert 0.2 < found["frame_shuffle"]["top1_shuffled"] < 0.8  # half of all orders rise
    assert ledger.macs == 4 * 3 * len(indices)
