"""A miniature of Nagoya University's FIR actions as published: clips, pixels and refusals."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import layouts
from pvnas_bench.video._decode import read_chunks, read_clip

SPEC = video.CacheSpec(48, 64)
ROOM, SETTLING = 20.0, 15
HEADER = ",".join(["Time (sec)", "PTAT", *(f"P{pixel:03d}" for pixel in range(256))])
CLIPS = [
    ("20170203_p1_light2.csv", 20, 27, "sitdown", "human1"),
    ("20170203_p1_light2.csv", 29, 34, "falling1", "human1"),
    ("20170203_p1_light2.csv", 40, 46, "sitdown", "human2"),
    ("20170203_p1_light2.csv", 50, 55, "falling2", "human2"),
    ("20170209_p15_dark1.csv", 18, 23, "walk", "human5"),
    ("20170209_p15_dark1.csv", 24, 29, "walk1", "human6"),
    ("20170210_p3_dark5.csv", 20, 26, "walk2", "human7"),
    ("20170210_p3_dark5.csv", 30, 36, "falling2", "human8"),
    ("20170210_p3_dark5.csv", 44, 44, "sitdown", "human9"),
]
"""Recording, first and last row, action, person."""

Clone = Callable[..., Path]


def recording(name: str, rows: int = 60) -> np.ndarray:
    """(rows, 16, 16) °C: a sensor that settles, then a room in which something warm moves along a row of pixels."""
    celsius = np.full((rows, 16, 16), ROOM)
    celsius[:SETTLING] *= np.linspace(0, 1, SETTLING)[:, None, None]
    for row in range(SETTLING, rows):
        celsius[row, int(name[7]), row % 16] += row / 64
        celsius[row, 12, 3:5] = 25, 15
    celsius[SETTLING::4, 12, 3:5] = ROOM  # so that more than half of the rows show other temperatures
    celsius[SETTLING + 1 :: 4, 12, 3:5] = ROOM
    celsius[SETTLING + 2 :: 4, 12, 3:5] = ROOM
    return celsius


def write_recording(path: Path, celsius: np.ndarray, end: str = "\r\n") -> None:
    rows = (
        f"{0.109 * n:.3f},21.5," + ",".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in frame.ravel())
        for n, frame in enumerate(celsius, start=1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in ("2017/02/03 19:20:50", HEADER, *rows)).encode())


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A function that writes the repository's files as their publisher ships them, below a folder of this name."""

    def make(name: str = "clone", end: str = "\r\n") -> Path:
        root = tmp_path / name
        days = sorted({clip[0][:8] for clip in CLIPS})
        for day in days:
            clips = [clip for clip in CLIPS if clip[0][:8] == day]
            annotate(root, day, *(",".join(map(str, clip)) for clip in clips), end=end)
            wide = f"{clips[0][0]}," + ",".join(f"{first},{last},{action}" for _, first, last, action, _ in clips)
            (root / "annotation" / f"annotation_{day}.csv").write_text(wide + ",,,\n")
        for file in {clip[0] for clip in CLIPS}:
            write_recording(root / file[:8] / "raw" / file, recording(file), end)
        for other in ("Readme.md", "LICENSE", "Dataset_detail.pdf", ".git/config"):
            (root / other).parent.mkdir(exist_ok=True)
            (root / other).write_text("x\n")
        return root

    return make


def annotate(root: Path, day: str, *rows: str, end: str = "\r\n") -> None:
    (root / "annotation").mkdir(parents=True, exist_ok=True)
    (root / "annotation" / f"annotation_{day}_human.csv").write_bytes("".join(row + end for row in rows).encode())


