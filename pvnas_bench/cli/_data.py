"""The command `data prepare`."""

import json
import sys

from pvnas_bench.cli import INTERRUPTED, OK, _progress
from pvnas_bench.protocol import get_protocol
from pvnas_bench.video import CacheSpec, ClipStore, open_dataset
from pvnas_bench.video import prepare as decode


def decoded(name: str, protocol: str) -> ClipStore:
    """The clips of a data set as a protocol needs them, decoded before or now, with progress on standard error.

    Raises:
        UsageError: no such data set or protocol, or the data is unfit.
    """
    settings = get_protocol(protocol)
    spec = CacheSpec(settings.cache_size, settings.cache_frames, settings.fit)
    with _progress.display() as display:

        def progress(done: int, total: int) -> None:
            display.show("clips", done, total, f"{done:,} of {total:,} made ready")

        return decode(open_dataset(name, progress=progress), spec, progress=progress)


def prepare(name: str, protocol: str, *, as_json: bool) -> int:
    """Decode a data set's clips as a protocol needs them, and say what it holds.

    Raises:
        UsageError: no such data set or protocol, or the data is unfit.
    """
    try:
        store = decoded(name, protocol)
    except KeyboardInterrupt:
        print("interrupted: what was made so far is thrown away", file=sys.stderr)
        return INTERRUPTED
    clips = {split: len(store.indices(split)) for split in ("train", "val", "test")}
    if as_json:
        about = {
            "name": store.dataset.name,
            "fingerprint": store.dataset.fingerprint,
            "classes": list(store.classes),
            "clips": clips,
            "skipped": list(store.skipped),
        }
        print(json.dumps(about, ensure_ascii=False))
        return OK
    counts = ", ".join(f"{count} {split}" for split, count in clips.items())
    print(f"{store.dataset.name}: {len(store.classes)} classes, {len(store)} clips ({counts}) ready")
    for clip in store.skipped:
        print(f"left out {clip['path']}: {clip['reason']}")
    return OK
