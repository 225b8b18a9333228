"""What a reader is told, and what readers share: lines, columns, paths and class names."""

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
"""Where lists lie beside the clips."""
SAMPLE = 64
"""Clips of a list that are looked for to find out where all of them lie."""
_MOST_FOLDERS = 512
MOST_FRAMES = 2**31 - 1
"""Of a clip: a month at 800 frames a second."""
MOST_SECONDS = 1e8
"""Into a file: three years."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Lists:
    """The annotation files of one split.

    Attributes:
        files: read one after the other.
        folder: of the clips they name, below the root; '' is the root.
    """

    files: tuple[Path, ...] = ()
    folder: str = ""

    def within(self, path: str) -> str:
        """A clip's path, relative to the root."""
        return f"{self.folder}/{path}" if self.folder else path


@dataclass(frozen=True)
class Source:
    """What a reader is told of a data set.

    Attributes:
        root: the folder that the rows' paths are relative to.
        splits: 'train', 'val', 'test' → annotation files; empty where the layout has none.
        classes: the names, in the order of their numbers; () where the data itself names them.
        path: pattern of a clip's path in the words of the layout's columns; '' to find out.
        suffix: of the clips' files, where a layout names clips without one; '' to find out.
        fold: which of several official splits.
        unplaced: what to tell a user whose lists name clips that lie in no folder looked into; '' where they do.
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
    """What is known of the clips of a layout; what a description says goes before it.

    Attributes:
        name: of the data set, where there is only one in this layout.
        licence, flip_safe: as in a description.
        recordings: clips are rows of recordings of temperatures (`_recording`).
    """

    name: str = ""
    licence: str = ""
    flip_safe: bool = False
    recordings: bool = False


@dataclass(frozen=True)
class Layout:
    """A way in which people keep data sets.

    Attributes:
        find: what a folder holds in this layout for one of several folds, or None; it looks at names and first lines.
        read: the rows, one at a time.
        about: what is known of the clips without reading them.
    """

    name: str
    description: str
    find: Callable[[Path, int], Source | None]
    read: Callable[[Source], Iterator[Row]]
    about: About = About()


def annotation_files(root: Path, *patterns: str) -> list[Path]:
    """Files of these patterns in the folder and where lists usually lie below it, by name."""
    found = {
        file
        for below in ANNOTATION_FOLDERS
        for pattern in patterns
        for file in (root / below).glob(pattern)
        if file.is_file()
    }
    return sorted(found)


def by_split(files: list[Path]) -> dict[str, Lists]:
    """Files by the split that their name says. Where none is for test, validation is what results are reported on."""
    found: dict[str, Lists] = {}
    for file in files:
        split = split_of(file)
        if split and split not in found:
            found[split] = Lists((file,))
    return with_test(found)


def split_of(file: Path) -> str:
    """The split that a file's name says, as ``trainlist01.txt``, ``trainingSet.csv``; '' where it says none."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", file.stem).lower())
    return next((split for split, names in SPLIT_NAMES.items() if any(name in words for name in names)), "")


SPLIT_NAMES = {
    "train": ("train", "training", "trainlist"),
    "val": ("val", "validation", "validate", "valid"),
    "test": ("test", "testing", "testlist"),
}
"""How files and folders name a split."""


def with_test(splits: dict[str, Lists]) -> dict[str, Lists]:
    """The splits with val as test where there is no other: hidden labels are what test often means."""
    if "test" not in splits and "val" in splits:
        return {**{name: lists for name, lists in splits.items() if name != "val"}, "test": splits["val"]}
    return splits


def encoding_of(path: Path) -> str:
    """How a file of text is encoded: UTF-8, or as the mark at its beginning says, which Windows' programs write."""
    with path.open("rb") as file:
        head = file.read(4)
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def text_lines(path: Path, errors: str = "strict") -> Iterator[tuple[str, str]]:
    """Where each line that is not empty stands (for messages), and its text.

    Args:
        errors: what to do with bytes that are no text: 'replace' to look at a file, 'strict' to read it.

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
    """Where each row of a CSV stands, and its columns by name.

    Args:
        header: the names of the columns; by default the first line has them.

    Raises:
        UsageError: the file cannot be read, a column comes twice, or a row has other columns than the first line.
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
    """Names of the columns of a CSV; [] where it has no readable first line. Later lines may be unreadable."""
    try:
        with path.open(newline="", encoding=encoding_of(path), errors="replace") as file:
            return [column.strip() for column in next(csv.reader(file), [])]
    except (OSError, UnicodeError, csv.Error):
        return []


