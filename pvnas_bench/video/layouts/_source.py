"""Sources of layouts' readers, and their shared functions: lines, columns, paths and class names."""

import codecs
import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row

VIDEO_SUFFIXES = {
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "asf", "avi", "f4v", "flv", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"),
        *("mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
}
CLASS_LISTS = ("classInd.txt", "category.txt", "classes.txt", "labels.txt", "label_map.txt", "label_map_*.txt")
ANNOTATION_FOLDERS = (
    "",
    "annotations",
    "annotation",
    "labels",
    "lists",
    "splits",
    "ucfTrainTestlist",
    "testTrainMulti_7030_splits",
    "test_train_splits",
    "epic-kitchens-100-annotations",
)
"""Usual folders of lists, relative to the data set."""
SAMPLE = 64
"""Clips of a list to search for when locating its folder."""
_MOST_FOLDERS = 512
MOST_FRAMES = 2**31 - 1
"""Maximum number of frames of a clip: a month at 800 frames per second."""
MOST_SECONDS = 1e8
"""Maximum start or end of a clip in its file: three years."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Lists:
    """Annotation files of one split.

    Attributes:
        files: annotation files, in order.
        folder: folder of the listed clips, below the root; '': the root.
    """

    files: tuple[Path, ...] = ()
    folder: str = ""

    def within(self, path: str) -> str:
        """Path of a listed clip relative to the root."""
        return f"{self.folder}/{path}" if self.folder else path


@dataclass(frozen=True)
class Source:
    """A data set as input of a layout's reader.

    Attributes:
        root: folder that the rows' paths are relative to.
        splits: 'train', 'val', 'test' → annotation files; empty if the layout has none.
        classes: class names in the order of their numbers; () if the data names the classes.
        path: pattern of a clip's path, with the layout's columns as fields; '': detect it.
        suffix: suffix of the clips' files, for layouts that omit it; '': detect it.
        fold: number of the official split.
        unplaced: error message if the listed clips were not located; '' if they were.
    """

    root: Path
    splits: Mapping[str, Lists] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    path: str = ""
    suffix: str = ""
    fold: int = 1
    unplaced: str = ""


@dataclass(frozen=True)
class About:
    """Properties of a layout's data set; a description overrides them.

    Attributes:
        name: name of the data set, if the layout has only one.
        licence, flip_safe: as in a description.
        recordings: True if clips are rows of recordings of temperatures (`_recording`).
    """

    name: str = ""
    licence: str = ""
    flip_safe: bool = False
    recordings: bool = False


@dataclass(frozen=True)
class Layout:
    """A layout of a data set on disk.

    Attributes:
        find: returns the source of a folder for a fold, or None if the folder does not follow the layout; it inspects
            only file names and first lines.
        read: yields the rows of a source.
        about: properties of the data set.
    """

    name: str
    description: str
    find: Callable[[Path, int], Source | None]
    read: Callable[[Source], Iterator[Row]]
    about: About = About()


def annotation_files(root: Path, *patterns: str) -> list[Path]:
    """Files that match these patterns, in the folder and the usual folders of lists, sorted by name."""
    files = {
        file
        for below in ANNOTATION_FOLDERS
        for pattern in patterns
        for file in (root / below).glob(pattern)
        if file.is_file()
    }
    return sorted(files)


def by_split(files: list[Path]) -> dict[str, Lists]:
    """Group files by the split in their names; validation becomes test if there is no test file."""
    lists: dict[str, Lists] = {}
    for file in files:
        split = split_of(file)
        if split and split not in lists:
            lists[split] = Lists((file,))
    return with_test(lists)


def split_of(file: Path) -> str:
    """Split in a file's name, such as ``trainlist01.txt`` or ``trainingSet.csv``; '' if it has none."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", file.stem).lower())
    return next((split for split, names in SPLIT_NAMES.items() if any(name in words for name in names)), "")


SPLIT_NAMES = {
    "train": ("train", "training", "trainlist"),
    "val": ("val", "validation", "validate", "valid"),
    "test": ("test", "testing", "testlist"),
}
"""Spellings of each split in names of files and folders."""


def with_test(splits: dict[str, Lists]) -> dict[str, Lists]:
    """Rename val to test if there is no test split, as test labels are often hidden."""
    if "test" not in splits and "val" in splits:
        return {**{name: lists for name, lists in splits.items() if name != "val"}, "test": splits["val"]}
    return splits


def encoding_of(path: Path) -> str:
    """Encoding of a text file: that of its byte-order mark, which Windows programs write, else UTF-8."""
    with path.open("rb") as file:
        head = file.read(4)
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def text_lines(path: Path, errors: str = "strict") -> Iterator[tuple[str, str]]:
    """Iterate over the non-empty lines: location (for messages) and text.

    Args:
        errors: handling of invalid bytes: 'replace' to inspect a file, 'strict' to read it.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open(encoding=encoding_of(path), errors=errors) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path.name}, line {number}", line.strip()
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error, "text in UTF-8") from None


def csv_rows(path: Path, delimiter: str = ",", header: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the rows of a CSV: location (for messages) and columns by name.

    Args:
        header: names of the columns; default: the first line.

    Raises:
        UsageError: the file cannot be read, a column is repeated, or a row has another number of columns.
    """
    try:
        with path.open(newline="", encoding=encoding_of(path)) as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            told = bool(header)
            header = header or [column.strip() for column in next(reader, [])]
            for row in reader:
                if row:
                    where = f"{path.name}, line {reader.line_num}"
                    if len(row) != len(header):
                        expected = f"expected {' and '.join(header)}" if told else f"the first line names {len(header)}"
                        raise UsageError(
                            f"{where}: {len(row)} columns, but {expected}: correct the line "
                            "(a comma inside a value needs quotes)"
                        )
                    yield where, {column: value.strip() for column, value in zip(header, row, strict=True)}
    except (OSError, UnicodeError, csv.Error) as error:
        raise _unreadable(path, error, "CSV text in UTF-8") from None


def csv_header(path: Path) -> list[str]:
    """Column names of a CSV; [] if its first line is unreadable. It does not check later lines."""
    try:
        with path.open(newline="", encoding=encoding_of(path), errors="replace") as file:
            return [column.strip() for column in next(csv.reader(file), [])]
    except (OSError, UnicodeError, csv.Error):
        return []


def json_entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate over the objects of a JSON array; memory holds one chunk of the file at a time.

    Raises:
        UsageError: the file is not such an array.
    """
    decoder, text, number = json.JSONDecoder(), "", 0
    try:
        with path.open(encoding=encoding_of(path)) as file:
            text = file.read(_CHUNK).lstrip()
            if not text.startswith("["):
                raise ValueError("it does not begin with [")
            text = text[1:]
            while True:
                text = text.lstrip(" \t\r\n,")
                if text.startswith("]"):
                    return
                try:
                    entry, end = decoder.raw_decode(text)
                except ValueError:
                    more = file.read(_CHUNK)
                    if not more:
                        raise
                    text += more
                    continue
                number += 1
                if not isinstance(entry, dict):
                    raise ValueError(f"entry {number} is not an object")
                yield f"{path.name}, entry {number}", entry
                text = text[end:]
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error, "a JSON array of objects") from None


def _unreadable(path: Path, error: Exception, expected: str) -> UsageError:
    return UsageError(f"cannot read {str(path)!r} ({error}): expected {expected}")


def inside(path: str, where: str) -> str:
    """Normalise a path relative to the data set's folder, with slashes.

    Raises:
        UsageError: the path leaves the folder.
    """
    if path[:1] != "/" and "\\" not in path and ":" not in path:  # the usual case
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if parts and ".." not in parts and "\0" not in path:
            return "/".join(parts)
    windows = PureWindowsPath(path)  # splits at both slashes, so it finds ".." for any system
    if windows.anchor or ".." in windows.parts or "\0" in path:
        raise UsageError(f"{where}: the path {path!r} leaves the manifest's folder: give it relative to that folder")
    return PurePosixPath(path).as_posix()


def class_names(path: Path) -> tuple[str, ...]:
    """Read class names from a file with lines ``name`` or ``number name``.

    Raises:
        UsageError: the file cannot be read, or numbers do not count up from 0 or 1.
    """
    lines = [line for _, line in text_lines(path)]
    numbered = [re.fullmatch(r"(\d{1,9})\s+(\S.*)", line) for line in lines]
    if lines and all(numbered):
        pairs = sorted((int(match[1]), match[2]) for match in numbered if match)
        first = pairs[0][0]
        if first in (0, 1) and [number for number, _ in pairs] == list(range(first, first + len(pairs))):
            return tuple(name for _, name in pairs)
        raise UsageError(f"the classes of {str(path)!r} are not numbered consecutively from 0 or 1: correct it")
    return tuple(lines)


def whole(text: str, what: str, where: str, most: int = MOST_FRAMES) -> int:
    """Parse an integer from 0 to `most`, written in digits.

    Args:
        what: name of the number, for messages.

    Raises:
        UsageError: the text is not such a number.
    """
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{where}: {what} {text[:40]!r} is not a whole number: correct it")
    digits = text.lstrip("0")
    if len(digits) > len(str(most)) or int(digits or "0") > most:
        raise UsageError(f"{where}: {what} {text[:40]!r} is more than {most:,}: correct it")
    return int(digits or "0")


def seconds(text: str, what: str, where: str) -> float:
    """Parse a number of seconds from 0 to `MOST_SECONDS`.

    Raises:
        UsageError: the text is not such a number.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise UsageError(f"{where}: {what} {text[:40]!r} is not a number of seconds: correct it or leave it empty")
    return value


def named(label: str, classes: tuple[str, ...], where: str) -> str:
    """Class name of a numeric label if the class names are known, else the label.

    Raises:
        UsageError: no class has this number.
    """
    if not classes:
        return label
    digits = label.lstrip("0") or "0"
    if not label.isdecimal() or len(digits) > len(str(len(classes))) or int(digits) >= len(classes):
        raise UsageError(
            f"{where}: label {label[:40]!r}, but the classes are numbered 0 to {len(classes) - 1}: correct one"
        )
    return classes[int(digits)]


def placed(
    root: Path, names: Sequence[str], split: str = "", likely: Iterable[str] = (), *, exact: bool = False
) -> str | None:
    """Locate the folder of clips below the root; '': the root itself, None: not found.

    The search takes the first of the likely folders and the root that holds half of the clips; otherwise, of all
    folders in the upper two levels, the one that holds most of them.

    Args:
        names: names of some clips, relative to the wanted folder.
        exact: True: clips have exactly these names; False: they may have another suffix, or none.
        split: breaks ties if the folders of several splits contain the same names.
    """
    if not names:
        return ""
    usual = [*(folder for folder in likely if folder), ""]
    counts = {folder: sum(_there(root / folder, name, exact) for name in names) for folder in usual}
    best = max(usual, key=lambda folder: counts[folder])
    if 2 * counts[best] >= len(names):
        return best
    for folder in _folders(root):
        if folder not in counts:
            counts[folder] = sum(_there(root / folder, name, exact) for name in names)
    words = SPLIT_NAMES.get(split, ())

    def rank(folder: str) -> tuple[int, bool, int, str]:
        named = any(word in re.split(r"[^a-z]+", folder.lower()) for word in words)
        return -counts[folder], not named, folder.count("/"), folder

    best = min(counts, key=rank)
    return best if counts[best] else None


def _there(folder: Path, name: str, exact: bool) -> bool:
    """Return True if a folder has the clip: as named, or as an image folder without suffix, or with a video suffix."""
    path = os.path.join(folder, name)
    stem, suffix = os.path.splitext(path)
    if exact or os.path.exists(path):
        return os.path.exists(path)
    if suffix.lower() in VIDEO_SUFFIXES:
        return os.path.isdir(stem)
    return any(os.path.exists(path + end) for end in sorted(VIDEO_SUFFIXES))


def _folders(root: Path) -> Iterator[str]:
    """Folders of the upper two levels, by name, up to a limit."""
    upper = list(islice(_visible_folders(root), _MOST_FOLDERS))
    yield from upper
    for folder in upper[: _MOST_FOLDERS // 8]:
        for name in islice(_visible_folders(root / folder), _MOST_FOLDERS // 8):
            yield f"{folder}/{name}"


def _visible_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def unplaced(root: Path, file: Path, names: Sequence[str]) -> str:
    """Error message for listed clips that were not located."""
    return (
        f"none of the first {len(names)} clips of {file.name!r}, such as {names[0][:80]!r}, is in {str(root)!r} or its "
        f'subfolders: put them there, or add their folder to {str(root / "dataset.toml")!r} with a line folder = "…"'
    )


def wrong_fold(fold: int, folds: Iterable[int], root: Path) -> UsageError:
    """Error for a requested fold that does not exist."""
    known = sorted(set(folds))
    return UsageError(
        f"fold = {fold}: {str(root)!r} has lists of the folds {', '.join(map(str, known))}: set fold in the "
        "description to one of them"
    )


def found_suffix(source: Source, folder: str, names: Iterator[str]) -> str:
    """Detect the suffix of clips that lists name without one; '': folders of images.

    Args:
        names: names of clips; the first ones are searched for.
    """
    for name in islice(names, SAMPLE):
        clip = source.root / folder / name
        if clip.is_dir():
            return ""
        for suffix in sorted(VIDEO_SUFFIXES):
            if clip.with_name(clip.name + suffix).exists():
                return suffix
    return ""
