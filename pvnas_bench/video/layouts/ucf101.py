"""UCF101's official lists, `trainlist01.txt` and `testlist01.txt`, in three folds; subjects are groups of a class."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    SAMPLE,
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

_GROUP = re.compile(r"_(g\d+)_c\d+")
_CLIPS = ("UCF-101", "UCF101", "videos", "rawframes", "jpegs_256")


def find(root: Path, fold: int) -> Source | None:
    """Find the lists of a fold and the folder of class folders."""
    lists = {
        split: annotation_files(root, f"{word}list{fold:02d}.txt")
        for split, word in (("train", "train"), ("test", "test"))
    }
    if not all(lists.values()):
        named = (re.fullmatch(r"trainlist(\d\d)", file.stem) for file in annotation_files(root, "trainlist*.txt"))
        folds = [int(match[1]) for match in named if match]
        if folds and fold not in folds:
            raise wrong_fold(fold, folds, root)
        return None
    train = lists["train"][0]
    names = [re.sub(r"\s+\d+$", "", line) for _, line in islice(text_lines(train), SAMPLE)]
    folder = placed(root, names, likely=[name for name in _CLIPS if (root / name).is_dir()])
    missing = unplaced(root, train, names) if folder is None else ""
    splits = {split: Lists((files[0],), folder or "") for split, files in lists.items()}
    return Source(root, splits, fold=fold, unplaced=missing)


def read(source: Source) -> Iterator[Row]:
    """Iterate over the lines `class/clip.avi [number]`; a clip that is a folder of images loses its suffix.

    Raises:
        UsageError: a line has no class folder.
    """
    for split, lists in source.splits.items():
        images: bool | None = None
        for file in lists.files:
            for where, line in text_lines(file):
                path = inside(re.sub(r"\s+\d+$", "", line), where)
                label, slash, clip = path.partition("/")
                if not slash or not clip:
                    raise UsageError(f"{where}: expected '<class>/<clip>', found {line[:80]!r}")
                if images is None:
                    images = (source.root / lists.folder / path).with_suffix("").is_dir()
                if images:
                    path = path.rsplit(".", 1)[0]
                group = _GROUP.search(clip)
                subject = f"{label}/{group[1]}" if group else ""
                yield Row(lists.within(path), label, subject, split)


LAYOUT = Layout("ucf101", "UCF101's trainlist0N.txt and testlist0N.txt, three folds; by group", find, read)
