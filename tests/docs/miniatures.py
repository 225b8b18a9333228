"""What the documents' commands name: clips, public data sets in miniature, a grid, strategies."""

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np

from .blocks import ROOT

CLASSES = ("jump", "run")
GRID = """\
strategies = ["random_search", "random_sampling"]
spaces = ["st_micro"]
datasets = ["clips"]
protocol = "quick"
budget = 0.5
seeds = 1
"""
DESCRIPTION = 'root = "clips"\nformat = "class_folders"\nlicence = "CC0"\n'


class Miniatures:
    """Writes files below a folder; clips are copies of those of the tiny data set, each another one."""

    def __init__(self, root: Path, clips: Path) -> None:
        self.root = root
        self._clips = sorted(clips.rglob("*.mp4"))
        self._next = count()

    def clip(self, path: str) -> None:
        """Put a clip."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._clips[next(self._next) % len(self._clips)], target)

    def text(self, path: str, *lines: str) -> None:
        """Write lines."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def workplace(root: Path, clips: Path) -> None:
    """A folder in which the commands of the documents work."""
    made = Miniatures(root, clips)
    shutil.copytree(clips, root / "clips")
    for name in ("my_clips", "new_clips", "other_clips"):
        shutil.copytree(clips, root / name)
    made.clip("long.mp4")
    (root / "FOLDER").mkdir()
    shutil.copytree(clips, root / "FOLDER" / "mine")
    made.text("grid.toml", GRID)
    made.text("my.toml", DESCRIPTION)
    example = (ROOT / "docs" / "examples" / "black_box.py").read_text(encoding="utf-8")
    made.text("mine.py", example.replace("hill_climb", "mine"))
    for name in ("one", "another"):
        (root / "folder" / "of" / name).mkdir(parents=True)
        shutil.copy(ROOT / "results" / "reference" / "tables" / "st_micro-words.parquet", root / "folder" / "of" / name)
    for name in ("mine.py", "strategy.py"):
        (root / "path" / "to").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs" / "examples" / "black_box.py", root / "path" / "to" / name)
    shutil.copytree(ROOT / "docs" / "examples", root / "docs" / "examples")
    (root / "shared").mkdir()
    for write in SETS.values():
        write(made)


def _clips_of(split: str, number: int) -> Iterator[tuple[str, str, int]]:
    """Split, class and number of a split's clips."""
    for label in CLASSES:
        for index in range(number):
            yield split, label, index


def _all() -> list[tuple[str, str, int]]:
    return [*_clips_of("train", 6), *_clips_of("val", 2)]


def kinetics(made: Miniatures) -> None:
    header = "label,youtube_id,time_start,time_end,split"
    for split in ("train", "val"):
        rows = [f"{label},{label}{index:07d},1,11,{split}" for s, label, index in _all() if s == split]
        made.text(f"data/kinetics400/{split}.csv", header, *rows)
    for split, label, index in _all():
        made.clip(f"data/kinetics400/{split}/{label}{index:07d}_000001_000011.mp4")


def ssv2(made: Miniatures) -> None:
    for split, word in (("train", "train"), ("val", "validation")):
        entries = [
            {"id": f"{word}{label}{index}", "label": label, "template": f"{label} [something]", "placeholders": ["x"]}
            for s, label, index in _all()
            if s == split
        ]
        made.text(f"data/ssv2/labels/{word}.json", json.dumps(entries))
        for entry in entries:
            made.clip(f"data/ssv2/20bn-something-something-v2/{entry['id']}.webm")


def jester(made: Miniatures) -> None:
    from PIL import Image

    for split, word in (("train", "train"), ("val", "validation")):
        clips = [(f"{word}{label}{index}", label) for s, label, index in _all() if s == split]
        made.text(f"data/jester/jester-v1-{word}.csv", *(f"{clip};{label}" for clip, label in clips))
        for clip, _ in clips:
            folder = made.root / "data/jester/20bn-jester-v1" / clip
            folder.mkdir(parents=True)
            for number in range(1, 9):
                Image.new("RGB", (32, 24), (20 * number, 0, 0)).save(folder / f"{number:05d}.jpg")


