"""The clips of a run: opened for a protocol, and restricted to a search's view."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import Protocol
from pvnas_bench.runs.observer import Observer
from pvnas_bench.video import CacheSpec, ClipStore, open_dataset, prepare, split_by_subject

if TYPE_CHECKING:
    from pvnas_bench.problem import SearchSplit


def open_clips(
    dataset: str, protocol: Protocol, cache: Path | None, observer: Observer, *, cached: bool = True
) -> ClipStore:
    """The clips of a data set as a protocol needs them: decoded before or now, or checked as readable.

    Raises:
        UsageError: the data set does not exist or is unsuitable.
    """
    opened = open_dataset(dataset, cache_dir=cache, progress=observer.making)
    spec = CacheSpec(protocol.cache_size, protocol.cache_frames, protocol.fit)
    return prepare(opened, spec, cache_dir=cache, progress=observer.preparing, cached=cached)


def data_entry(store: ClipStore) -> records.DataEntry:
    """Data entry of a record or a table."""
    dataset = store.dataset
    return records.DataEntry(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        clips={split: len(store.indices(split)) for split in ("train", "val", "test")},
        skipped=store.skipped,
    )


def search_splits(store: ClipStore, protocol: Protocol) -> "dict[SearchSplit, Any]":
    """Divide the train split into search-train and search-val, by subject: the same for every seed and strategy.

    Raises:
        UsageError: a class would be missing from one of them.
    """
    indices = store.indices("train")
    held_out = split_by_subject(store.labels[indices], store.subjects[indices], protocol.search_val_fraction, seed=0)
    splits: dict[SearchSplit, Any] = {"train": indices[~held_out], "val": indices[held_out]}
    for part in splits.values():
        missing = np.setdiff1d(np.arange(len(store.classes)), store.labels[part])
        if missing.size:
            raise UsageError(_indivisible(store, int(missing[0])))
    return splits


def _indivisible(store: ClipStore, label: int) -> str:
    """Why a class cannot be divided, and the remedy."""
    clips = store.indices("train")
    clips = clips[store.labels[clips] == label]
    named = set(store.subjects[clips].tolist()) - {-1}
    alone = len(clips) > 1 and len(named) == 1
    has = f"all {len(clips)} of its clips there are of one subject" if alone else f"it has {len(clips)} clip there"
    more = "clips of a second subject" if alone else "clips of it, or mark more of them 'train'"
    return (
        f"class {store.classes[label]!r} of {store.dataset.name!r} cannot be both trained and validated in a search, "
        f"which divides the split 'train': {has}; add {more}, or remove the class"
    )


def search_view(store: ClipStore, protocol: Protocol) -> "tuple[ClipStore, dict[SearchSplit, Any]]":
    """The clips visible to a search, and the search splits as positions among them."""
    splits = search_splits(store, protocol)
    visible = np.concatenate([splits["train"], splits["val"]])
    cut = len(splits["train"])
    return store.subset(visible), {"train": np.arange(cut), "val": np.arange(cut, len(visible))}
