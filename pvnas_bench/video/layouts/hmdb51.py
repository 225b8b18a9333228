"""HMDB51's official lists: `<class>_test_split1.txt` with `clip.avi 1` (train), `2` (test) or `0`; three folds."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    Layout,
    Lists,
    Source,
    annotation_files,
    inside,
    placed,
    text_lines,
    unplaced,
    wrong_fold,
)

_SPLITS = {"1": "train", "2": "test"}
_CLIPS = ("videos", "hmdb51_org", "hmdb51", "rawframes")
_FOLD = re.compile(r"(.+)_test_split(\d{1,2})")


def find(root: Path, fold: int) -> Source | None:
    """Find the lists of a fold and the folder of class folders."""
    every = [
        (match, file) for file in annotation_files(root, "*_test_split*.txt") if (match := _FOLD.fullmatch(file.stem))
    ]
    files = [file for match, file in every if int(match[2]) == fold]
    if not every:
        return None
    if not files:
        raise wrong_fold(fold, (int(match[2]) for match, _ in every), root)
    names = [
        f"{_label(file)}/{line.rpartition(' ')[0].strip()}"
        for file in files[:8]
        for _, line in islice(text_lines(file), 8)
    ]
    folder = placed(root, names, likely=[name for name in _CLIPS if (root / name).is_dir()])
    missing = unplaced(root, files[0], names) if folder is None else ""
    return Source(root, {"": Lists(tuple(files), folder or "")}, fold=fold, unplaced=missing)


def _label(file: Path) -> str:
    return re.sub(r"_test_split\d+$", "", file.stem)


def read(source: Source) -> Iterator[Row]:
    """Iterate over the clips of the fold; the subject is the source film, which begins the clip's name.

    Raises:
        UsageError: a line has another form.
    """
    for lists in source.splits.values():
        for file in lists.files:
            label = _label(file)
            for where, line in text_lines(file):
                clip, _, number = line.rpartition(" ")
                if not clip or number not in ("0", *_SPLITS):
                    raise UsageError(f"{where}: expected '<clip> 0|1|2', found {line[:80]!r}")
                if number == "0":
                    continue
                path = inside(f"{label}/{clip.strip()}", where)
                if (source.root / lists.folder / path).with_suffix("").is_dir():
                    path = path.rsplit(".", 1)[0]
                before, found, _ = clip.partition(f"_{label}_")
                subject = before if found else ""
                yield Row(lists.within(path), label, subject, _SPLITS[number])


LAYOUT = Layout("hmdb51", "HMDB51's <class>_test_splitN.txt, three folds; by film", find, read)
