"""Reading a folder of class folders, or a manifest, into a data set."""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video._dataset import SPLITS, Dataset, check, fingerprint, strings
from pvnas_bench.video._splits import split_by_subject

MANIFEST = "manifest.csv"
VIDEO_SUFFIXES = {
    f".{suffix}"
    for suffix in ("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv")
}

_BLOCK = 8192
"""Rows that exist as Python strings at a time."""
_SPLIT_SEED = 0
_TEST_FRACTION = 0.2
_VAL_FRACTION = 0.2


def open_folder(folder: Path) -> Dataset:
    """Read `folder/manifest.csv` where there is one, and otherwise `folder/<class>/<clip>`.

    Files whose suffix is no video's, and names that begin with a dot, are passed over. Without a manifest no
    subject is known, so the clips are divided by class: see `divide`.

    Raises:
        UsageError: no clip found, or the table is unfit (see `_dataset.check`).
    """
    if (folder / MANIFEST).is_file():
        return open_manifest(folder / MANIFEST, name=folder.resolve().name)
    table = _Table()
    try:
        for clip in _clips(folder):
            path = clip.relative_to(folder).as_posix()
            path.encode()
            table.add(path, clip.parent.name, "", "")
    except UnicodeEncodeError:
        raise UsageError(f"the file name {path!r} in {str(folder)!r} is not UTF-8: rename the file") from None
    except OSError as error:
        raise UsageError(f"cannot read the folder {str(folder)!r} ({error}): permit reading it") from None
    if not len(table):
        raise UsageError(
            f"no clips in {str(folder)!r}: expected FOLDER/<class>/<clip> with a suffix like .mp4 or .avi, "
            f"or a {MANIFEST} with the columns path,label"
        )
    return table.dataset(folder.resolve().name, folder)


def _clips(folder: Path) -> Iterator[Path]:
    for group in sorted(folder.iterdir()):
        if group.is_dir() and not group.name.startswith("."):
            for clip in sorted(group.iterdir()):
                if clip.suffix.lower() in VIDEO_SUFFIXES and not clip.name.startswith("."):
                    yield clip


