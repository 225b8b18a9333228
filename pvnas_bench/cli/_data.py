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
    """The clips of a data set as a protocol needs them, decoded before or now, with progress on standard error.

    Args:
        options: of `video.prepare`.

    Raises:
        UsageError: no such data set or protocol, or the data is unfit.
    """
    settings = get_protocol(protocol)
    spec = CacheSpec(settings.cache_size, settings.cache_frames, settings.fit)
    with _progress.display() as display:

        def progress(done: int, total: int) -> None:
            display.show("clips", done, total, f"{done:,} of {total:,} made ready")

        def making(done: int, total: int) -> None:
            display.show("making clips", done, total, f"{done:,} of {total:,} drawn and encoded")

        return decode(open_dataset(name, progress=making), spec, progress=progress, **options)


def prepare(name: str, protocol: str, *, workers: int | None, tolerated: float, as_json: bool) -> int:
    """Decode a data set's clips as a protocol needs them, and say what it holds.

    Raises:
        UsageError: no such data set or protocol, the data is unfit for a search, or the disk is too small.
    """
    from pvnas_bench.runs.clips import search_splits

    def announce(need: DiskNeed) -> None:
        print(f"the cache needs {need}", file=sys.stderr)

    try:
        store = decoded(name, protocol, workers=workers, tolerated=tolerated, announce=announce)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    search_splits(store, get_protocol(protocol))  # refuses what no search could be made on
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
    """Decode every clip and print what is wrong; the exit code says whether anything is.

    Raises:
        UsageError: no such data set, or the data is unfit.
    """
    dataset = open_dataset(name)
    with _progress.display() as display:

        def progress(done: int, total: int) -> None:
            display.show("clips", done, total, f"{done:,} of {total:,} examined")

        found = examine(dataset, min_frames=min_frames, workers=workers, progress=progress)
    if as_json:
        print(json.dumps({"name": dataset.name, **asdict(found)}, ensure_ascii=False))
        return FAILED if found else OK
    for path in found.missing:
        print(f"missing {path}")
    for path, reason in found.corrupt:
        print(f"corrupt {path}: {reason}")
    for path, frames in found.too_short:
        print(f"too short {path}: {frames} frame{'s' * (frames > 1)}")
    for group in found.duplicates:
        print(f"duplicate {' = '.join(group)}")
    for leak in found.leaks:
        print(f"leak {' = '.join(f'{path} ({split})' for path, split in leak)}")
    for subject, splits in found.shared_subjects:
        print(f"leak subject {subject}: in {' and '.join(splits)}")
    counts = {
        "missing": len(found.missing),
        "corrupt": len(found.corrupt),
        "too short": len(found.too_short),
        "duplicate": len(found.duplicates),
        "leaking": len(found.leaks) + len(found.shared_subjects),
    }
    print(f"{dataset.name}: {counted(found.clips, 'clip')}, {', '.join(f'{n} {what}' for what, n in counts.items())}")
    return FAILED if found else OK


def show(name: str, output: Path, classes: Sequence[str], *, clips: int, frames: int) -> int:
    """Write contact sheets of a data set's classes, and print the path of each file.

    Raises:
        UsageError: no such data set or class, or the folder cannot be written.
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
