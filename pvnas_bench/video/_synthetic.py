"""The embedded data sets, `synthetic_motion` and others: H.264 files, generated on first use.

Every frame is intra-coded with one quantiser, so a reversed clip decodes to the reversed frames: the encoding does not
reveal the direction of time.
"""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video import _activities, _pool, _scenes
from pvnas_bench.video._cache_dir import made_whole
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._description import open_folder
from pvnas_bench.video.layouts.manifest import MANIFEST


@dataclass(frozen=True)
class _Kind:
    """An embedded data set.

    Attributes:
        version: of the clips; increase it when any clip changes. Versions never share a leaderboard.
        pairs: the two classes of each pair.
        frames: fewest and most of a clip.
        rate: nominal frames per second; not used.
        render: renders a clip of the first class of a pair (seed, pair, subject).
        subjects: numbers of the subjects of each split, each with one clip of every class.
    """

    name: str
    description: str
    version: int
    pairs: tuple[tuple[str, str], ...]
    frames: tuple[int, int]
    rate: int
    render: Callable[[int, int, int], NDArray[np.uint8]]
    subjects: Mapping[str, range]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name for pair in self.pairs for name in pair)


_SUBJECTS = {"train": range(63), "val": range(63, 75), "test": range(75, 99)}
_KINDS = {
    kind.name: kind
    for kind in (
        _Kind(
            "synthetic_motion",
            f"{len(_scenes.CLASSES)} classes of motion in pairs that differ only in the order of frames; "
            "generated on first use, split by subject",
            1,
            tuple((first, second) for first, second, _ in _scenes.PAIRS),
            _scenes.FRAMES,
            15,
            _scenes.render,
            _SUBJECTS,
        ),
        _Kind(
            "synthetic_motion_v2",
            "the classes of synthetic_motion, shown by bright objects on a dark ground, in clips from easy to hard: "
            "trainings learn from their first epochs on",
            2,
            tuple((first, second) for first, second, _ in _scenes.PAIRS),
            _scenes.FRAMES,
            15,
            _scenes.render_graded,
            {**_SUBJECTS, "test": range(75, 123)},
        ),
        _Kind(
            "synthetic_activities",
            f"{len(_activities.CLASSES)} classes of activities of a minute, in pairs that differ only in the order of "
            "parts far apart; generated on first use, split by subject",
            1,
            _activities.PAIRS,
            _activities.FRAMES,
            _activities.RATE,
            _activities.render,
            _SUBJECTS,
        ),
    )
}
DESCRIPTIONS = {name: kind.description for name, kind in _KINDS.items()}
"""The embedded data sets."""

_SEED = 7
_CODEC = {"preset": "veryfast", "qp": "22", "g": "1"}
_CLIP_SECONDS = 60.0


def open_synthetic(name: str, root: Path, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open an embedded data set under `root`; generate it first if it does not exist.

    Raises:
        UsageError: the folder cannot be written.
        RuntimeError: a clip cannot be encoded.
    """
    kind, identity = _KINDS[name], fingerprint(name)
    target = root / f"{name}-v{kind.version}-{identity[:8]}"
    if not target.is_dir():
        with made_whole(target) as scratch:
            _make(kind, scratch, progress)
    return dataclasses.replace(open_folder(target), name=name, fingerprint=identity)


def fingerprint(name: str) -> str:
    """Fingerprint of an embedded data set, which need not have been generated."""
    return hashlib.sha256(json.dumps(_parameters(_KINDS[name]), sort_keys=True).encode()).hexdigest()


def _parameters(kind: _Kind) -> dict[str, Any]:
    """Everything that determines the clips, except the version of the encoder."""
    return {
        "name": kind.name,
        "version": kind.version,
        "seed": _SEED,
        "classes": kind.classes,
        "size": _scenes.SIZE,
        "frames": kind.frames,
        "subjects": {split: [numbers.start, numbers.stop] for split, numbers in kind.subjects.items()},
        "codec": _CODEC,
    }


def _make(kind: _Kind, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    clips = [
        (split, {"pair": pair, "subject": subject})
        for split, subjects in kind.subjects.items()
        for subject in subjects
        for pair in range(len(kind.pairs))
    ]
    for name in kind.classes:
        (folder / name).mkdir()
    jobs = [{"folder": str(folder.absolute()), "clip": {"name": kind.name, **clip}} for _, clip in clips]
    answers = _pool.run("synthesise", jobs, workers=_pool.usable_cores(), timeout=_CLIP_SECONDS)
    for done, answer in enumerate(answers, start=1):
        if answer.error is not None:
            raise RuntimeError(f"cannot make the clips {jobs[answer.job]} of {kind.name}: {answer.error}")
        if progress is not None:
            progress(2 * done, 2 * len(jobs))
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "subject", "split"])
        for split, clip in clips:
            for label in kind.pairs[clip["pair"]]:
                writer.writerow([_path(label, clip["subject"]), label, f"s{clip['subject']:02d}", split])


def _path(label: str, subject: int) -> str:
    return f"{label}/s{subject:02d}.mp4"


def write_pair(folder: Path, name: str, pair: int, subject: int) -> None:
    """Render a scene, and encode it forwards and backwards as one clip of each class of the pair."""
    from pvnas_bench.video._encode import write_clip

    kind = _KINDS[name]
    frames = kind.render(_SEED, pair, subject)
    for label, clip in zip(kind.pairs[pair], (frames, frames[::-1]), strict=True):
        write_clip(folder / _path(label, subject), clip, kind.rate, _CODEC)
