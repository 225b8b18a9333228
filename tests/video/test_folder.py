"""Folders and manifests: their rows, and one line for each error."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.errors import UsageError

ROWS = [
    ["a/1.mp4", "walk", "ann", "train"],
    ["a/2.mp4", "walk", "bob", "test"],
    ["b/1.mp4", "run", "ann", "train"],
    ["b/2.mp4", "run", "bob", "test"],
    ["b/3.mp4", "run", "eve", "val"],
]


def refused(name: Path | str) -> str:
    """Message of the error raised by opening this data set: one line."""
    with pytest.raises(UsageError) as error:
        video.open_dataset(str(name))
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    return message


def test_manifest(manifest: Callable[..., Path]) -> None:
    dataset = video.open_dataset(str(manifest(ROWS[::-1])))
    assert dataset.name == "set" and dataset.classes == ("run", "walk") and not dataset.flip_safe
    assert dataset.paths.tolist() == [row[0] for row in ROWS]
    assert [dataset.classes[label] for label in dataset.labels] == [row[1] for row in ROWS]
    assert [dataset.subject_names[subject] for subject in dataset.subjects] == [row[2] for row in ROWS]
    assert dataset.splits.tolist() == [row[3] for row in ROWS]
    assert dataset.counts() == {"train": 2, "val": 1, "test": 2}
    assert dataset.path(1) == manifest(ROWS).parent / "a/2.mp4"


def test_further_columns_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = ["fps, label ,path,split", *(f"25,{row[1]},{row[0]},{row[3]}" for row in ROWS), ""]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    dataset = video.open_dataset(str(path))
    assert dataset.classes == ("run", "walk") and (dataset.subjects == -1).all()


def test_columns_are_compact_and_fixed(manifest: Callable[..., Path]) -> None:
    rows = [
        [f"clips/{n:06d}.mp4", f"c{n % 3}", f"s{n % 50}", ("train", "val", "test")[n % 50 % 3]] for n in range(20000)
    ]
    dataset = video.open_dataset(str(manifest(rows)))
    columns = (dataset.paths, dataset.labels, dataset.subjects, dataset.splits)
    assert sum(column.nbytes for column in columns) <= 48 * len(rows)
    assert dataset.paths.tolist() == [row[0] for row in rows]
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 1


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (["../x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["a/../../x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["/etc/x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["C:\\x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["..\\x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["\\\\host\\x.mp4", "walk", "", "train"], "leaves the manifest's folder"),
        (["", "walk", "", "train"], "path is empty"),
        (["x.mp4", " ", "", "train"], "label is empty"),
        (["x.mp4", "walk", "", "validation"], "did you mean 'val'?"),
        (["x.mp4", "walk", "", ""], "unknown split ''"),
        (["x.mp4", "walk", "train"], "3 columns"),
        (["a/1.mp4", "run", "", "train"], "'a/1.mp4' twice"),
        (["./a/1.mp4", "run", "", "train"], "'a/1.mp4' twice"),
    ],
)
def test_bad_rows(manifest: Callable[..., Path], row: list[str], part: str) -> None:
    message = refused(manifest([*ROWS, row]))
    assert part in message
    assert "line 7" in message or "twice" in message


def test_bad_tables(manifest: Callable[..., Path], tmp_path: Path) -> None:
    assert "needs one column 'path'" in refused(manifest([], header=["file", "label"]))
    assert "needs one column 'label'" in refused(manifest([], header=["path", "label", "label"]))
    assert "lists no clip" in refused(manifest([]))
    assert "single class" in refused(manifest([row for row in ROWS if row[1] == "run"]))
    assert "'walk' of data set 'set' has only one clip" in refused(manifest(ROWS[1:]))
    assert "'walk' of data set 'set' has no clip in split 'train'" in refused(
        manifest([[*ROWS[0][:3], "val"], *ROWS[1:]])
    )
    assert "no clip in split 'test'" in refused(manifest([[*row[:3], "train"] for row in ROWS]))
    (tmp_path / "bad.csv").write_bytes(b"path,label\n\xff\xfe,walk\n")
    assert "UTF-8" in refused(tmp_path / "bad.csv")
    (tmp_path / "quote.csv").write_text('path,label\n"a,b\n')
    assert "expected CSV text in UTF-8" in refused(tmp_path / "quote.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "needs one column 'path'" in refused(tmp_path / "empty.csv")


def test_unknown_names(tmp_path: Path) -> None:
    assert "did you mean 'synthetic_motion'?" in refused("synthetic_moton")
    assert "no such file or folder" in refused(tmp_path / "nothing")
    assert "no such file or folder" in refused("nothing.csv")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    assert "not a manifest" in refused(tmp_path / "clip.mp4")


def test_class_folder(folder: Callable[[dict[str, int]], Path]) -> None:
    root = folder({"b": 10, "a": 20})
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / ".hidden.mp4").write_text("x")
    (root / "empty").mkdir()
    (root / "README.md").write_text("x")
    dataset = video.open_dataset(str(root))
    assert dataset.name == "data" and dataset.classes == ("a", "b")
    assert dataset.paths.tolist() == sorted(f"{c}/{n:02d}.mp4" for c, k in (("b", 10), ("a", 20)) for n in range(k))
    assert np.bincount(dataset.labels[dataset.splits == "test"]).tolist() == [4, 2]
    assert dataset.counts() == {"train": 19, "val": 5, "test": 6}
    assert video.open_dataset(str(root)).splits.tolist() == dataset.splits.tolist()


def test_bad_folders(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    assert "'one' of data set 'data' has only one clip" in refused(folder({"one": 1, "two": 2}))
    (tmp_path / "none").mkdir()
    assert "no clips in" in refused(tmp_path / "none")
    (tmp_path / "odd" / "a").mkdir(parents=True)
    (tmp_path / "odd" / "a" / os.fsdecode(b"\xff.mp4")).touch()
    assert "is not UTF-8: rename" in refused(tmp_path / "odd")


def test_missing_split_column_divides_by_subject(manifest: Callable[..., Path]) -> None:
    rows = [[f"{n}.mp4", f"c{n % 4}", f"s{n // 20}"] for n in range(200)]
    dataset = video.open_dataset(str(manifest(rows, header=["path", "label", "subject"])))
    assert dataset.counts() == {"train": 120, "val": 40, "test": 40}
    for subject in range(10):
        assert len(set(dataset.splits[dataset.subjects == subject])) == 1


def test_a_folder_with_a_manifest_is_read_by_it(folder: Callable[[dict[str, int]], Path]) -> None:
    root = folder({"a": 2, "b": 2})
    lines = ["path,label,split", "a/00.mp4,x,train", "a/01.mp4,x,test", "b/00.mp4,y,train", "b/01.mp4,y,test"]
    (root / "manifest.csv").write_text("\n".join(lines))
    dataset = video.open_dataset(str(root))
    assert dataset.name == "data" and dataset.classes == ("x", "y")


def test_the_fingerprint_covers_the_content(folder: Callable[[dict[str, int]], Path], tmp_path: Path) -> None:
    root = folder({"a": 3, "b": 3})
    before = video.open_dataset(str(root)).fingerprint
    shutil.copytree(root, tmp_path / "elsewhere" / "data")
    assert video.open_dataset(str(tmp_path / "elsewhere" / "data")).fingerprint == before
    clip = root / "a" / "00.mp4"
    content = bytearray(clip.read_bytes())
    content[-1] ^= 1
    clip.write_bytes(content)
    changed = video.open_dataset(str(root)).fingerprint
    clip.rename(root / "b" / "03.mp4")
    moved = video.open_dataset(str(root)).fingerprint
    assert len({before, changed, moved}) == 3


def test_fingerprint_covers_every_column(manifest: Callable[..., Path]) -> None:
    prints = {video.open_dataset(str(manifest(ROWS))).fingerprint}
    for column, value in ((0, "b/9.mp4"), (1, "walk"), (2, "zoe"), (3, "train")):
        row = list(ROWS[4])
        row[column] = value
        prints.add(video.open_dataset(str(manifest([*ROWS[:4], row]))).fingerprint)
    assert len(prints) == 5


def test_real_manifest(real_data: Path) -> None:
    dataset = video.open_dataset(str(real_data / "miracl_vc1" / "words.csv"))
    assert dataset.name == "words" and len(dataset.classes) == 10
    assert dataset.counts() == {"train": 1000, "val": 200, "test": 300}
    speakers = {s: {dataset.subject_names[i] for i in dataset.subjects[dataset.splits == s]} for s in ("val", "test")}
    assert speakers == {"val": {"F07", "M07"}, "test": {"F09", "F11", "M08"}}
