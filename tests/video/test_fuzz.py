"""Hundreds of files with typical damage from disks, downloads and people: exactly these are reported."""

import csv
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.video._resize import to_square

from .conftest import moving_picture

SPEC = video.CacheSpec(24, 6)
FORMATS = [
    ("mp4", "libx264", {}),
    ("mp4", "libx264", {"movflags": "faststart"}),
    ("mkv", "libx264", {}),
    ("avi", "mpeg4", {}),
    ("avi", "mjpeg", {}),
    ("webm", "libvpx", {}),
]
DAMAGE = {
    "truncated": 140,
    "flipped": 140,
    "zero": 40,
    "text": 40,
    "zip": 30,
    "sound": 30,
    "noise": 40,
    "directory": 40,
    "dangling": 40,
    "loop": 30,
    "locked": 10,
}
"""Files of each kind: 580."""


@dataclass(frozen=True)
class Heap:
    """Files of one folder: by path, the original good clip and the kind of damage."""

    root: Path
    good: dict[str, Path]
    damaged: dict[str, tuple[Path, str]]


def damage(kind: str, path: Path, whole: bytes, rng: np.random.Generator) -> None:
    """Write a file with a kind of damage in place of a clip."""
    match kind:
        case "truncated":
            path.write_bytes(whole[: int(rng.integers(1, len(whole)))])
        case "flipped":
            content = bytearray(whole)
            for at in rng.integers(0, len(whole), rng.integers(1, 20)):
                content[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(content)
        case "zero":
            path.touch()
        case "text":
            path.write_text("<html>404: this video is no longer available</html>\n" * int(rng.integers(1, 200)))
        case "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("clip.mp4", whole)
        case "sound":
            write_sound(path.with_suffix(".wav"))
            path.with_suffix(".wav").rename(path)
        case "noise":
            path.write_bytes(rng.bytes(int(rng.integers(1, 5000))))
        case "directory":
            path.mkdir()
        case "dangling":
            path.symlink_to(path.with_name("gone"))
        case "loop":
            path.symlink_to(path.name)
        case "locked":
            path.write_bytes(whole)
            path.chmod(0)


def write_sound(path: Path) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def heap(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> Heap:
    """580 damaged files and 72 good ones, among them 12 under the suffix of another format."""
    rng = np.random.default_rng(0)
    originals = tmp_path_factory.mktemp("originals")
    clips = []
    for number, (suffix, codec, muxer) in enumerate(FORMATS):
        for seed in range(2):
            frames = moving_picture(8, 32, 48, seed=10 * number + seed)
            clips.append(write(originals / f"{number}{seed}.{suffix}", frames, codec, muxer))
    root = tmp_path_factory.mktemp("heap")
    good, damaged = {}, {}
    for number in range(72):
        original = clips[number % 12]
        suffix = original.suffix if number < 60 else {".mp4": ".avi"}.get(original.suffix, ".mp4")
        path = f"good{number:03d}{suffix}"
        shutil.copy(original, root / path)
        good[path] = original
    kinds = dict(DAMAGE)
    if os.geteuid() == 0:  # root can read locked files
        kinds["loop"] += kinds.pop("locked")
    for kind, count in kinds.items():
        for number in range(count):
            original = clips[int(rng.integers(12))]
            path = f"{kind}{number:03d}{original.suffix}"
            damage(kind, root / path, original.read_bytes(), rng)
            damaged[path] = original, kind
    assert len(damaged) == 580
    return Heap(root, good, damaged)


def listed(heap: Heap, name: str, *, checksums: bool) -> video.Dataset:
    """The heap as a manifest, with random classes and splits."""
    rng = np.random.default_rng(1)
    originals = {**heap.good, **{path: original for path, (original, _) in heap.damaged.items()}}
    digests = {clip: hashlib.sha256(clip.read_bytes()).hexdigest() for clip in set(originals.values())}
    with (heap.root / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split", "sha256"])
        for path, original in originals.items():
            label, split = "ab"[rng.integers(2)], ("train", "test")[rng.integers(2)]
            writer.writerow([path, label, split, digests[original] if checksums else ""])
    return video.open_dataset(str(heap.root / name))


def pixels(path: Path) -> np.ndarray:
    """Expected stored frames of a file of 8 frames: the centres of 6 segments, decoded with PyAV."""
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    picked = [(2 * k + 1) * len(frames) // 12 for k in range(6)] if len(frames) > 6 else range(len(frames))
    return np.stack([to_square(frames[at], 24, "squash") for at in picked])


def stored(store: video.ClipStore) -> dict[str, np.ndarray]:
    return {str(store.dataset.paths[clip]): store.frames(index) for index, clip in enumerate(store.clips)}


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_damaged_clips_are_named_and_the_others_are_right(heap: Heap, tmp_path: Path, decoder: str) -> None:
    dataset = listed(heap, "plain.csv", checksums=False)
    store = video.prepare(dataset, SPEC, cache_dir=tmp_path, workers=2, tolerated=1.0, decoder=decoder)
    kept, skipped = stored(store), {clip["path"] for clip in store.skipped}
    assert skipped.isdisjoint(kept) and skipped | set(kept) == set(heap.good) | set(heap.damaged)
    assert skipped <= set(heap.damaged)
    whole = {original: pixels(original) for original in set(heap.good.values())}
    for path, original in heap.good.items():
        np.testing.assert_allclose(kept[path], whole[original], atol=2, err_msg=path)
    for path, (original, kind) in heap.damaged.items():
        if kind == "truncated" and path in kept:  # after the last frame: no stored frame is missing
            np.testing.assert_allclose(kept[path], whole[original], atol=2, err_msg=path)
        elif kind == "flipped" and path in kept:  # only a checksum detects it
            assert kept[path].shape[1:] == (24, 24, 3)
        else:
            assert path in skipped


def test_with_checksums_the_list_is_exact(heap: Heap, tmp_path: Path) -> None:
    dataset = listed(heap, "checked.csv", checksums=True)
    store = video.prepare(dataset, SPEC, cache_dir=tmp_path, workers=2, tolerated=1.0)
    assert [clip["path"] for clip in store.skipped] == sorted(heap.damaged)
    assert set(stored(store)) == set(heap.good)
    for path, frames in stored(store).items():
        np.testing.assert_allclose(frames, pixels(heap.good[path]), atol=2, err_msg=path)
    found = video.verify(dataset, workers=2)
    assert sorted([*found.missing, *(path for path, _ in found.corrupt)]) == sorted(heap.damaged)
    assert list(found.missing) == sorted(
        path for path, (_, kind) in heap.damaged.items() if kind in ("dangling", "loop")
    )
    reasons = dict(found.corrupt) | dict.fromkeys(found.missing, "no such file")
    assert {clip["path"]: clip["reason"] for clip in store.skipped} == reasons