def ucf101(made: Miniatures) -> None:
    for split, word in (("train", "train"), ("val", "test")):
        first = 0 if split == "train" else 8
        numbered = [(label, first + index) for s, label, index in _all() if s == split]
        clips = [f"{label}/v_{label}_g{group:02d}_c01.avi" for label, group in numbered]
        made.text(f"data/ucf101/ucfTrainTestlist/{word}list01.txt", *clips)
        for clip in clips:
            made.clip(f"data/ucf101/UCF-101/{clip}")


def hmdb51(made: Miniatures) -> None:
    for label in CLASSES:
        lines = []
        for split, of, index in _all():
            if of == label:
                clip = f"film{split}{index}_{label}_f.avi"
                lines.append(f"{clip} {1 if split == 'train' else 2}")
                made.clip(f"data/hmdb51/videos/{label}/{clip}")
        made.text(f"data/hmdb51/testTrainMulti_7030_splits/{label}_test_split1.txt", *lines)


def diving48(made: Miniatures) -> None:
    made.text("data/diving48/Diving48_vocab.json", json.dumps([["Back", label] for label in CLASSES]))
    for split, word in (("train", "train"), ("val", "test")):
        entries = [
            {"vid_name": f"{word}{label}{index}", "label": CLASSES.index(label), "start_frame": 0, "end_frame": 8}
            for s, label, index in _all()
            if s == split
        ]
        made.text(f"data/diving48/Diving48_V2_{word}.json", json.dumps(entries))
        for entry in entries:
            made.clip(f"data/diving48/rgb/{entry['vid_name']}.mp4")


def epic(made: Miniatures) -> None:
    header = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,verb,verb_class"
    made.text("data/epic/EPIC_100_verb_classes.csv", "id,key,instances", *(f"{n},{k}," for n, k in enumerate(CLASSES)))
    for split, word, people in (("train", "train", ("P01", "P02", "P03")), ("val", "validation", ("P04",))):
        rows = []
        for person in people:
            for _, label, index in (one for one in _all() if one[0] == split):
                number = CLASSES.index(label)
                span = f"00:00:00.{2 * number}0,00:00:00.{2 * number + 2}0"
                rows.append(f"x,{person},{person}_{index:02d},{span},{label},{number}")
        made.text(f"data/epic/EPIC_100_{word}.csv", header, *rows)
        for person in people:
            for index in range(6):
                made.clip(f"data/epic/{person}/videos/{person}_{index:02d}.MP4")


def miracl(made: Miniatures) -> None:
    rows = []
    for split, label, index in [*_all(), *_clips_of("test", 2)]:
        path = f"{label}/{split}{index}.mp4"
        rows.append(f"{path},{label},{split}{index},{split}")
        made.clip(f"data/miracl/{path}")
    made.text("data/miracl/words.csv", "path,label,subject,split", *rows)


def nagoya(made: Miniatures) -> None:
    day, rows = "20170203", 60
    header = ",".join(["Time (sec)", "PTAT", *(f"P{pixel:03d}" for pixel in range(256))])
    actions, lines = ("walk", "sit"), []
    for person in range(1, 10):
        recording, rng = f"{day}_p{person}_light1.csv", np.random.default_rng(person)
        celsius = 20 + 0.1 * rng.standard_normal((rows, 256))
        for row in range(rows):
            celsius[row, 16 * (row % 16) + person] += 8
        values = (",".join(f"{value:.3f}" for value in frame) for frame in celsius)
        frames = (f"{0.1 * number:.3f},21.5,{frame}" for number, frame in enumerate(values))
        made.text(f"data/nagoya/{day}/raw/{recording}", "2017/02/03 19:20:50", header, *frames)
        for number, first in enumerate((20, 30, 40, 50)):
            lines.append(f"{recording},{first},{first + 8},{actions[number % 2]},human{person}")
    made.text(f"data/nagoya/annotation/annotation_{day}_human.csv", *lines)


def lists(made: Miniatures) -> None:
    for split in ("train", "val"):
        clips = [(f"{label}/{index}.mp4", CLASSES.index(label)) for s, label, index in _all() if s == split]
        made.text(f"data/lists/kinetics400_{split}_list_videos.txt", *(f"{clip} {number}" for clip, number in clips))
        for clip, _ in clips:
            made.clip(f"data/lists/videos_{split}/{clip}")


SETS: dict[str, Callable[[Miniatures], None]] = {
    "kinetics": kinetics,
    "something": ssv2,
    "jester": jester,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "diving48": diving48,
    "epic": epic,
    "manifest": miracl,
    "nagoya_fir": nagoya,
    "list": lists,
}
