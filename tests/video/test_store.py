"""The cache: correct frames and indices, complete or absent, and bad clips left out and named."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import _prepare, _shards
from pvnas_bench.video._decode import read_clip

SPEC = video.CacheSpec(24, 8)


def test_frames_are_those_decoded_directly(store: video.ClipStore) -> None:
    assert len(store) == 12 and not store.skipped and store.decode_seconds > 0
    for i in range(len(store)):
        path = store.dataset.path(int(store.clips[i]))
        for decoder in ("decord", "pyav"):
            np.testing.assert_allclose(store.frames(i), read_clip(path, store.spec, decoder), atol=2)
    assert store.lengths.tolist() == [3, 5, 7, 9, 11, 12, 4, 6, 8, 10, 12, 12]
    assert store.labels.tolist() == [0] * 6 + [1] * 6


def test_frames_are_views_of_one_mapped_file(store: video.ClipStore) -> None:
    (everything,) = store._pixels
    assert all(np.shares_memory(store.frames(i), everything) for i in range(len(store)))
    assert not store.frames(0).flags.writeable
    assert everything.shape == (int(store.lengths.sum()), 40, 40, 3)
    base = everything.base
    assert isinstance(base, np.memmap)


def test_decoded_once(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    dataset = video.open_dataset(str(folder({"a": 4, "b": 4})))
    calls: list[tuple[int, int]] = []
    first = video.prepare(dataset, SPEC, cache_dir=tmp_path, workers=2, progress=lambda *at: calls.append(at))
    assert calls == [(n, 8) for n in range(1, 9)]
    again = video.prepare(dataset, SPEC, cache_dir=tmp_path, workers=2, progress=lambda *at: calls.append(at))
    assert len(calls) == 8 and first.decode_seconds > 0 and again.decode_seconds == 0.0
    for i in range(8):
        np.testing.assert_array_equal(first.frames(i), again.frames(i))


def test_the_key_covers_everything_that_changes_the_frames(folder: Callable[[dict[str, int]], Path]) -> None:
    dataset = video.open_dataset(str(folder({"a": 2, "b": 2})))
    keys = {
        _prepare.cache_path(dataset, SPEC, "decord", None).name,
        _prepare.cache_path(dataset, SPEC, "pyav", None).name,
        _prepare.cache_path(replace(dataset, fingerprint="x"), SPEC, "decord", None).name,
        *(
            _prepare.cache_path(dataset, replace(SPEC, **part), "decord", None).name
            for part in ({"size": 25}, {"max_frames": 9}, {"fit": "crop"})
        ),
    }
    assert len(keys) == 6


def test_unreadable_clips_are_named_and_left_out(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    root = folder({"a": 20, "b": 20})
    whole = (root / "a" / "03.mp4").read_bytes()
    (root / "a" / "03.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "11.mp4").write_bytes(b"")
    dataset = video.open_dataset(str(root))
    store = video.prepare(dataset, SPEC, cache_dir=tmp_path)
    assert [(bad["path"], bad["reason"][:10]) for bad in store.skipped] == [
        ("a/03.mp4", "truncated:"),
        ("b/11.mp4", "zero bytes"),
    ]
    assert len(store) == 38 and store.skipped == video.prepare(dataset, SPEC, cache_dir=tmp_path).skipped
    assert [dataset.paths[i] for i in store.clips] == [p for p in dataset.paths if p not in ("a/03.mp4", "b/11.mp4")]
    np.testing.assert_array_equal(store.labels, dataset.labels[store.clips])
    np.testing.assert_array_equal(store.splits, dataset.splits[store.clips])
    everywhere = np.concatenate([store.indices(split) for split in ("train", "val", "test")])
    np.testing.assert_array_equal(np.sort(everywhere), np.arange(38))
    np.testing.assert_array_equal(store.frames(5), video.prepare(dataset, SPEC, cache_dir=tmp_path).frames(5))


def test_too_many_unreadable_clips(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    root = folder({"a": 10, "b": 10})
    for n in range(3):
        (root / "a" / f"{n:02d}.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"more than 10% of the 20 clips of 'data' .*'a/0\d.mp4' \(zero bytes\)"):
        video.prepare(video.open_dataset(str(root)), SPEC, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "clips").iterdir()) == []


def test_a_class_without_a_readable_train_clip(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    root = folder({"a": 30, "rare": 2})
    dataset = video.open_dataset(str(root))
    train = (dataset.splits == "train") & (dataset.labels == dataset.classes.index("rare"))
    dataset.path(int(np.flatnonzero(train)[0])).write_bytes(b"")
    with pytest.raises(UsageError, match="no train clip of class 'rare' can be read"):
        video.prepare(video.open_dataset(str(root)), SPEC, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "clips").iterdir()) == []


def assert_goes_on(dataset: video.Dataset, cache: Path, done: int) -> None:
    """Check that `prepare` decodes only missing clips and ends with the store of an uninterrupted one."""
    calls: list[int] = []
    store = video.prepare(dataset, SPEC, cache_dir=cache, workers=1, progress=lambda at, total: calls.append(at))
    assert calls == list(range(done + 1, len(dataset) + 1))
    whole = video.prepare(dataset, SPEC, cache_dir=cache.with_name("other"), workers=1)
    assert len(store) == len(whole) == len(dataset)
    for i in range(len(store)):
        np.testing.assert_array_equal(store.frames(i), whole.frames(i))


def test_a_killed_prepare_leaves_no_incomplete_cache_and_the_next_one_resumes(
    folder: Callable[[dict[str, int]], Path], tmp_path: Path
) -> None:
    root, cache = folder({"a": 10, "b": 10}), tmp_path / "cache"
    code = f"""
