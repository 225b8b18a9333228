"""Lists of Kinetics, MMAction2, SlowFast and TSM: `path label`, or `folder frames label` for folders of images.

A CSV may name the classes by words: `path,class`.
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    CLASS_LISTS,
    SAMPLE,
    VIDEO_SUFFIXES,
    Layout,
    Lists,
    Source,
    annotation_files,
    class_names,
    csv_rows,
    inside,
    named,
    placed,
    split_of,
    text_lines,
    unplaced,
    whole,
    with_test,
    wrong_fold,
)

# A path may hold spaces, so the numbers are read from the end of the line.
_LINE = re.compile(r"(?P<path>\S.*?)(?:(?:[ \t]+|,[ \t]*(?=\d+,))(?P<frames>\d+))?[ \t,]+(?P<label>\d+)")


_FOLD = re.compile(r"split[_-]?(\d{1,2})(?!\d)", re.IGNORECASE)
_NOWHERE = "\0"
"""Sentinel for a folder that was not located."""


def find(root: Path, fold: int) -> Source | None:
    """Find lists named after their split, such as `train_list.txt`, by their first lines; locate their clips.

    If a split has several lists, such as for videos and images, the one whose clips exist is used.
    """
    files = [file for file in annotation_files(root, "*.txt", "*.csv", "*.list") if split_of(file) and _is_list(file)]
    splits = with_test(_chosen(root, _of_fold(root, files, fold)))
    if "train" not in splits or "test" not in splits:
        return None
    names = annotation_files(root, *CLASS_LISTS)
    missing = ""
    for lists in splits.values():
        if lists.folder == _NOWHERE:
            missing = missing or unplaced(root, lists.files[0], _sample(lists.files[0], root))
    splits = {
        split: Lists(lists.files, "" if lists.folder == _NOWHERE else lists.folder) for split, lists in splits.items()
    }
    return Source(root, splits, class_names(names[0]) if names else (), fold=fold, unplaced=missing)


def _of_fold(root: Path, files: list[Path], fold: int) -> list[Path]:
    """Lists of a fold, such as `ucf101_train_split_2_videos.txt`, if the lists have folds."""
    folds = {file: int(match[1]) for file in files if (match := _FOLD.search(file.stem))}
    if not folds or (fold == 1 and len(set(folds.values())) == 1):  # `split_80` is not a fold
        return files
    if fold not in folds.values():
        raise wrong_fold(fold, folds.values(), root)
    return [file for file in files if folds.get(file, fold) == fold]


def _chosen(root: Path, files: list[Path]) -> dict[str, Lists]:
    lists: dict[str, Lists] = {}
    for file in files:
        split = split_of(file)
        if split not in lists or lists[split].folder == _NOWHERE:
            folder = placed(root, _sample(file, root), split, exact=True)
            if folder is not None or split not in lists:
                lists[split] = Lists((file,), _NOWHERE if folder is None else folder)
    return lists


def _sample(file: Path, root: Path) -> list[str]:
    """First clips of a list; [] if one lies outside the root."""
    names = []
    for where, path, *_ in islice(_entries(file), SAMPLE):
        try:
            names.append(_below(path, root, where))
        except UsageError:
            return []
    return names


def _is_list(file: Path) -> bool:
    try:
        lines = [line for _, line in islice(text_lines(file, "replace"), SAMPLE)]
    except UsageError:
        return False
    return bool(lines) and (_LINE.fullmatch(lines[0]) is not None or _has_words(file, lines))


def _has_words(file: Path, lines: list[str]) -> bool:
    """Return True if a CSV without a header has class names, such as `clips/1.mp4,jump`."""
    plain = all(_LINE.fullmatch(line) and '"' not in line for line in lines)
    if file.suffix.lower() != ".csv" or plain:
        return False
    try:
        rows = list(csv.reader(lines))
    except csv.Error:
        return False
    return len(rows[0]) == 2 and PurePosixPath(rows[0][0].strip()).suffix.lower() in VIDEO_SUFFIXES


def read(source: Source) -> Iterator[Row]:
    """Iterate over the lines; an absolute path below the root becomes a relative one.

    Raises:
        UsageError: a line has another form, or a path leaves the root.
    """
    for split, lists in source.splits.items():
        base = source.root / lists.folder
        for file in lists.files:
            for where, path, frames, label, worded in _entries(file):
                path = _below(path, base, where)
                label = label if worded else named(label, source.classes, where)
                yield Row(
                    lists.within(path),
                    label,
                    split=split,
                    frames=whole(frames, "the number of frames", where),
                )


def _entries(file: Path) -> Iterator[tuple[str, str, str, str, bool]]:
    """Iterate over the lines: location, path, number of frames, class, and True if the class is a name.

    Raises:
        UsageError: a line has another form.
    """
    if _has_words(file, [line for _, line in islice(text_lines(file), SAMPLE)]):
        for where, row in csv_rows(file, header=("path", "label")):
            if not row["path"] or not row["label"]:
                raise UsageError(f"{where}: the path or the class is empty: fill it in or remove the line")
            yield where, row["path"], "0", row["label"], not row["label"].isdecimal()
        return
    for where, line in text_lines(file):
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{where}: expected 'path label' or 'folder frames label', found {line[:80]!r}")
        yield where, match["path"], match["frames"] or "0", match["label"], False


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
