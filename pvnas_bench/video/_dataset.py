"""Data sets: tables of labelled clips, without pixels."""

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
"""Version of the conversion of recordings to pixels; increase it when pixels change."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled clips with their splits, as columns of equal length N, sorted by path.

    The columns hold no Python object per clip, so that a table of a million rows stays small.
    """

    name: str
    root: Path
    """Folder that `paths` are relative to."""
    classes: tuple[str, ...]
    """Class names, sorted; labels are indices into it."""
    paths: NDArray[Any]
    """(N,) relative POSIX paths, sorted, as numpy's variable-width strings."""
    labels: NDArray[np.int32]
    """(N,) indices into `classes`."""
    subjects: NDArray[np.int32]
    """(N,) indices into `subject_names`; -1: no subject."""
    subject_names: tuple[str, ...]
    """Names of the subjects (person or source video); all clips of a subject belong to one split."""
    splits: NDArray[np.str_]
    """(N,) 'train', 'val' or 'test'."""
    flip_safe: bool
    """True if mirroring a clip left to right keeps its label."""
    fingerprint: str
    """Hash of the data, equal on all machines."""
    template: str = ""
    """Template of image names in clips that are folders, such as ``img_{:05d}.jpg``; '' if clips are files."""
    licence: str = ""
    """Licence of the data, as its description states it."""
    frames: NDArray[np.int32] | None = None
    """(N,) number of images in each folder, 0: unknown; None: all unknown."""
    spans: NDArray[np.float64] | None = None
    """(N, 2) start and end of each clip in its file, in seconds or rows of a recording; None: all are whole files."""
    checksums: NDArray[np.uint8] | None = None
    """(N, 32) SHA-256 of each file, zeros: unknown; None: all unknown."""
    recordings: bool = False
    """True if files are recordings of temperatures (`_recording`)."""

    def __post_init__(self) -> None:
        for column in (self.paths, self.labels, self.subjects, self.splits, self.frames, self.spans, self.checksums):
            if column is not None:
                column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> Path:
        """Path of clip `index`."""
        return self.root / str(self.paths[index])

    def part(self, index: int) -> Part:
        """Part of its file or folder that clip `index` consists of."""
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
        """Number of clips of each split that is not empty."""
        return {split: n for split in SPLITS if (n := int(np.count_nonzero(self.splits == split)))}


def check(dataset: Dataset) -> None:
    """Check that a network can be trained and tested on the data set.

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
            f"class {name!r} of data set {dataset.name!r} has only one clip, so it cannot be in both train and test: "
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
    """Add the fingerprint: a hash of the data set's contents, independent of its location.

    It covers every row's path, class, subject, split and file size (-1 for a missing file), and time ranges, checksums
    and `flip_safe` where set. For at most 4,096 files, evenly spread over the table, it also covers the first and last
    4 KiB, or the names and sizes of a folder's images. Other changes that keep a file's size go unnoticed: reading
    every byte of a large data set at every start would cost more than decoding it. For recordings it covers the first
    and last lines instead of size and bytes, so that line endings do not matter.
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
    """Size of a file (-1: unreadable; 0: folder or recording), and a sample of its content if requested."""
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
        images = sorted((entry.name, entry.stat().st_size) for entry in entries)
    return 0, repr(images).encode("utf-8", "surrogateescape")


def strings(values: Sequence[str]) -> NDArray[Any]:
    """Make a compact column of variable-width strings."""
    return np.array(values, dtype=np.dtypes.StringDType())
