"""The command `report`."""

import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from pvnas_bench.boards.report import Clips, Thumbnail, thumbnail, write
from pvnas_bench.cli import OK, _data, _results

CLIPS = 12
"""Largest number of clips shown of a data set, one per class."""


def report(results: Path, output: Path, datasets: Sequence[str], *, reference: bool) -> int:
    """Write the report of the records and print its path.

    Raises:
        UsageError: no record in the folder, an unknown data set, or a file that cannot be written.
    """
    records, unreadable = _results.load(results, reference=reference, detail="curves", or_published=True)
    clips = _clips(datasets, {record.data.fingerprint for record in records}) if datasets else None
    with _results.writing(output):
        write(output, records, unreadable, thumbnails=clips)
    print(output)
    return OK


def _clips(datasets: Iterable[str], known: Collection[str]) -> Clips:
    """Return a function from a record to test clips of its data set.

    Args:
        known: fingerprints of the runs' data sets; other data sets are reported on standard error.
    """
    shown: dict[str, list[Thumbnail]] = {}
    for name in datasets:
        store = _data.decoded(name, "quick")
        if store.dataset.fingerprint not in known:
            print(f"clips of {name} not shown: no run is on that data set", file=sys.stderr)
        test = store.indices("test")
        _, first = np.unique(store.labels[test], return_index=True)
        shown[store.dataset.fingerprint] = [
            thumbnail(store.frames(index), store.classes[store.labels[index]]) for index in test[first[:CLIPS]]
        ]
    return lambda record: shown.get(record.data.fingerprint, ())
