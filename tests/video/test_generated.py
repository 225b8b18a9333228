"""Generated class folders and lists with an oracle: rows, list of bad clips, or refusal."""

import csv
import io
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import _pool, _worker
from pvnas_bench.video._rows import divide

from .conftest import moving_picture
from .test_codecs import encode

CODECS = [
    "h264.mp4",
    "h264.ts",
    "h264-interlaced.mts",
    "hevc.mov",
    "vp8.webm",
    "vp9.mkv",
    "mpeg4.avi",
    "mjpeg.avi",
    "mpeg2.mpg",
]
WORDS = [
    "jump",
    "Jump",
    "a b",
    "x,y",
    "été",
    "naïve",
    "日本語",
    "한국",
    "Ωmega",
    "007",
    "-1",
    "=1+1",
    "#4",
    "R&D",
    "o'clock",
    "🙂",
    'q"q',
    "(1)",
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "latin-1"]
ENDS = ["\n", "\r\n", "\r"]
LAYOUTS = [
    "folders",
    "folders in splits",
    "manifest",
    "manifest of each split",
    "words",
    "numbers",
    "frames",
    "kinetics",
]
CLIP_DAMAGE = ["zero", "text", "truncated", "gone", "directory", "dangling"]
LIST_DAMAGE = ["huge", "short", "outside", "twice", "absolute", "nul", "quote"]
BLOCKS = 25
"""Number of cases per test."""


@dataclass
class Case:
    """A generated data set with its expected reading."""

    root: Path
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Class and split of each clip; the split is '' if the data has no splits."""
    bad: set[str] = field(default_factory=set)
    refused: bool = False
    about: str = ""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("originals")
    frames = moving_picture(6, 64, 96)
    return [
        encode(folder / f"{number}{Path(name).suffix}", Path(name).stem, frames) for number, name in enumerate(CODECS)
    ]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs in this process: the pool has separate tests, and starting 500 pools would be slow."""

    def run(task: str, jobs: Any, *, workers: int, timeout: float) -> Iterator[_pool.Answer]:
        for number in range(len(jobs)):
            meta, payload = _worker.TASKS[task](jobs[number])
            yield _pool.Answer(number, meta.pop("error", None), meta=meta, payload=bytearray(payload))

    monkeypatch.setattr(_pool, "run", run)


def generate(root: Path, seed: int, originals: list[Path]) -> Case:
    """Put a data set of this seed below the root."""
    rng = np.random.default_rng(seed)

    def pick(among: list[Any]) -> Any:
        return among[int(rng.integers(len(among)))]

    layout, encoding, end = pick(LAYOUTS), pick(ENCODINGS), pick(ENDS)
    case = Case(root, about=f"seed {seed}: {layout}, {encoding}, {end!r}")
    names = [WORDS[at] for at in rng.permutation(len(WORDS))[: int(rng.integers(2, 5))]]
    if layout == "words":  # only the whole file shows which class a number means
        names = [*(name for name in names if not name.isdecimal()), "word"]
    if layout == "kinetics":
        names = [name.replace(" ", "") for name in names]
    listed = not layout.startswith("folders")
    clips: list[tuple[str, str, str, str]] = []  # split, path below the clips' folder, class, folder
    for number, name in enumerate(names):
        for at in range(int(rng.integers(4, 7))):
            split = "train" if at in (0, 1, 4) else "test"
            original = pick(originals)
            stem = f"{pick(['clip', 'ü', 'a b', 'v_'])}{number}{at}"
            folder = {"folders in splits": f"{split}/", "kinetics": "train/" if split == "train" else "val/"}.get(
                layout, ""
            )
            below = folder if layout == "kinetics" else ""
            if listed and layout != "kinetics":
                below = f"{pick(['videos', 'videos'])}/"
            inner = f"{number}/{stem}{original.suffix}" if listed else f"{folder}{name}/{stem}{original.suffix}"
            if layout == "kinetics":
                original = originals[0]
                inner = f"{name}/id{number}{at}_000000_000010.mp4"
            if layout == "frames":
                inner = f"{number}/{stem}"
            put(case, root / below / inner, f"{below}{inner}", original, rng, pick, images=layout == "frames")
            case.rows[f"{below}{inner}"] = (str(number) if layout in ("numbers", "frames") else name, split)
            clips.append((split, inner, name, below))
    if layout == "folders":
        case.rows = {path: (label, "") for path, (label, _) in case.rows.items()}
    if listed:
        write_lists(case, layout, clips, names, encoding, end, rng, pick)
    return case


