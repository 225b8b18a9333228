"""The feature cache: every frame of every clip, once, in bounded memory."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video import CacheSpec, ClipStore, FeatureStore, Views, clip_batches, extract, open_dataset, prepare
from pvnas_bench.video._encode import write_clip
from pvnas_bench.video._features import CHUNK

SPEC = CacheSpec(size=16, max_frames=8, fit="squash")
LENGTHS = {"long": 150, "short": 5, "exact": 8}
"""Number of frames of each clip: more than the clip store holds, fewer, and as many."""


def ramp(frames: int) -> NDArray[np.uint8]:
    """Frames (T, 32, 32, 3): all pixels of frame t have value 20 + t."""
    return np.broadcast_to((20 + np.arange(frames)).astype(np.uint8)[:, None, None, None], (frames, 32, 32, 3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    root = tmp_path_factory.mktemp("ramps")
    with (root / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        for name, frames in LENGTHS.items():
            for label in ("a", "b"):
                write_clip(root / f"{name}_{label}.mp4", ramp(frames), 15, {"preset": "ultrafast", "qp": "4"})
                rows.writerow([f"{name}_{label}.mp4", label, "test" if name == "short" else "train"])
    return prepare(open_dataset(str(root)), SPEC, cache_dir=root / "cache", workers=1)


class Embed:
    """Features are the mean grey and the number of the call; it records the chunks."""

    def __init__(self) -> None:
        self.chunks: list[int] = []

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert frames.shape[1:] == (16, 16, 3)
        self.chunks.append(len(frames))
        return np.stack([frames.mean((1, 2, 3)), np.full(len(frames), len(self.chunks))], 1).astype(np.float32)


@pytest.fixture
def features(store: ClipStore, tmp_path: Path) -> FeatureStore:
    return extract(store, Embed(), "grey", cache_dir=tmp_path)


def test_every_frame_of_every_clip_has_features_in_order(features: FeatureStore) -> None:
    names = [str(features.dataset.paths[clip]) for clip in features.clips]
    assert len(names) == 6
    for clip, name in enumerate(names):
        frames = LENGTHS[name.split("_")[0]]
        assert features.durations[clip] == frames
        assert np.abs(features.features(clip)[:, 0] - (20 + np.arange(frames))).max() <= 2  # YUV rounds
    assert features.extracted_frames == 2 * sum(LENGTHS.values())


def test_frames_go_through_in_chunks(store: ClipStore, tmp_path: Path) -> None:
    embed = Embed()
    extract(store, embed, "grey", cache_dir=tmp_path)
    assert max(embed.chunks) == CHUNK
    assert sorted(embed.chunks) == sorted(2 * [5, 8, CHUNK, CHUNK, LENGTHS["long"] - 2 * CHUNK])


def test_features_are_computed_once_for_the_same_data_and_network(store: ClipStore, tmp_path: Path) -> None:
    embeds = [Embed() for _ in range(4)]
    first = extract(store, embeds[0], "grey", cache_dir=tmp_path)
    again = extract(store, embeds[1], "grey", cache_dir=tmp_path)
    assert embeds[0].chunks and not embeds[1].chunks
    assert all(np.array_equal(first.features(i), again.features(i)) for i in range(len(first)))
    extract(store, embeds[2], "another network", cache_dir=tmp_path)
    assert embeds[2].chunks == embeds[0].chunks
    extract(store.subset(np.arange(4)), embeds[3], "grey", cache_dir=tmp_path)
    assert embeds[3].chunks  # other clips


def test_a_damaged_cache_and_a_missing_clip_are_named(store: ClipStore, tmp_path: Path) -> None:
    extract(store, Embed(), "grey", cache_dir=tmp_path)
    (file,) = tmp_path.glob("features/*/features.f32")
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(UsageError, match=r"is damaged .*: delete that folder"):
        extract(store, Embed(), "grey", cache_dir=tmp_path)
    long = store.dataset.root / "long_a.mp4"
    content = long.read_bytes()
    long.unlink()
    try:
        with pytest.raises(UsageError, match=r"long_a.mp4' can no longer be read .*: restore the file"):
            extract(store, Embed(), "a third network", cache_dir=tmp_path)
    finally:
        long.write_bytes(content)
    assert len(list(tmp_path.glob("features/*"))) == 1  # no partial folder


def test_a_window_is_the_centre_of_a_clip_and_shuffling_keeps_its_frames(features: FeatureStore) -> None:
    cut, shuffled = features.window(7), features.shuffled(3)
    for clip, duration in enumerate(features.durations):
        whole = features.features(clip)
        start = (duration - min(7, duration)) // 2
        assert np.array_equal(cut.features(clip), whole[start : start + 7])
        assert np.array_equal(np.sort(shuffled.features(clip)[:, 0]), np.sort(whole[:, 0]))
        assert np.array_equal(shuffled.features(clip), features.shuffled(3).features(clip))
        assert not np.array_equal(shuffled.features(clip), whole)
        assert not np.array_equal(shuffled.features(clip), features.shuffled(4).features(clip))


def test_a_subset_has_the_features_of_its_clips(features: FeatureStore) -> None:
    chosen = np.array([5, 2])
    part = features.subset(chosen)
    for mine, theirs in enumerate(chosen):
        assert np.array_equal(part.features(mine), features.features(int(theirs)))
        assert np.array_equal(part.frames(mine), features.frames(int(theirs)))


def test_a_test_batch_samples_the_centres_of_segments(features: FeatureStore) -> None:
    (batch,) = clip_batches(features, np.arange(6), batch_size=6, train=False)
    sampled = batch.features(4)
    assert sampled.shape == (6, 2, 4) and sampled.stride()[1] == 1
    for clip, duration in enumerate(features.durations):
        centres = ((np.arange(4) + 0.5) * duration / 4).astype(int)
        assert np.array_equal(sampled[clip].T.numpy(), features.features(clip)[centres])


def test_views_of_a_clip_are_neighbours(features: FeatureStore) -> None:
    (batch,) = clip_batches(features, np.arange(6), batch_size=6, train=False, views=Views(2, 3))
    sampled = batch.features(4).unflatten(0, (6, 2, 3))
    assert torch.equal(sampled[:, :, 0], sampled[:, :, 2])
    long = int(features.durations.argmax())
    assert not torch.equal(sampled[long, 0, 0], sampled[long, 1, 0])


def test_training_batches_sample_at_random_from_their_seed(features: FeatureStore) -> None:
    def epoch(seed: int) -> torch.Tensor:
        (batch,) = clip_batches(features, np.arange(6), batch_size=6, train=True, rng=seed)
        assert torch.equal(batch.features(4), batch.features(4))
        return batch.features(4)[batch.indices.argsort()]

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))
    assert bool((epoch(1)[:, 0].diff() >= 0).all())  # grey rises with time: the order is kept


def test_a_store_of_clips_only_has_no_features(store: ClipStore) -> None:
    (batch,) = clip_batches(store, np.arange(6), batch_size=6, train=False)
    with pytest.raises(TypeError, match="have no features: make a FeatureStore"):
        batch.features(4)


MEASURED = """
import json, resource, sys
from pathlib import Path
import numpy as np
import torch
from pvnas_bench.network.backbone import FrozenBackbone
from pvnas_bench.network.standalone import Network
from pvnas_bench.spaces.st_temporal_cell import BACKBONE
from pvnas_bench.video import CacheSpec, extract, images, open_dataset, prepare

