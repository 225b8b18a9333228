"""Compact table that the layouts' readers fill row by row."""

import unicodedata
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video._dataset import Dataset, check, strings, with_fingerprint
from pvnas_bench.video._images import find_template
from pvnas_bench.video._splits import split_by_subject

_BLOCK = 8192
"""Maximum number of rows held as Python strings."""
_SPLIT_SEED = 0
_TEST_FRACTION = 0.2
_VAL_FRACTION = 0.2
_LOOKED_AT = 64
"""Rows to search for an existing clip, to detect folders of images."""


class Row(NamedTuple):
    """A labelled clip from a layout's reader.

    Attributes:
        path: path relative to the data set's folder, with slashes.
        subject: person or source video; '': none.
        split: 'train', 'val' or 'test'; '' in all rows if the data has no splits.
        frames: number of images in the folder; 0: unknown.
        start, end: start and end of the clip in its file, in seconds; in rows, end excluded, for a recording.
        sha256: SHA-256 of the file, hexadecimal; '': unknown.
    """

    path: str
    label: str
    subject: str = ""
    split: str = ""
    frames: int = 0
    start: float = 0.0
    end: float = float("inf")
    sha256: str = ""


@dataclass
class _Names:
    """Names in the order of their first appearance, and one id per row."""

    known: dict[str, int] = field(default_factory=dict)
    ids: "array[int]" = field(default_factory=lambda: array("i"))

    def add(self, name: str) -> None:
        self.ids.append(self.known.setdefault(name, len(self.known)))

    def sorted(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """Sorted names, and the index of each row's name, -1 for ''.

        Names that differ only in Unicode normalisation, as between macOS and other systems, count as equal.
        """
        composed = {name: unicodedata.normalize("NFC", name) for name in self.known}
        counts = Counter(composed.values())
        spelling = {name: form if counts[form] > 1 else name for name, form in composed.items()}
        names = tuple(sorted({name for name in spelling.values() if name}))
        position = {name: i for i, name in enumerate(names)}
        renumber = np.array([position.get(spelling[name], -1) for name in self.known], dtype=np.int32)
        return names, renumber[np.frombuffer(self.ids, dtype=np.int32)]


@dataclass
class Table:
    """Table of rows, stored as columns of numbers and packed strings."""

    blocks: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    labels: _Names = field(default_factory=_Names)
    subjects: _Names = field(default_factory=_Names)
    splits: _Names = field(default_factory=_Names)
    # Optional columns stay empty while no row has a value.
    frames: "array[int]" = field(default_factory=lambda: array("i"))
    spans: "array[float]" = field(default_factory=lambda: array("d"))
    checksums: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.labels.ids)

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            ValueError: the checksum is not hexadecimal.
        """
        before = len(self)
        if row.frames or self.frames:
            self.frames.extend([0] * (before - len(self.frames)))
            self.frames.append(row.frames)
        if row.start or row.end != float("inf") or self.spans:
            self.spans.extend([0.0, float("inf")] * (before - len(self.spans) // 2))
            self.spans.extend((row.start, row.end))
        if row.sha256 or self.checksums:
            digest = bytes.fromhex(row.sha256) if row.sha256 else bytes(32)
            if len(digest) != 32:
                raise ValueError(f"{row.sha256!r} is not a SHA-256")
            self.checksums.extend(bytes(32 * (before - len(self.checksums) // 32)))
            self.checksums.extend(digest)
        self.paths.append(row.path)
        self.labels.add(row.label)
        self.subjects.add(row.subject)
        self.splits.add(row.split)
        if len(self.paths) == _BLOCK:
            self._pack()

    def _pack(self) -> None:
        self.blocks.append(strings(self.paths))
        self.paths.clear()

    def dataset(
        self,
        name: str,
        root: Path,
        *,
        template: str = "",
        flip_safe: bool = False,
        licence: str = "",
        recordings: bool = False,
    ) -> Dataset:
        """Sort the rows by path, split them if they name no splits, check and fingerprint the data set.

        Raises:
            UsageError: a path is listed twice, or the data set is unusable (see `check`).
        """
        self._pack()
        paths = np.concatenate(self.blocks)
        self.blocks.clear()
        spans = np.array(self.spans, dtype=np.float64).reshape(-1, 2) if self.spans else None
        if spans is None:
            order = np.argsort(paths, kind="stable")
        else:
            by_start = np.argsort(spans[:, 0], kind="stable")
            order = by_start[np.argsort(paths[by_start], kind="stable")]
        paths = paths[order]
        spans = None if spans is None else spans[order]
        _refuse_twice(name, paths, spans)
        classes, labels = self.labels.sorted()
        subject_names, subjects = self.subjects.sorted()
        split_names, split_ids = self.splits.sorted()
        labels, subjects = labels[order], subjects[order]
        splits = np.array(split_names)[split_ids[order]] if split_names else divide(labels, subjects)
        template = "" if recordings else template or _template(root, paths)
        frames = np.array(self.frames, dtype=np.int32)[order] if self.frames and template else None
        checksums = np.frombuffer(bytes(self.checksums), np.uint8).reshape(-1, 32)[order] if self.checksums else None
        dataset = Dataset(
            name=name,
            root=root,
            classes=classes,
            paths=paths,
            labels=labels,
            subjects=subjects,
            subject_names=subject_names,
            splits=splits,
            flip_safe=flip_safe,
            fingerprint="",
            template=template,
            licence=licence,
            frames=frames,
            spans=spans,
            checksums=checksums,
            recordings=recordings,
        )
        check(dataset)
        return with_fingerprint(dataset)


def _refuse_twice(name: str, paths: NDArray[Any], spans: NDArray[np.float64] | None) -> None:
    """Refuse a clip that is listed twice; different parts of one file are different clips."""
    same = paths[1:] == paths[:-1]
    if spans is not None:
        same &= (spans[1:] == spans[:-1]).all(axis=1)
    if (twice := np.flatnonzero(same)).size:
        raise UsageError(f"data set {name!r} lists {paths[twice[0]]!r} twice: keep one of the lines")


def _template(root: Path, paths: NDArray[Any]) -> str:
    """Template of image names if the first existing clip is a folder of images, else ''."""
    for path in paths[:_LOOKED_AT]:
        clip = root / path
        try:
            if clip.is_dir():
                return find_template(clip)
            if clip.exists():
                return ""
        except OSError:
            continue
    return ""


def divide(labels: NDArray[np.int32], subjects: NDArray[np.int32]) -> NDArray[np.str_]:
    """Split clips by subject: about 20 % test, then about 20 % of the rest val.

    Without subjects, the split is stratified by class. A class with few clips or subjects may be missing from val, and
    from test only if it has a single subject. The result is equal on all machines.
    """
    splits = np.full(len(labels), "train", dtype="<U5")
    test = split_by_subject(labels, subjects, _TEST_FRACTION, _SPLIT_SEED)
    splits[test] = "test"
    rest = np.flatnonzero(~test)
    splits[rest[split_by_subject(labels[rest], subjects[rest], _VAL_FRACTION, _SPLIT_SEED)]] = "val"
    return splits
