"""Lists of Kinetics, MMAction2, SlowFast and TSM: `path label`, or `folder frames label` for folders of images."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    CLASS_LISTS,
    Layout,
    Source,
    annotation_files,
    by_split,
    class_names,
    inside,
    named,
    text_lines,
    whole,
)

# A path may hold spaces, so the numbers are read from the end of the line.
_LINE = re.compile(r"(?P<path>\S.*?)(?:[ \t]+(?P<frames>\d+))?[ \t,]+(?P<label>\d+)")


def find(root: Path, fold: int) -> Source | None:
    """Lists named after their split, as `train_list.txt`, whose first line is such a line."""
    files = [file for file in annotation_files(root, "*.txt", "*.csv", "*.list") if _is_list(file)]
    splits = by_split(files)
    if "train" not in splits or "test" not in splits:
        return None
    names = annotation_files(root, *CLASS_LISTS)
    return Source(root, splits, class_names(names[0]) if names else ())


def _is_list(file: Path) -> bool:
    try:
        return all(_LINE.fullmatch(line) for _, line in islice(text_lines(file), 1))
    except UsageError:
        return False


def read(source: Source) -> Iterator[Row]:
    """One row per line. An absolute path is taken as below the root, where it is.

    Raises:
        UsageError: a line of another form, or a path that leaves the root.
    """
    for split, lists in source.splits.items():
        base = source.root / lists.folder
        for file in lists.files:
            for where, line in text_lines(file):
                match = _LINE.fullmatch(line)
                if match is None:
                    raise UsageError(f"{where}: expected 'path label' or 'folder frames label', found {line[:80]!r}")
                path = _below(match["path"], base, where)
                label = named(match["label"], source.classes, where)
                yield Row(
                    f"{lists.folder}/{path}" if lists.folder else path,
                    label,
                    split=split,
                    frames=whole(match["frames"] or "0", "the number of frames", where),
                )


def _below(path: str, base: Path, where: str) -> str:
    if path.startswith("/"):
        try:
            return inside(Path(path).relative_to(base.resolve()).as_posix(), where)
        except ValueError:
            raise UsageError(
                f"{where}: {path!r} is not below {str(base)!r}: give the folder as root in a description .toml"
            ) from None
    return inside(path, where)


LAYOUT = Layout("list", "train and test lists of 'path label' or 'folder frames label' (MMAction2, TSM)", find, read)
