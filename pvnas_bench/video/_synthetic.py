"""The embedded data set `synthetic_motion`: H.264 files, generated on first use.

Every frame is intra-coded with one quantiser, so a reversed clip decodes to the reversed frames: the encoding does not
reveal the direction of time.
"""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pvnas_bench.video import _pool, _scenes
from pvnas_bench.video._cache_dir import made_whole
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._description import open_folder
from pvnas_bench.video.layouts.manifest import MANIFEST

NAME = "synthetic_motion"
DESCRIPTION = (
    f"{len(_scenes.CLASSES)} classes of motion in pairs that differ only in the order of frames; "
    "generated on first use, split by subject"
)

_VERSION = 1
"""Version of the clips; increase it when any clip changes. Versions never share a leaderboard."""
_SEED = 7
_SUBJECTS = {"train": range(63), "val": range(63, 75), "test": range(75, 99)}
"""Number of subjects per split, each with one clip of every class: 1,008, 192 and 384 clips."""
_RATE = 15
"""Nominal frames per second; not used."""
_CODEC = {"preset": "veryfast", "qp": "22", "g": "1"}
_CLIP_SECONDS = 60.0


def open_synthetic(root: Path, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open the data set under `root`; generate it first if it does not exist.

    Raises:
        UsageError: the folder cannot be written.
        RuntimeError: a clip cannot be encoded.
    """
    identity = hashlib.sha256(json.dumps(_parameters(), sort_keys=True).encode()).hexdigest()
    target = root / f"{NAME}-v{_VERSION}-{identity[:8]}"
    if not target.is_dir():
        with made_whole(target) as scratch:
            _make(scratch, progress)
    return dataclasses.replace(open_folder(target), name=NAME, fingerprint=identity)


def _parameters() -> dict[str, Any]:
    """Everything that determines the clips, except the version of the encoder."""
    return {
        "name": NAME,
        "version": _VERSION,
        "seed": _SEED,
        "classes": _scenes.CLASSES,
        "size": _scenes.SIZE,
        "frames": _scenes.FRAMES,
        "subjects": {split: [numbers.start, numbers.stop] for split, numbers in _SUBJECTS.items()},
        "codec": _CODEC,
    }


def _make(folder: Path, progress: Callable[[int, int], None] | None) -> None:
    clips = [
        (split, {"pair": pair, "subject": subject})
        for split, subjects in _SUBJECTS.items()
        for subject in subjects
        for pair in range(len(_scenes.PAIRS))
    ]
    for name in _scenes.CLASSES:
        (folder / name).mkdir()
    jobs = [{"folder": str(folder.absolute()), "clip": clip} for _, clip in clips]
    answers = _pool.run("synthesise", jobs, workers=_pool.usable_cores(), timeout=_CLIP_SECONDS)
    for done, answer in enumerate(answers, start=1):
        if answer.error is not None:
            raise RuntimeError(f"cannot make the clips {jobs[answer.job]} of {NAME}: {answer.error}")
        if progress is not None:
            progress(2 * done, 2 * len(jobs))
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "subject", "split"])
        for split, clip in clips:
            for label in _scenes.PAIRS[clip["pair"]][:2]:
                writer.writerow([_path(label, clip["subject"]), label, f"s{clip['subject']:02d}", split])


def _path(label: str, subject: int) -> str:
    return f"{label}/s{subject:02d}.mp4"


def write_pair(folder: Path, pair: int, subject: int) -> None:
    """Render a scene, and encode it forwards and backwards as one clip of each class of the pair."""
    from pvnas_bench.video._encode import write_clip

    frames = _scenes.render(_SEED, pair, subject)
    for label, clip in zip(_scenes.PAIRS[pair][:2], (frames, frames[::-1]), strict=True):
        write_clip(folder / _path(label, subject), clip, _RATE, _CODEC)