import os, pathlib, signal
from pvnas_bench import video
def kill(done, total):
    if done == 7: os.kill(os.getpid(), signal.SIGKILL)
dataset = video.open_dataset({str(root)!r})
video.prepare(dataset, video.CacheSpec(24, 8), cache_dir=pathlib.Path({str(cache)!r}), workers=2, progress=kill)
"""
    # Its workers hold its standard error until they end, so this also waits for them.
    killed = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = list((cache / "clips").iterdir())
    assert len(left) == 1 and left[0].name.endswith(".partial")
    dataset = video.open_dataset(str(root))
    assert_goes_on(dataset, cache, 7)
    assert [entry.name for entry in (cache / "clips").iterdir()] == [
        _prepare.cache_path(dataset, SPEC, "decord", None).name
    ]


def test_an_interrupted_prepare_stops_its_workers_and_the_next_one_resumes(
    folder: Callable[[dict[str, int]], Path], tmp_path: Path
) -> None:
    dataset = video.open_dataset(str(folder({"a": 10, "b": 10})))

    def interrupt(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        video.prepare(dataset, SPEC, cache_dir=tmp_path / "cache", workers=2, progress=interrupt)
    assert time.monotonic() - before < 20
    if Path("/proc/self/task").is_dir():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert not [c for c in children if b"pvnas_bench.video._worker" in Path(f"/proc/{c}/cmdline").read_bytes()]
    assert_goes_on(dataset, tmp_path / "cache", 7)


@pytest.fixture
def stopped(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> tuple[video.Dataset, Path]:
    """A data set of 20 clips, and the partial cache of two shards after 12 of them."""
    dataset = video.open_dataset(str(folder({"a": 10, "b": 10})))

    def interrupt(done: int, total: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_shards, "SHARD_BYTES", 8 * 8 * SPEC.frame_bytes)
        with pytest.raises(KeyboardInterrupt):
            video.prepare(dataset, SPEC, cache_dir=tmp_path / "cache", workers=1, progress=interrupt)
    (left,) = (tmp_path / "cache" / "clips").iterdir()
    assert sorted(file.name for file in left.iterdir()) == ["frames-00000.u8", "frames-00001.u8", "journal"]
    return dataset, left


def test_prepare_resumes_in_the_last_shard(stopped: tuple[video.Dataset, Path], tmp_path: Path) -> None:
    assert_goes_on(stopped[0], tmp_path / "cache", 12)


def test_a_truncated_clip_is_decoded_again(stopped: tuple[video.Dataset, Path], tmp_path: Path) -> None:
    dataset, left = stopped
    os.truncate(left / "frames-00001.u8", int(3.5 * 8 * SPEC.frame_bytes))
    assert_goes_on(dataset, tmp_path / "cache", 11)


def test_a_damaged_clip_is_decoded_again(stopped: tuple[video.Dataset, Path], tmp_path: Path) -> None:
    dataset, left = stopped
    with (left / "frames-00001.u8").open("r+b") as file:
        file.seek(2 * 8 * SPEC.frame_bytes + 5)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert_goes_on(dataset, tmp_path / "cache", 10)


def test_a_truncated_journal(stopped: tuple[video.Dataset, Path], tmp_path: Path) -> None:
    dataset, left = stopped
    os.truncate(left / "journal", 9 * _shards.INDEX_TYPE.itemsize + 3)
    assert_goes_on(dataset, tmp_path / "cache", 9)


def test_shards(store: video.ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shards, "SHARD_BYTES", 20 * store.spec.frame_bytes)
    parts = video.prepare(store.dataset, store.spec, cache_dir=tmp_path, workers=1)
    assert [len(shard) for shard in parts._pixels] == [24, 23, 28, 24]
    backwards = parts.subset(np.arange(12)[::-1])
    for i in range(12):
        np.testing.assert_array_equal(parts.frames(i), store.frames(i))
        np.testing.assert_array_equal(backwards.frames(11 - i), store.frames(i))


def test_clips_may_be_done_in_any_order(tmp_path: Path) -> None:
    writer = _shards.ShardWriter(tmp_path, frame_bytes=3)
    for clip, frames in ((2, 1), (0, 3), (1, 2)):
        writer.write(clip, bytearray([clip]) * (3 * frames), frames)
    writer.finish()
    writer.close()
    index = _shards.load_index(tmp_path)
    assert index["clip"].tolist() == [0, 1, 2] and index["start"].tolist() == [1, 4, 0]
    (pixels,) = _shards.map_shards(tmp_path, index, 1)
    assert pixels[:, 0, 0, 0].tolist() == [2, 0, 0, 0, 1, 1]


def test_the_required_disk_space_is_announced(
    folder: Callable[[dict[str, int]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = video.open_dataset(str(folder({"a": 10, "b": 10})))
    spec, frame = video.CacheSpec(24, 100), 24 * 24 * 3
    free = 20 * 100 * frame
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    said: list[video.DiskNeed] = []
    events: list[str] = []

    def announce(need: video.DiskNeed) -> None:
        said.append(need)
        events.append("said")

    video.prepare(
        dataset, spec, cache_dir=tmp_path / "1", announce=announce, progress=lambda *_: events.append("decoded")
    )
    assert events == ["said", *["decoded"] * 20]
    assert (said[0].bytes, said[0].most, said[0].free) == (20 * 100 * frame, True, free)
    free = 500 * frame  # less than the upper bound, more than the 20 frames of each clip
    video.prepare(dataset, spec, cache_dir=tmp_path / "2", announce=announce)
    assert (said[1].bytes, said[1].most) == (round(1.1 * 20 * 20 * frame), False)
    free = 430 * frame
    with pytest.raises(
        UsageError, match=r"needs about 760 KB in '.*3/clips', where 743 KB are free: make room, set PV"
    ):
        video.prepare(dataset, spec, cache_dir=tmp_path / "3")
    assert not (tmp_path / "3").exists()


def test_without_a_cache_clips_are_decoded_to_the_same_frames(store: video.ClipStore, tmp_path: Path) -> None:
    direct = video.prepare(store.dataset, store.spec, cache_dir=tmp_path, workers=2, cached=False)
    assert isinstance(direct, video.DirectStore)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["index.npy", "store.json"]
    np.testing.assert_array_equal(direct.lengths, store.lengths)
    part = direct.subset(np.array([7, 2]))
    np.testing.assert_array_equal(part.frames(0), store.frames(7))
    np.testing.assert_array_equal(part.frames(1), store.frames(2))


def test_someone_elses_partial_folder_is_left_alone(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    dataset = video.open_dataset(str(folder({"a": 4, "b": 4})))
    key = _prepare.cache_path(dataset, SPEC, "decord", None).name
    alive, gone = (tmp_path / "clips" / f".{key}-{process}-x.partial" for process in (os.getpid(), 2**22 + 1))
    alive.mkdir(parents=True)
    gone.mkdir()
    video.prepare(dataset, SPEC, cache_dir=tmp_path)
    assert alive.is_dir() and not gone.exists()


def test_a_damaged_cache_is_an_error(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    dataset = video.open_dataset(str(folder({"a": 4, "b": 4})))
    video.prepare(dataset, SPEC, cache_dir=tmp_path)
    target = tmp_path / "clips" / _prepare.cache_path(dataset, SPEC, "decord", None).name
    with (target / "frames-00000.u8").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UsageError, match=r"damaged .*wrong size.*delete that folder"):
        video.prepare(dataset, SPEC, cache_dir=tmp_path)
    shutil.rmtree(target)
    assert len(video.prepare(dataset, SPEC, cache_dir=tmp_path)) == 8


def test_an_unwritable_cache(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    dataset = video.open_dataset(str(folder({"a": 4, "b": 4})))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write the cache folder .*PVNAS_BENCH_CACHE"):
        video.prepare(dataset, SPEC, cache_dir=tmp_path / "file")


def test_a_subset_sees_only_its_clips(store: video.ClipStore) -> None:
    part = store.subset(np.array([7, 2]))
    assert len(part) == 2 and part.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(part.frames(0), store.frames(7))
    np.testing.assert_array_equal(part.frames(1), store.frames(2))


def test_wrong_specs() -> None:
    for arguments in ((0, 8), (8, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            video.CacheSpec(*arguments)
    with pytest.raises(ValueError, match="squash"):
        video.CacheSpec(8, 8, "stretch")  # type: ignore[arg-type]
