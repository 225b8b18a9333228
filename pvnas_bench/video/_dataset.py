"""The data set: a table of labelled clips, without their pixels."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video._recording import sample
from pvnas_bench.video._spec import Part

SPLITS = ("train", "val", "test")

_SAMPLED_FILES = 4096
_SAMPLED_BYTES = 4096
_RECORDINGS = b"recordings 1\n"
"""Changes whenever a recording would be shown as other pixels."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled clips in splits, as columns of equal length N, in the order of their paths.

    The columns hold no Python object per clip, so that a table of a million rows stays small.
    """

    name: str
    root: Path
    """The folder that `paths` are relative to."""
    classes: tuple[str, ...]
    """Class names, sorted; a label is a position in it."""
    paths: NDArray[Any]
    """(N,) relative POSIX paths, sorted, as numpy's variable-width strings."""
    labels: NDArray[np.int32]
    """(N,) positions in `classes`."""
    subjects: NDArray[np.int32]
    """(N,) positions in `subject_names`; -1 where the data names no subject."""
    subject_names: tuple[str, ...]
    """Whoever or whatever a clip shows (person, source video); whole subjects stay on one side of a split."""
    splits: NDArray[np.str_]
    """(N,) 'train', 'val' or 'test'."""
    flip_safe: bool
    """Whether mirroring a clip left to right keeps its label. False unless the data set says so."""
    fingerprint: str
    """Identifies the data; the same on any machine."""
    template: str = ""
    """Name of an image by its number, such as ``img_{:05d}.jpg``, where clips are folders of images; '' for files."""
    licence: str = ""
    """What the data may be used for, in the words of its description."""
    frames: NDArray[np.int32] | None = None
    """(N,) images that each folder holds, 0 where that is not known; None: known of none."""
    spans: NDArray[np.float64] | None = None
    """(N, 2) seconds, or rows of a recording, in which each clip begins and ends in its file; None: all are whole."""
    checksums: NDArray[np.uint8] | None = None
    """(N, 32) SHA-256 of each file, zeros where it is not known; None: known of none."""
    recordings: bool = False
    """Whether files are recordings of temperatures (`_recording`)."""

    def __post_init__(self) -> None:
        for column in (self.paths, self.labels, self.subjects, self.splits, self.frames, self.spans, self.checksums):
            if column is not None:
                column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> Path:
        """Where clip `index` lies."""
        return self.root / str(self.paths[index])

    def part(self, index: int) -> Part:
        """Which frames of its file or folder clip `index` is."""
        start, end = (0.0, np.inf) if self.spans is None else self.spans[index].tolist()
        digest = b"" if self.checksums is None else self.checksums[index].tobytes()
        return Part(
            start=start,
            end=end,
            template=self.template,
            frames=0 if self.frames is None else int(self.frames[index]),
            sha256=digest.hex() if any(digest) else "",
            recording=self.recordings,
        )

    def counts(self) -> dict[str, int]:
        """Clips per split, for the splits that have any."""
        return {split: n for split in SPLITS if (n := int(np.count_nonzero(self.splits == split)))}


def check(dataset: Dataset) -> None:
    """Refuse a table from which nothing can be learned or nothing tested.

    Raises:
        UsageError: fewer than two classes, a class with one clip, no train or test clip, a class absent from train.
    """
    if len(dataset.classes) < 2:
        raise UsageError(
            f"data set {dataset.name!r} has the single class {dataset.classes[0]!r}: add clips of a second class"
        )
    per_class = np.bincount(dataset.labels, minlength=len(dataset.classes))
    if (per_class < 2).any():
        name = dataset.classes[int(per_class.argmin())]
        raise UsageError(
            f"class {name!r} of data set {dataset.name!r} has one clip, so it cannot be both learned and tested: "
            "add clips of it or remove the class"
        )
    for split in ("train", "test"):
        if not (dataset.splits == split).any():
            raise UsageError(
                f"data set {dataset.name!r} has no clip in split {split!r}: mark some clips {split!r}, "
                "or leave the column 'split' out to have the clips divided by subject"
            )
    in_train = np.bincount(dataset.labels[dataset.splits == "train"], minlength=len(dataset.classes))
    if (in_train == 0).any():
        name = dataset.classes[int(in_train.argmin())]
        raise UsageError(
            f"class {name!r} of data set {dataset.name!r} has no clip in split 'train': "
            "move clips of it there or remove the class"
        )


def with_fingerprint(dataset: Dataset) -> Dataset:
    """The data set with a hash of what is in it, wherever it lies.

    Every row counts with its path, class, subject, split and file size (-1 for a missing file); of at most 4,096
    files, evenly spread over the table, the first and last 4 KiB count too, and of folders of images the name and size
    of each. A change that keeps the size and those bytes goes unnoticed: reading every byte of a large data set at
    every start would cost more than decoding it. Time ranges, checksums, and whether clips may be mirrored count where
    there are any. Of recordings the first and the last lines count instead of size and bytes, so that it does not
    matter what ends a line.
    """
    digest = hashlib.sha256(b"pvnas_bench clips 1\n")
    rows = len(dataset)
    extras = (dataset.frames, dataset.spans, dataset.checksums)
    sampled = set(np.unique(np.linspace(0, rows - 1, _SAMPLED_FILES).astype(np.int64)).tolist())
    for row, path in enumerate(dataset.paths):
        subject = dataset.subject_names[dataset.subjects[row]] if dataset.subjects[row] >= 0 else ""
        size, content = _look_at(dataset, path, row in sampled)
        for field in (path, dataset.classes[dataset.labels[row]], subject, str(dataset.splits[row]), str(size)):
            digest.update(field.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.sha256(content).digest())
        for column in extras:
            if column is not None:
                digest.update(column[row].tobytes())
    if dataset.template or dataset.flip_safe:
        digest.update(f"{dataset.template}\0{dataset.flip_safe}".encode())
    if dataset.recordings:
        digest.update(_RECORDINGS)
    return replace(dataset, fingerprint=digest.hexdigest())


def _look_at(dataset: Dataset, name: str, read: bool) -> tuple[int, bytes]:
    """Size of a file (-1: cannot be read; 0 for a folder, and a recording), and what shows its content if asked for."""
    path = dataset.root / name
    try:
        if dataset.template:
            return _look_into(path, read)
        if not path.is_file():
            return -1, b""
        if dataset.recordings:
            return 0, sample(path) if read else b""
        size = path.stat().st_size
        if not read:
            return size, b""
        with path.open("rb") as file:
            head = file.read(_SAMPLED_BYTES)
            file.seek(max(size - _SAMPLED_BYTES, 0))
            return size, head + file.read(_SAMPLED_BYTES)
    except OSError:
        return -1, b""


def _look_into(folder: Path, read: bool) -> tuple[int, bytes]:
    if not folder.is_dir():
        return -1, b""
    if not read:
        return 0, b""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.stat().st_size) for entry in entries)
    return 0, repr(found).encode("utf-8", "surrogateescape")


def strings(values: Sequence[str]) -> NDArray[Any]:
    """A compact variable-width string column."""
    return np.array(values, dtype=np.dtypes.StringDType())