def json_entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON array, one at a time: no more than one chunk of the file is held.

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
                    raise ValueError(f"entry {number} is no object")
                yield f"{path.name}, entry {number}", entry
                text = text[end:]
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error, "a JSON array of objects") from None


def _unreadable(path: Path, error: Exception, expected: str) -> UsageError:
    return UsageError(f"cannot read {str(path)!r} ({error}): expected {expected}")


def inside(path: str, where: str) -> str:
    """A path relative to the data set's folder, with slashes.

    Raises:
        UsageError: it leaves the folder.
    """
    if path[:1] != "/" and "\\" not in path and ":" not in path:  # as nearly all are
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if parts and ".." not in parts and "\0" not in path:
            return "/".join(parts)
    windows = PureWindowsPath(path)  # splits at either slash, so it sees what any system would follow
    if windows.anchor or ".." in windows.parts or "\0" in path:
        raise UsageError(f"{where}: the path {path!r} leaves the manifest's folder: give it relative to that folder")
    return PurePosixPath(path).as_posix()


def class_names(path: Path) -> tuple[str, ...]:
    """Class names from a file of one name per line, or ``number name``.

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
        raise UsageError(f"the classes of {str(path)!r} are not numbered one after the other from 0 or 1: correct it")
    return tuple(lines)


def whole(text: str, what: str, where: str, most: int = MOST_FRAMES) -> int:
    """A whole number from 0 to `most`, written in digits.

    Args:
        what: the number's name, for messages.

    Raises:
        UsageError: it is none.
    """
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{where}: {what} {text[:40]!r} is no whole number: correct it")
    digits = text.lstrip("0")
    if len(digits) > len(str(most)) or int(digits or "0") > most:
        raise UsageError(f"{where}: {what} {text[:40]!r} is more than {most:,}: correct it")
    return int(digits or "0")


def seconds(text: str, what: str, where: str) -> float:
    """A number of seconds from 0 to `MOST_SECONDS`.

    Raises:
        UsageError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise UsageError(f"{where}: {what} {text[:40]!r} is no number of seconds: correct it or leave it empty")
    return value


def named(label: str, classes: tuple[str, ...], where: str) -> str:
    """The class of a label that is a number, where the names of the classes are known.

    Raises:
        UsageError: there is no class of that number.
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
    """The folder below the root that clips lie in: '' for the root itself, None where they are not found.

    Looked into are the likely folders and the root, which do if half of the clips lie there; then all folders of the
    upper two levels, of which the one with most of the clips is taken.

    Args:
        names: of some clips, relative to the folder that is looked for.
        exact: the clips are called just so; otherwise with a suffix, or without the one that the names have.
        split: breaks ties, where each split has a folder of its own with the same names in it.
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
    """Whether a clip lies in a folder: as it is called, as images in a folder without its suffix, or with one."""
    path = os.path.join(folder, name)
    stem, suffix = os.path.splitext(path)
    if exact or os.path.exists(path):
        return os.path.exists(path)
    if suffix.lower() in VIDEO_SUFFIXES:
        return os.path.isdir(stem)
    return any(os.path.exists(path + end) for end in sorted(VIDEO_SUFFIXES))


def _folders(root: Path) -> Iterator[str]:
    """Folders of the upper two levels, by name; not all where there are very many."""
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
    """What to tell a user whose clips are not found."""
    return (
        f"none of the first {len(names)} clips of {file.name!r}, such as {names[0][:80]!r}, lies in {str(root)!r} or a "
        f'folder in it: put them there, or say where in {str(root / "dataset.toml")!r} with a line folder = "…"'
    )


def wrong_fold(fold: int, folds: Iterable[int], root: Path) -> UsageError:
    """A fold that is asked for and is not there."""
    known = sorted(set(folds))
    return UsageError(
        f"fold = {fold}: {str(root)!r} has lists of the folds {', '.join(map(str, known))}: set fold in the "
        "description to one of them"
    )


def found_suffix(source: Source, folder: str, names: Iterator[str]) -> str:
    """The suffix of clips that lists name without one: '' for folders of images.

    Args:
        names: of clips; those that come first are looked for.
    """
    for name in islice(names, SAMPLE):
        clip = source.root / folder / name
        if clip.is_dir():
            return ""
        for suffix in sorted(VIDEO_SUFFIXES):
            if clip.with_name(clip.name + suffix).exists():
                return suffix
    return ""