def put(
    case: Case,
    path: Path,
    name: str,
    original: Path,
    rng: np.random.Generator,
    pick: Callable[..., Any],
    *,
    images: bool,
) -> None:
    """Write a clip, in one of twelve cases a damaged one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if images:
        from PIL import Image

        path.mkdir()
        for number in range(1, 5):
            Image.new("RGB", (24, 16), (9 * number, 9, 9)).save(path / f"img_{number:05d}.jpg")
        if rng.random() < 0.1:
            (path / "img_00002.jpg").write_bytes(b"not an image")
            case.bad.add(name)
        return
    damage = pick(CLIP_DAMAGE) if rng.random() < 0.12 else ""
    whole = original.read_bytes()
    if damage == "gone" and not any(part in case.about for part in ("manifest", "words", "numbers")):
        damage = "zero"  # a folder does not reveal missing clips
    if damage == "truncated" and original.suffix in (".ts", ".mts", ".mpg"):
        damage = "zero"  # streams that may end anywhere
    match damage:
        case "zero":
            path.touch()
        case "text":
            path.write_text("<html>404</html>\n" * 9)
        case "truncated":
            path.write_bytes(whole[: int(len(whole) * rng.uniform(0.2, 0.9))])
        case "directory":
            path.mkdir()
        case "dangling":
            path.symlink_to(path.with_name("nowhere"))
        case "":
            shutil.copy(original, path)
    if damage:
        case.bad.add(name)


def write_lists(
    case: Case,
    layout: str,
    clips: list[tuple[str, str, str, str]],
    names: list[str],
    encoding: str,
    end: str,
    rng: np.random.Generator,
    pick: Callable[..., Any],
) -> None:
    """Write the lists of a data set, one of them possibly with a bad line."""
    rows: dict[str, list[list[str]]] = {"train": [], "test": []}
    for split, inner, name, below in clips:
        number = str(names.index(name))
        rows[split].append(
            {
                "manifest": [f"{below}{inner}", name, split],
                "manifest of each split": [inner, name],
                "words": [inner, name],
                "numbers": [inner, number],
                "frames": [inner, "4", number],
                "kinetics": [
                    name,
                    Path(inner).stem.split("_")[0],
                    "0",
                    "10",
                    "train" if split == "train" else "validate",
                ],
            }[layout]
        )
    heads = {
        "manifest": ["path", "label", "split"],
        "manifest of each split": ["path", "label"],
        "kinetics": ["label", "youtube_id", "time_start", "time_end", "split"],
    }
    damage = pick(LIST_DAMAGE) if rng.random() < 0.25 else ""
    if damage and (bad := bad_line(damage, layout, rows["train"][0])):
        rows["train"].insert(int(rng.integers(2, len(rows["train"]) + 1)), bad)
        case.refused = True
        case.about += f", {damage}"
    files = {"manifest.csv": [*rows["train"], *rows["test"]]}
    if layout != "manifest":
        other = pick(["val", "test"])
        suffix = ".txt" if layout in ("numbers", "frames") else ".csv"
        files = {f"train{suffix}": rows["train"], f"{other}{suffix}": rows["test"]}
        if layout != "kinetics" and other == "val" and rng.random() < 0.5:
            files = {f"annotations/{name}": lines for name, lines in files.items()}
    written = ""
    for name, lines in files.items():
        text = io.StringIO(newline="")
        if layout in ("numbers", "frames"):
            text.write("".join(f"{' '.join(line)}{end}" for line in lines))
        else:
            csv.writer(text, lineterminator=end).writerows([*([heads[layout]] if layout in heads else []), *lines])
        content = text.getvalue()
        (case.root / name).parent.mkdir(exist_ok=True)
        try:
            (case.root / name).write_bytes(content.encode(encoding))
            written += content if encoding == "latin-1" else ""
        except UnicodeEncodeError:
            (case.root / name).write_bytes(content.encode())
    if not written.isascii():
        case.refused = True  # its encoding cannot be detected


def bad_line(damage: str, layout: str, row: list[str]) -> list[str]:
    """A line that is invalid in lists of this layout; [] if there is no such line."""
    at = 0 if layout != "kinetics" else 1
    match damage:
        case "huge" if layout == "frames":
            return ["other", "99999999999999999999", "0"]
        case "huge" if layout == "kinetics":
            return [row[0], "other", "9" * 400, "10", "train"]
        case "short":
            return row[:1]
        case "outside":
            return [*row[:at], "../../outside.mp4", *row[at + 1 :]]
        case "absolute" if layout != "kinetics":  # there it would be a name
            return [*row[:at], "/etc/passwd.mp4", *row[at + 1 :]]
        case "twice":
            return list(row)
        case "nul":
            return [*row[:at], "a\0b.mp4", *row[at + 1 :]]
    return []


def judge(case: Case) -> None:
    """Compare a reading with the expected one."""
    dataset, message = None, ""
    try:
        dataset = video.open_dataset(str(case.root))
    except UsageError as error:
        message = str(error)
    assert (dataset is None) == case.refused and "\n" not in message, f"{case.about}: {message}"
    if dataset is None:
        return
    rows = {
        str(path): (dataset.classes[label], str(split))
        for path, label, split in zip(dataset.paths, dataset.labels, dataset.splits, strict=True)
    }
    expected = case.rows
    if not any(split for _, split in expected.values()):
        divided = divide(dataset.labels, dataset.subjects)
        expected = {path: (expected[path][0], str(split)) for path, split in zip(rows, divided, strict=True)}
    assert rows == expected, case.about
    found = video.verify(dataset, workers=1)
    assert {*found.missing, *(path for path, _ in found.corrupt)} == case.bad, case.about
    for path in found.missing:
        assert not os.path.exists(case.root / path), case.about


def cases(tmp_path: Path, originals: list[Path], seeds: range) -> None:
    refused = 0
    for seed in seeds:
        root = tmp_path / f"set{seed}"
        case = generate(root, seed, originals)
        judge(case)
        refused += case.refused
        shutil.rmtree(root)
    assert 0 < refused < len(seeds)


@pytest.mark.parametrize("block", range(3))
def test_generated_data_sets_are_read_correctly_or_refused(tmp_path: Path, originals: list[Path], block: int) -> None:
    cases(tmp_path, originals, range(block * BLOCKS, (block + 1) * BLOCKS))


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(3, 20))
def test_more_generated_data_sets_are_read_correctly_or_refused(
    tmp_path: Path, originals: list[Path], block: int
) -> None:
    cases(tmp_path, originals, range(block * BLOCKS, (block + 1) * BLOCKS))


def test_generated_names_have_one_unicode_form() -> None:
    """Otherwise two names could be one class and the oracle wrong."""
    assert len({unicodedata.normalize("NFC", name) for name in WORDS}) == len(WORDS)
