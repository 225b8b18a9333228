"""Nagoya University's FIR actions as published on GitHub (muralab/Low-Resolution-FIR-Action-Dataset, version 2018).

A 16 × 16 far-infrared sensor on the ceiling recorded nine people on four days, two or three per day. For each day there
is `annotation/annotation_<day>_human.csv`, without a header: `recording,first,last,action,person`. A clip consists of
rows `first` to `last` (included) of `<day>/raw/<recording>`, counted from 0 after the two header lines; `_recording`
defines their pixels. The data set has 2,520 clips from 400 recordings, 6 to 49 frames long.

Peculiarities:

- `annotation_<day>.csv` lists the same clips, several per line and without the person; it is not read.
- `p1` to `p15` in names of recordings are not people. People take turns in one recording, so train and test share the
  background; it is subtracted.
- Annotations distinguish two kinds of falls and walks (`falling1`, `falling2`, `walk1`, `walk2`), and some walks are
  neither. Here falls are one class and walks another, so each of the 7 classes has 360 clips.
- There is no official split. This one is by person: 2, 4 and 8 for test, 6 for validation.
- The sensor looks down, so no class depends on left or right: clips may be mirrored.
- The publisher's readme mentions videos of an ordinary camera; they are not included.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import About, Layout, Lists, Source, text_lines

NAME = "nagoya_fir"

_FILE = re.compile(r"annotation_\d{8}_human\.csv")
_LINE = re.compile(r"(?P<recording>(?P<day>\d{8})_\w+\.csv),(?P<first>\d{1,9}),(?P<last>\d{1,9}),(\w+),(\w+)")
_CLASSES = {
    "falling1": "falling",
    "falling2": "falling",
    "lie": "lie",
    "sit": "sit",
    "sitdown": "sitdown",
    "stand": "stand",
    "standup": "standup",
    "walk": "walk",
    "walk1": "walk",
    "walk2": "walk",
}
_SPLITS = {f"human{person}": "train" for person in range(1, 10)} | {
    "human2": "test",
    "human4": "test",
    "human6": "val",
    "human8": "test",
}


def find(root: Path, fold: int) -> Source | None:
    """Find the annotations with persons, by their names."""
    files = sorted(file for file in (root / "annotation").glob("*.csv") if _FILE.fullmatch(file.name))
    return Source(root, {"": Lists(tuple(files))}) if files else None


def read(source: Source) -> Iterator[Row]:
    """Iterate over the lines; lists that a description assigns to a split keep it.

    Raises:
        UsageError: a line has another form, an unknown action or person, or an end before its start.
    """
    for split, lists in source.splits.items():
        for file in lists.files:
            for where, line in text_lines(file):
                yield _row(where, line, split, lists)


def _row(where: str, line: str, split: str, lists: Lists) -> Row:
    match = _LINE.fullmatch(line)
    if match is None:
        raise UsageError(f"{where}: expected 'recording,first,last,action,person', found {line[:80]!r}")
    action, person = match[5], match[6]
    first, last = int(match["first"]), int(match["last"])
    if action not in _CLASSES:
        raise UsageError(f"{where}: unknown action {action!r}: expected one of {', '.join(_CLASSES)}")
    if person not in _SPLITS:
        raise UsageError(f"{where}: unknown person {person!r}: expected human1 to human9")
    if last < first:
        raise UsageError(f"{where}: the clip ends at row {last}, before it begins at {first}: correct the line")
    path = lists.within(f"{match['day']}/raw/{match['recording']}")
    return Row(path, _CLASSES[action], person, split or _SPLITS[person], start=first, end=last + 1)


LAYOUT = Layout(
    NAME,
    "Nagoya University's low-resolution FIR actions as published (recordings as CSV); by person",
    find,
    read,
    About(NAME, "CC BY-NC-SA 4.0", flip_safe=True, recordings=True),
)
