"""Faults reported by users of other video readers, on the same input; `tests/reports.md` lists them."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._spec import CacheSpec, ClipError, Part

from .conftest import moving_picture

BOTH = pytest.mark.parametrize("decoder", ["decord", "pyav"])
ALL = CacheSpec(32, 1000)


def stored(path: Path) -> np.ndarray:
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack([to_square(frame, 32, "squash") for frame in frames])


def folder_of_images(folder: Path, count: int = 4, first: int = 1) -> None:
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        Image.new("RGB", (20, 12), (9 * number, 0, 0)).save(folder / f"img_{number:05d}.jpg")


def listed(root: Path, train: str, val: str) -> video.Dataset:
    (root / "train_list.txt").write_text(train)
    (root / "val_list.txt").write_text(val)
    return video.open_dataset(str(root))


@BOTH
def test_a_header_that_counts_more_frames_than_there_are(
    tmp_path: Path, write: Callable[..., Path], decoder: str
) -> None:
    path = write(tmp_path / "clip.avi", moving_picture(30), "mjpeg")
    content = bytearray(path.read_bytes())
    at = content.find(b"strh") + 8 + 32  # dwLength of the stream's header
    assert struct.unpack_from("<I", content, at) == (30,)
    struct.pack_into("<I", content, at, 43)
    path.write_bytes(content)
    with pytest.raises(ClipError, match="truncated: holds 30 of 43 frames"):
        read_clip(path, ALL, decoder)


@BOTH
@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx"), ("webm", "libvpx-vp9")])
def test_a_browsers_recording_without_a_duration(
    tmp_path: Path, write: Callable[..., Path], decoder: str, suffix: str, codec: str
) -> None:
    path = write(tmp_path / f"clip.{suffix}", moving_picture(30), codec, {"live": "1"})
    with av.open(path) as container:
        assert container.duration is None or container.duration < 0 or container.streams.video[0].duration is None
    np.testing.assert_array_equal(read_clip(path, ALL, decoder), stored(path))
    assert len(read_clip(path, ALL, decoder)) == 30


@BOTH
def test_one_file_without_its_index_is_named(tmp_path: Path, clip_file: Path, decoder: str) -> None:
    """`moov atom not found`: the clip is named, and the others are read."""
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            shutil.copy(clip_file, tmp_path / "data" / label / f"{number}.mp4")
    content = clip_file.read_bytes()
    (tmp_path / "data" / "a" / "3.mp4").write_bytes(content[: content.find(b"moov") - 4])
    dataset = video.open_dataset(str(tmp_path / "data"))
    store = video.prepare(dataset, CacheSpec(16, 4), cache_dir=tmp_path / "cache", workers=1, decoder=decoder)
    assert [clip["path"] for clip in store.skipped] == ["a/3.mp4"] and len(store) == 11


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 24, 25, 26])
def test_an_avi_shorter_than_a_second(tmp_path: Path, write: Callable[..., Path], decoder: str, frames: int) -> None:
    path = write(tmp_path / "clip.avi", moving_picture(frames), "mpeg4", bf="2")
    assert len(read_clip(path, ALL, decoder)) == frames


@BOTH
@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_a_part_of_an_avi_whose_times_are_not_in_order(
    tmp_path: Path, write: Callable[..., Path], decoder: str, codec: str
) -> None:
    path = write(tmp_path / "clip.avi", moving_picture(30), codec, bf="2")
    part = read_clip(path, ALL, decoder, Part(start=0.4, end=0.8))
    np.testing.assert_array_equal(part, stored(path)[10:20])


@BOTH
@pytest.mark.parametrize("width", [500, 1294, 98, 126])
def test_no_column_of_noise_at_the_edge(tmp_path: Path, decoder: str, width: int) -> None:
    frames = np.full((4, 66, width, 3), 128, dtype=np.uint8)
    with av.open(tmp_path / "clip.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.height, stream.width, stream.pix_fmt = 66, width, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    got = read_clip(tmp_path / "clip.mp4", CacheSpec(width, 10), decoder)
    assert np.abs(got.astype(int) - 128).max() <= 3


@BOTH
def test_transparent_vp9(tmp_path: Path, decoder: str) -> None:
    path = tmp_path / "clip.webm"
    rng = np.random.default_rng(0)
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuva420p"
        for frame in moving_picture(10, 64, 96):
            alpha = rng.integers(0, 255, (64, 96, 1), dtype=np.uint8)
            pixels = np.concatenate([frame, alpha], axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode())
    np.testing.assert_array_equal(read_clip(path, ALL, decoder), stored(path))


def test_frame_folders_named_like_videos(tmp_path: Path) -> None:
    for number in range(4):
        folder_of_images(tmp_path / "frames" / "Archery" / f"v_{number}.avi")
    listed(tmp_path, "Archery/v_0.avi 4 0\nArchery/v_1.avi 4 1\n", "Archery/v_2.avi 4 0\nArchery/v_3.avi 4 1\n")
    for root in (tmp_path, tmp_path / "frames"):
        if root != tmp_path:
            shutil.copytree(root / "Archery", root / "Bowling")
        dataset = video.open_dataset(str(root))
        store = video.prepare(dataset, CacheSpec(16, 9), cache_dir=tmp_path / "cache", workers=1)
        assert not store.skipped and set(store.lengths.tolist()) == {4}


@pytest.mark.parametrize("first", [0, 1, 5])
def test_frames_numbered_from_zero_or_later(tmp_path: Path, first: int) -> None:
    for number in range(4):
        folder_of_images(tmp_path / "rawframes" / f"v{number}", first=first)
    dataset = listed(tmp_path, "v0 4 0\nv1 4 1\n", "v2 4 0\nv3 4 1\n")
    store = video.prepare(dataset, CacheSpec(16, 9), cache_dir=tmp_path / "cache", workers=1)
    assert set(store.lengths.tolist()) == {4}


def test_lists_with_commas_between_three_columns(tmp_path: Path) -> None:
    for number in range(4):
        folder_of_images(tmp_path / "frames" / f"v{number}")
    dataset = listed(tmp_path, "v0, 4, 0\nv1,4,1\n", "v2, 4, 0\nv3,4,1\n")
    assert dataset.frames is not None and dataset.frames.tolist() == [4] * 4
    assert dataset.paths.tolist() == [f"frames/v{number}" for number in range(4)]


@pytest.mark.parametrize("line", ["v1 4", "v1", "v1 4 x", "4 1 v1"])
def test_a_line_without_one_of_its_columns_is_named(tmp_path: Path, line: str) -> None:
    for number in range(4):
        folder_of_images(tmp_path / "frames" / f"v{number}")
    with pytest.raises(UsageError, match=r"train_list.txt, line 3: expected|none of the first|twice|has only one clip"):
        listed(tmp_path, f"v0 4 0\n\n{line}\n", "v2 4 0\nv3 4 1\n")


def test_class_folders_with_lists_of_slowfast(tmp_path: Path, clip_file: Path) -> None:
    """Clips in class folders beside `train.csv`, `val.csv` and `test.csv`, with spaces in their names."""
    for label in ("Class A", "ClassB"):
        (tmp_path / label).mkdir()
        for number in range(6):
            shutil.copy(clip_file, tmp_path / label / f"clip  {number}.mp4")
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,)), ("test", (4, 5))):
        rows = [f"{label}/clip  {n}.mp4 {at}" for at, label in enumerate(("Class A", "ClassB")) for n in numbers]
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n\n")
    (tmp_path / "classids.json").write_text('{"Class A": 0, "ClassB": 1}')
    dataset = video.open_dataset(str(tmp_path))
    assert dataset.counts() == {"train": 6, "val": 2, "test": 4}
    assert dataset.paths[0] == "Class A/clip  0.mp4"


def test_absolute_paths_in_lists(tmp_path: Path, clip_file: Path) -> None:
    for number in range(4):
        shutil.copy(clip_file, tmp_path / f"{number}.mp4")
    root = tmp_path.resolve()
    dataset = listed(tmp_path, f"{root}/0.mp4 0\n{root}/1.mp4 1\n", f"{root}/2.mp4 0\n{root}/3.mp4 1\n")
    assert dataset.paths.tolist() == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
