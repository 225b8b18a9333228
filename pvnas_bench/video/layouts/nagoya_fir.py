"""Nagoya University's FIR actions as published on GitHub (muralab/Low-Resolution-FIR-Action-Dataset, version 2018).

A 16 × 16 far-infrared sensor on the ceiling saw nine people on four days, two or three of them a day. `annotation/`
holds for each day `annotation_<day>_human.csv`, without a header: `recording,first,last,action,person`. A clip is the
rows `first` to `last` of `<day>/raw/<recording>`, counted from 0 after the two header lines, the last one included;
`_recording` says what their pixels are. All in all there are 2,520 clips of 400 recordings, 6 to 49 frames long.

What is particular to it:

- `annotation_<day>.csv` tells the same clips, several to a line and without the person; it is not read.
- `p1` to `p15` in the names of recordings are not people. People take turns in one recording, so the background is the
  same for train and test; it is subtracted.
- Annotations tell two ways of falling and of walking apart (`falling1`, `falling2`, `walk1`, `walk2`), and some walks
  are of neither: they are one class each. Then each of the 7 classes has 360 clips.
- The publisher gives no split. This one is by person: 2, 4 and 8 for test, 6 for validation.
- The sensor looks down, so no class tells left from right: clips may be mirrored.
- The videos of an ordinary camera that the publisher's readme speaks of are not there.
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
    """The annotations with persons, by their names."""
    files = sorted(file for file in (root / "annotation").glob("*.csv") if _FILE.fullmatch(file.name))
    return Source(root, {"": Lists(tuple(files))}) if files else None


def read(source: Source) -> Iterator[Row]:
    """One row per line. Where a description names lists for each split, its clips are in that split.

    Raises:
        UsageError: a line of another form, with an action or a person that is not known, or that ends before it begins.
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
