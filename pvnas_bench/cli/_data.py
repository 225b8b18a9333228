"""The commands `data prepare`, `data verify` and `data show`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _progress
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import get_protocol
from pvnas_bench.system.text import counted
from pvnas_bench.video import CacheSpec, ClipStore, DiskNeed, open_dataset, write_sheets
from pvnas_bench.video import prepare as decode
from pvnas_bench.video import verify as examine


def decoded(name: str, protocol: str, **options: Any) -> ClipStore:
    """Open the clips of a data set for a protocol, decoding those not in the cache, with progress on standard error.

    Args:
        options: options of `video.prepare`.

    Raises:
        UsageError: the data set or the protocol does not exist, or the data is unsuitable.
    """
    settings = get_protocol(protocol)
    spec = CacheSpec(settings.cache_size, settings.cache_frames, settings.fit)
    with _progress.display() as display:

        def progress(done: int, total: int) -> None:
            display.show("clips", done, total, f"{done:,} of {total:,} prepared")

        def making(done: int, total: int) -> None:
            display.show("making clips", done, total, f"{done:,} of {total:,} drawn and encoded")

        return decode(open_dataset(name, progress=making), spec, progress=progress, **options)


def prepare(name: str, protocol: str, *, workers: int | None, tolerated: float, as_json: bool) -> int:
    """Decode a data set's clips for a protocol, and print a summary.

    Raises:
        UsageError: the data set or the protocol does not exist, the data is unsuitable for a search, or the disk is too
            small.
    """
    from pvnas_bench.runs.clips import search_splits

    def announce(need: DiskNeed) -> None:
        print(f"the cache needs {need}", file=sys.stderr)

    try:
        store = decoded(name, protocol, workers=workers, tolerated=tolerated, announce=announce)
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return INTERRUPTED
    search_splits(store, get_protocol(protocol))  # raises UsageError if a class cannot be split
    clips = {split: len(store.indices(split)) for split in ("train", "val", "test")}
    if as_json:
        about = {
            "name": store.dataset.name,
            "fingerprint": store.dataset.fingerprint,
            "licence": store.dataset.licence,
            "classes": list(store.classes),
            "clips": clips,
            "skipped": list(store.skipped),
        }
        print(json.dumps(about, ensure_ascii=False))
        return OK
    counts = ", ".join(f"{count} {split}" for split, count in clips.items())
    print(
        f"{store.dataset.name}: {counted(len(store.classes), 'class')}, {counted(len(store), 'clip')} ({counts}) ready"
    )
    if store.dataset.licence:
        print(f"licence: {store.dataset.licence}")
    for clip in store.skipped:
        print(f"left out {clip['path']}: {clip['reason']}")
    return OK


def verify(name: str, *, min_frames: int, workers: int | None, as_json: bool) -> int:
    """Decode every clip and print the defects; the exit code is 1 if there are any.

    Raises:
        UsageError: the data set does not exist, or is unsuitable.
    """
    dataset = open_dataset(name)
    with _progress.display() as display:

        def progress(done: int, total: int) -> None:
            display.show("clips", done, total, f"{done:,} of {total:,} examined")

        defects = examine(dataset, min_frames=min_frames, workers=workers, progress=progress)
    if as_json:
        print(json.dumps({"name": dataset.name, **asdict(defects)}, ensure_ascii=False))
        return FAILED if defects else OK
    for path in defects.missing:
        print(f"missing {path}")
    for path, reason in defects.corrupt:
        print(f"corrupt {path}: {reason}")
    for path, frames in defects.too_short:
        print(f"too short {path}: {frames} frame{'s' * (frames > 1)}")
    for group in defects.duplicates:
        print(f"duplicate {' = '.join(group)}")
    for leak in defects.leaks:
        print(f"leak {' = '.join(f'{path} ({split})' for path, split in leak)}")
    for subject, splits in defects.shared_subjects:
        print(f"leak subject {subject}: in {' and '.join(splits)}")
    counts = {
        "missing": len(defects.missing),
        "corrupt": len(defects.corrupt),
        "too short": len(defects.too_short),
        "duplicate": len(defects.duplicates),
        "leaking": len(defects.leaks) + len(defects.shared_subjects),
    }
    print(f"{dataset.name}: {counted(defects.clips, 'clip')}, {', '.join(f'{n} {what}' for what, n in counts.items())}")
    return FAILED if defects else OK


def show(name: str, output: Path, classes: Sequence[str], *, clips: int, frames: int) -> int:
    """Write contact sheets of a data set's classes, and print the path of each file.

    Raises:
        UsageError: the data set or a class does not exist, or the folder cannot be written.
    """
    dataset = open_dataset(name)
    for unknown in (label for label in classes if label not in dataset.classes):
        raise UsageError(f"{dataset.name} has no class {unknown!r}: it has {', '.join(dataset.classes[:20])}")
    labels = [dataset.classes.index(label) for label in classes or dataset.classes]
    try:
        paths = write_sheets(dataset, output, labels, clips=clips, frames=frames)
    except OSError as error:
        raise UsageError(f"cannot write to {str(output)!r} ({error.strerror}): choose another --output") from None
    for path in paths:
        print(path)
    return OK