torch.set_num_threads(1)
root, spec = Path(sys.argv[1]), CacheSpec(44, 32, "squash")
backbone = FrozenBackbone(Network(BACKBONE.network, 2), BACKBONE.grid)
largest = 0

def embed(frames):
    global largest
    largest = max(largest, len(frames))
    return backbone(images(frames, 32)).numpy()

peaks = []
for name in ("few", "many"):
    store = prepare(open_dataset(str(root / name)), spec, cache_dir=root / "cache", workers=1)
    features = extract(store, embed, "x", cache_dir=root / "cache")
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps([peaks, largest, int(features.durations.max())]))
"""


def test_features_of_long_clips_need_no_more_memory(tmp_path: Path) -> None:
    """1,600 frames of 160x128 are 98 MB as decoded, and 9 MB as stored: the process grows by neither."""
    rng = np.random.default_rng(0)
    for name, frames in (("few", 200), ("many", 1600)):
        (tmp_path / name).mkdir()
        video = np.repeat(rng.integers(0, 255, (frames // 8, 128, 160, 3), dtype=np.uint8), 8, axis=0)
        with (tmp_path / name / "manifest.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "split"])
            for label in ("a", "b"):
                for split in ("train", "test"):
                    clip = video if (label, split) == ("a", "test") else video[:40]
                    write_clip(tmp_path / name / f"{label}_{split}.mp4", clip, 25, {"preset": "ultrafast"})
                    rows.writerow([f"{label}_{split}.mp4", label, split])
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True)
    (few, many), largest, longest = json.loads(done.stdout)
    assert (longest, largest) == (1600, CHUNK)
    assert many - few < 4 * 2**20