def replace_line(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


def expected(clip: tuple[str, int, int, str, str]) -> np.ndarray:
    """Expected pixels (T, 48, 48, 3) of a clip."""
    name, first, last, _, _ = clip
    above = recording(name)[first : last + 1] - ROOM
    grey = np.rint(np.clip((above + 0.9) / 2.7 * 255, 0, 255)).astype(np.uint8)
    return np.kron(grey, np.ones((3, 3), np.uint8))[..., None].repeat(3, axis=-1)


def test_an_unchanged_clone_is_read(clone: Clone) -> None:
    root = clone()
    layout, _ = layouts.detect(root)
    dataset = video.open_dataset(str(root))
    assert layout.name == dataset.name == "nagoya_fir"
    assert dataset.licence == "CC BY-NC-SA 4.0" and dataset.flip_safe and dataset.recordings and not dataset.template
    assert dataset.classes == ("falling", "sitdown", "walk")
    found = [
        (str(path), *map(int, span), dataset.classes[label], dataset.subject_names[subject], str(split))
        for path, span, label, subject, split in zip(
            dataset.paths, dataset.spans, dataset.labels, dataset.subjects, dataset.splits, strict=True
        )
    ]
    splits = {"human2": "test", "human8": "test", "human6": "val"}
    assert found == [
        (f"{name[:8]}/raw/{name}", first, last + 1, action.rstrip("12"), person, splits.get(person, "train"))
        for name, first, last, action, person in CLIPS
    ]


def test_pixels_are_degrees_above_the_median_of_the_room(clone: Clone, tmp_path: Path) -> None:
    dataset = video.open_dataset(str(clone()))
    store = video.prepare(dataset, SPEC, cache_dir=tmp_path / "cache", workers=1)
    direct = video.prepare(dataset, SPEC, cache_dir=tmp_path / "cache", workers=1, cached=False)
    assert len(store) == len(direct) == len(CLIPS) and not store.skipped
    for number, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(store.frames(number), expected(clip))
        np.testing.assert_array_equal(direct.frames(number), expected(clip))
        chunks = list(read_chunks(dataset.path(number), SPEC, 3, dataset.part(number)))
        np.testing.assert_array_equal(np.concatenate(chunks), expected(clip))
    assert {85, 0, 255} <= set(np.unique(store.frames(0)).tolist()), "the room, the coldest and the warmest"
    (held,) = direct.loaded([np.array([2, 0])])
    np.testing.assert_array_equal(held.frames(2), expected(CLIPS[2]))


def test_a_long_clip_keeps_the_centres_of_its_segments(clone: Clone) -> None:
    dataset = video.open_dataset(str(clone()))
    kept = read_clip(dataset.path(0), video.CacheSpec(48, 4), "recording", dataset.part(0))
    np.testing.assert_array_equal(kept, expected(CLIPS[0])[[1, 3, 5, 7]])


def test_a_changed_recording_is_read_again(clone: Clone) -> None:
    dataset = video.open_dataset(str(clone()))
    before = read_clip(dataset.path(0), SPEC, "recording", dataset.part(0))
    write_recording(dataset.path(0), recording("20170203")[:50] + 0.5 * (np.arange(50) > 40)[:, None, None])
    after = read_clip(dataset.path(2), SPEC, "recording", dataset.part(2))
    assert before.shape == (8, 48, 48, 3) and after[-1, 0, 0, 0] == round(1.4 / 2.7 * 255)


def test_verify_and_sheets(clone: Clone, tmp_path: Path) -> None:
    dataset = video.open_dataset(str(clone()))
    found = video.verify(dataset, workers=1)
    assert found.too_short == (("20170210/raw/20170210_p3_dark5.csv", 1),)
    assert not any((found.corrupt, found.duplicates, found.leaks, found.shared_subjects))
    assert len(video.write_sheets(dataset, tmp_path / "sheets", [0, 1, 2], clips=2, frames=3, workers=1)) == 3


def test_the_fingerprint_is_of_the_content(clone: Clone) -> None:
    root = clone()
    before = video.open_dataset(str(root)).fingerprint
    assert before == "c7bed1814f06fbaf9fff91dbefc08505b52b94d382c72d1b779cde117e020095"
    assert video.open_dataset(str(clone("unix", end="\n"))).fingerprint == before
    path = root / "20170209/raw/20170209_p15_dark1.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\r\n", 0, -2) + 2])
    shorter = video.open_dataset(str(root)).fingerprint
    path.unlink()
    assert len({before, shorter, video.open_dataset(str(root)).fingerprint}) == 3


def test_line_ends_do_not_change_the_pixels(clone: Clone) -> None:
    dataset = video.open_dataset(str(clone(end="\n")))
    np.testing.assert_array_equal(read_clip(dataset.path(4), SPEC, "recording", dataset.part(4)), expected(CLIPS[4]))


def test_a_description_overrides_the_layout(clone: Clone) -> None:
    root = clone()
    (root / "dataset.toml").write_text("flip_safe = false\nlicence = 'mine'\nname = 'fir'\ntemplate = '{:02d}.png'\n")
    dataset = video.open_dataset(str(root))
    assert (dataset.name, dataset.licence, dataset.flip_safe, dataset.template) == ("fir", "mine", False, "")
    (root / "dataset.toml").write_text(
        "[splits]\n"
        'train = ["annotation/annotation_20170203_human.csv", "annotation/annotation_20170209_human.csv"]\n'
        "test = 'annotation/annotation_20170210_human.csv'\n"
    )
    dataset = video.open_dataset(str(root))
    assert dataset.counts() == {"train": 6, "test": 3} and dataset.flip_safe and dataset.name == "nagoya_fir"


