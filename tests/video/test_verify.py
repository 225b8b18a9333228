"""`verify` on a data set with each fault once; and contact sheets, pixel by pixel."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvnas_bench import video

from .conftest import moving_picture


@pytest.fixture
def flawed(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """12 different clips, plus copies, a broken one, a short one, and a subject in both splits."""
    root = tmp_path / "flawed"
    rows = []
    for n in range(12):
        write(root / f"{n:02d}.mp4", moving_picture(1 if n == 5 else 9, seed=n))
        rows.append([f"{n:02d}.mp4", "ab"[n % 2], f"s{n // 2}", "test" if n >= 8 else "train"])
    rows[9][2] = "s0"
    (root / "03.mp4").write_bytes((root / "03.mp4").read_bytes()[:-100])
    shutil.copy(root / "00.mp4", root / "04.mp4")
    shutil.copy(root / "00.mp4", root / "06.mp4")
    shutil.copy(root / "01.mp4", root / "11.mp4")
    lines = ["path,label,subject,split", *(",".join(row) for row in rows)]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def test_every_fault_is_found(flawed: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = video.verify(video.open_dataset(str(flawed)), workers=2, progress=lambda *at: calls.append(at))
    assert calls == [(n, 12) for n in range(1, 13)] and found.clips == 12
    assert [(path, reason.split(":")[0]) for path, reason in found.corrupt] == [("03.mp4", "truncated")]
    assert found.too_short == (("05.mp4", 1),)
    assert found.duplicates == (("00.mp4", "04.mp4", "06.mp4"),)
    assert found.leaks == ((("01.mp4", "train"), ("11.mp4", "test")),)
    assert found.shared_subjects == (("s0", ("train", "test")),)
    assert found


def test_equal_frames_in_another_container_are_a_duplicate(tmp_path: Path, write: Callable[..., Path]) -> None:
    import av

    for n in range(4):
        write(tmp_path / "ab"[n % 2] / f"{n}.mp4", moving_picture(5, seed=n))
    with av.open(tmp_path / "a/0.mp4") as source, av.open(tmp_path / "b/copy.mkv", "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    found = video.verify(video.open_dataset(str(tmp_path)), workers=1)
    same = [*found.duplicates, *(tuple(path for path, _ in leak) for leak in found.leaks)]
    assert same == [("a/0.mp4", "b/copy.mkv")]


def test_a_sound_data_set_has_no_faults(store: video.ClipStore) -> None:
    found = video.verify(store.dataset, workers=1)
    assert not found and found.clips == 12
    short = video.verify(store.dataset, workers=1, min_frames=5).too_short
    assert sorted(frames for _, frames in short) == [3, 4]


def test_contact_sheets(store: video.ClipStore, tmp_path: Path) -> None:
    paths = video.write_sheets(store.dataset, tmp_path / "sheets", [1, 0], clips=2, frames=3)
    assert [path.name for path in paths] == ["001-b.png", "000-a.png"]
    sheet = np.asarray(Image.open(paths[1]))
    assert sheet.shape == (2 * 16 + 2 * 116, 3 * 100 + 4, 3)
    a = np.flatnonzero(store.labels == 0)  # of 6 clips the centres of two segments
    shown = video.prepare(store.dataset, video.CacheSpec(96, 3), cache_dir=tmp_path / "cache", workers=1)
    for row, clip in enumerate((a[1], a[4])):
        for column in range(3):
            top, left = 2 * 16 + row * 116 + 16, 4 + column * 100
            np.testing.assert_array_equal(sheet[top : top + 96, left : left + 96], shown.frames(int(clip))[column])
    assert (sheet[:20, :60] < 100).any(), "the class and the number of clips are written above"


def test_a_sheet_marks_unreadable_clips(store: video.ClipStore, flawed: Path, tmp_path: Path) -> None:
    dataset = video.open_dataset(str(flawed))
    (path,) = video.write_sheets(dataset, tmp_path / "sheets", [1], clips=6, frames=2)
    sheet = np.asarray(Image.open(path))
    row = 2 * 16 + 116 + 16  # the second clip of the class is the truncated one
    assert (sheet[row : row + 16] < 100).any() and (sheet[row + 20 : row + 96] == 255).all()


LOST: dict[str, Callable[[Path], object]] = {
    "never copied": lambda path: path.unlink(),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere.mp4")),
    "another case": lambda path: path.rename(path.with_name(path.name.upper())),
    "another suffix": lambda path: path.rename(path.with_suffix(".mkv")),
    "its folder": lambda path: path.parent.rename(path.parent.with_name("moved")),
}


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_a_lost_clip_is_missing_and_not_corrupt(tmp_path: Path, clip_file: Path, how: str, decoder: str) -> None:
    rows = ["path,label,split"]
    for n in range(6):
        path = tmp_path / f"f{n}" / f"{n}.mp4"
        path.parent.mkdir()
        shutil.copy(clip_file, path)
        rows.append(f"f{n}/{n}.mp4,{'ab'[n % 2]},{'test' if n > 3 else 'train'}")
    (tmp_path / "set.csv").write_text("\n".join(rows) + "\n")
    LOST[how](tmp_path / "f1" / "1.mp4")
    if (tmp_path / "f1" / "1.mp4").exists():
        pytest.skip("this file system ignores case")
    found = video.verify(video.open_dataset(str(tmp_path / "set.csv")), workers=1, decoder=decoder)
    assert (found.missing, found.corrupt) == (("f1/1.mp4",), ())


def test_a_lost_folder_of_images_is_missing(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / str(n)).mkdir()
        for at in range(1, 4):
            Image.new("RGB", (20, 12), (9 * n, at, 0)).save(tmp_path / str(n) / f"img_{at:05d}.jpg")
    (tmp_path / "train.txt").write_text("0 3 0\n1 3 1\n")
    (tmp_path / "val.txt").write_text("2 3 0\n3 3 1\n")
    dataset = video.open_dataset(str(tmp_path))
    shutil.rmtree(tmp_path / "2")
    found = video.verify(dataset, workers=1)
    assert (found.missing, found.corrupt) == (("2",), ())