def open_manifest(manifest: Path, name: str | None = None) -> Dataset:
    """Read a CSV with the columns `path,label[,subject][,split]`; further columns are ignored.

    Paths are relative to the folder of the manifest and stay inside it. `split` is 'train', 'val' or 'test'; a data
    set without 'val' is fine. Where the column is missing, see `divide`.

    Args:
        name: what the data set is called; the stem of the file by default.

    Raises:
        UsageError: the file is no such table, with the number of the first bad line; or the table is unfit
            (see `_dataset.check`).
    """
    table = _Table()
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            for line, row in _rows(manifest, csv.reader(file, strict=True)):
                _add_row(table, f"{manifest.name}, line {line}", row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the manifest {str(manifest)!r} ({error}): expected CSV text in UTF-8") from None
    if not len(table):
        raise UsageError(f"the manifest {str(manifest)!r} lists no clip: add one line per clip below path,label")
    return table.dataset(name or manifest.stem, manifest.parent)


def _rows(manifest: Path, reader: Any) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and wanted columns of each row."""
    header = [column.strip() for column in next(reader, [])]
    for column in ("path", "label"):
        if header.count(column) != 1:
            raise UsageError(
                f"the manifest {str(manifest)!r} needs one column {column!r} but its first line has "
                f"{header.count(column)}: let it name the columns path,label[,subject][,split]"
            )
    wanted = {column: header.index(column) for column in ("path", "label", "subject", "split") if column in header}
    for row in reader:
        if row:
            if len(row) != len(header):
                raise UsageError(
                    f"{manifest.name}, line {reader.line_num}: {len(row)} columns, but the first line names "
                    f"{len(header)}: correct the line (a comma inside a value needs quotes)"
                )
            yield reader.line_num, {column: row[at].strip() for column, at in wanted.items()}


def _add_row(table: "_Table", where: str, row: dict[str, str]) -> None:
    path, label, split = row["path"], row["label"], row.get("split")
    windows = PureWindowsPath(path)  # splits at either slash, so it sees what any system would follow
    if not path or not label:
        raise UsageError(f"{where}: the {'label' if path else 'path'} is empty: fill it in or remove the line")
    if windows.anchor or ".." in windows.parts or "\0" in path:
        raise UsageError(f"{where}: the path {path!r} leaves the manifest's folder: give it relative to that folder")
    if split is not None and split not in SPLITS:
        near = [name for name in SPLITS if split.lower().startswith(name[:2])]
        hint = f"did you mean {near[0]!r}?" if near else "use train, val or test, or leave the column out"
        raise UsageError(f"{where}: unknown split {split!r}: {hint}")
    table.add(PurePosixPath(path).as_posix(), label, row.get("subject", ""), split or "")


@dataclass
class _Names:
    """Names in the order of their first appearance, and one id per row."""

    known: dict[str, int] = field(default_factory=dict)
    ids: "array[int]" = field(default_factory=lambda: array("i"))

    def add(self, name: str) -> None:
        self.ids.append(self.known.setdefault(name, len(self.known)))

    def sorted(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The names sorted, and for each row the position of its name among them; '' is no name: -1."""
        names = tuple(sorted(name for name in self.known if name))
        position = {name: i for i, name in enumerate(names)}
        renumber = np.array([position.get(name, -1) for name in self.known], dtype=np.int32)
        return names, renumber[np.frombuffer(self.ids, dtype=np.int32)]


@dataclass
class _Table:
    """Rows as they are read, kept as columns."""

    blocks: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    labels: _Names = field(default_factory=_Names)
    subjects: _Names = field(default_factory=_Names)
    splits: _Names = field(default_factory=_Names)

    def __len__(self) -> int:
        return len(self.labels.ids)

    def add(self, path: str, label: str, subject: str, split: str) -> None:
        self.paths.append(path)
        self.labels.add(label)
        self.subjects.add(subject)
        self.splits.add(split)
        if len(self.paths) == _BLOCK:
            self._pack()

    def _pack(self) -> None:
        self.blocks.append(strings(self.paths))
        self.paths.clear()

    def dataset(self, name: str, root: Path) -> Dataset:
        """Sort by path, divide where no split is given, check and fingerprint.

        Raises:
            UsageError: a path is listed twice, or the table is unfit.
        """
        self._pack()
        paths = np.concatenate(self.blocks)
        order = np.argsort(paths, kind="stable")
        paths = paths[order]
        if (twice := np.flatnonzero(paths[1:] == paths[:-1])).size:
            raise UsageError(f"data set {name!r} lists {paths[twice[0]]!r} twice: keep one of the lines")
        classes, labels = self.labels.sorted()
        subject_names, subjects = self.subjects.sorted()
        split_names, split_ids = self.splits.sorted()
        labels, subjects = labels[order], subjects[order]
        splits = np.array(split_names)[split_ids[order]] if split_names else divide(labels, subjects)
        print_of = fingerprint(root, classes, paths, labels, subjects, subject_names, splits)
        dataset = Dataset(
            name=name,
            root=root,
            classes=classes,
            paths=paths,
            labels=labels,
            subjects=subjects,
            subject_names=subject_names,
            splits=splits,
            flip_safe=False,
            fingerprint=print_of,
        )
        check(dataset)
        return dataset


def divide(labels: NDArray[np.int32], subjects: NDArray[np.int32]) -> NDArray[np.str_]:
    """Splits for data that has none: about 20 % test, then about 20 % of the rest val, whole subjects each.

    Where no subjects are named the clips are divided by class. A class with few clips or subjects may be missing
    from val, and from test only where a single subject shows it. The same on any machine.
    """
    splits = np.full(len(labels), "train", dtype="<U5")
    test = split_by_subject(labels, subjects, _TEST_FRACTION, _SPLIT_SEED)
    splits[test] = "test"
    rest = np.flatnonzero(~test)
    splits[rest[split_by_subject(labels[rest], subjects[rest], _VAL_FRACTION, _SPLIT_SEED)]] = "val"
    return splits