def test_clips_without_their_recording_are_named(clone: Clone, tmp_path: Path) -> None:
    root = clone()
    path = root / "20170209/raw/20170209_p15_dark1.csv"
    path.unlink()
    found = video.verify(video.open_dataset(str(root)), workers=1)
    assert (found.missing, found.corrupt) == (("20170209/raw/20170209_p15_dark1.csv",) * 2, ())
    (root / "dataset.toml").write_text("missing_ok = true\n")
    with pytest.raises(UsageError, match="class 'walk' of data set 'nagoya_fir' has only one clip"):
        video.open_dataset(str(root))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: replace_line(path, 30, "1,2,3"), "line 30 has 3 columns, expected 258"),
        (lambda path: replace_line(path, 30, ""), "line 30 has 1 columns, expected 258"),
        (
            lambda path: replace_line(path, 62, "1," * 257 + "warm"),
            "line 62: could not convert string to float: 'warm'",
        ),
        (lambda path: replace_line(path, 40, "1," * 257 + "nan"), "line 40: a temperature is not finite"),
        (lambda path: replace_line(path, 2, "a,b"), "not a recording: line 2 is not Time (sec),PTAT,P000 to P255"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a recording: the file is not text"),
        (lambda path: path.write_bytes(b""), "zero bytes"),
        (lambda path: path.write_bytes(b"\n"), "not a recording: line 2 is not Time (sec),PTAT,P000 to P255"),
        (lambda path: write_recording(path, recording("20170203", 15)), "15 rows: the sensor settles during"),
        (
            lambda path: write_recording(path, recording("20170203", 22)),
            "rows 20 to 27 of a recording that holds rows 0 to 21",
        ),
    ],
)
def test_an_incomplete_recording_is_named(clone: Clone, change: Callable[[Path], None], reason: str) -> None:
    root = clone()
    change(root / "20170203/raw/20170203_p1_light2.csv")
    found = video.verify(video.open_dataset(str(root)), workers=1)
    assert [path for path, _ in found.corrupt] == ["20170203/raw/20170203_p1_light2.csv"] * 4
    assert found.corrupt[0][1].startswith(reason)


def test_empty_lines_at_the_end_are_no_rows(clone: Clone) -> None:
    dataset = video.open_dataset(str(clone()))
    with dataset.path(0).open("ab") as file:
        file.write(b"\r\n \r\n")
    np.testing.assert_array_equal(read_clip(dataset.path(0), SPEC, "recording", dataset.part(0)), expected(CLIPS[0]))


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("20170203_p1_light2.csv,20,27,sitdown", "expected 'recording,first,last,action,person', found"),
        ("20170203_p1_light2.csv,20,27,sitdown,human1,", "expected 'recording,first,last,action,person', found"),
        ("20170203_p1_light2.csv,20,-1,sitdown,human1", "expected 'recording,first,last,action,person', found"),
        ("../20170203_p1.csv,20,27,sitdown,human1", "expected 'recording,first,last,action,person', found"),
        ("20170203_p1_light2.csv,20,27,dance,human1", "unknown action 'dance'"),
        ("20170203_p1_light2.csv,20,27,sitdown,human10", "unknown person 'human10'"),
        ("20170203_p1_light2.csv,20,19,sitdown,human1", "ends at row 19, before it begins at 20"),
    ],
)
def test_invalid_annotations_are_refused(clone: Clone, line: str, part: str) -> None:
    root = clone()
    annotate(root, "20170203", "20170203_p1_light2.csv,1,2,walk,human2", line)
    with pytest.raises(UsageError) as error:
        video.open_dataset(str(root))
    message = str(error.value)
    assert message.startswith("annotation_20170203_human.csv, line 2: ") and part in message and "\n" not in message


def test_the_published_data_equals_the_clips_encoded_from_it(real_data: Path) -> None:
    """A clone against clips encoded from it: the same clips, and the same pixels up to encoding errors."""
    root, clips = real_data / "Low-Resolution-FIR-Action-Dataset", real_data / "nagoya_fir"
    if not root.is_dir() or not clips.is_dir():
        pytest.skip("no clone in ../shared/data")
    dataset = video.open_dataset(str(root))
    assert dataset.fingerprint == "31fb81394cc9eb2f52892edcb924f6865ccefe9680ff7a16afcf5556955ad99f"
    assert dataset.spans is not None
    names = [
        f"{dataset.classes[label]}_{Path(str(path)).stem}_{int(first):04d}.mp4"
        for label, path, first in zip(dataset.labels, dataset.paths, dataset.spans[:, 0], strict=True)
    ]
    people = [dataset.subject_names[subject] for subject in dataset.subjects]
    with (clips / "manifest.csv").open(newline="") as file:
        listed = {row["path"]: (row["subject"], row["split"]) for row in csv.DictReader(file)}
    assert dict(zip(names, zip(people, dataset.splits.tolist(), strict=True), strict=True)) == listed
    for number in range(0, len(dataset), 60):
        frames = read_clip(dataset.path(number), SPEC, "recording", dataset.part(number)).astype(int)
        encoded = read_clip(clips / names[number], SPEC, "pyav").astype(int)
        assert frames.shape == encoded.shape and abs(frames - encoded).mean() < 2 and abs(frames - encoded).max() < 20
