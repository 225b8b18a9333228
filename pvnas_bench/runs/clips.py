"""The clips of a run: opening them for a protocol, and restricting them to those visible to a search."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import Protocol
from pvnas_bench.runs.observer import Observer
from pvnas_bench.system.text import counted
from pvnas_bench.video import CacheSpec, ClipStore, open_dataset, prepare, split_by_subject

if TYPE_CHECKING:
    from pvnas_bench.problem import SearchSplit


def open_clips(
    dataset: str, protocol: Protocol, cache: Path | None, observer: Observer, *, cached: bool = True
) -> ClipStore:
    """Open the clips of a data set for a protocol; those missing in the cache are decoded first.

    Args:
        cached: False decodes clips when they are used instead; here they are only checked.

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
    """Split the train clips into search-train and search-val, by subject; the same for every seed and strategy.

    Raises:
        UsageError: a class would be missing in one of them.
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
    """Message for a class that cannot be split: the reason and the remedy."""
    clips = store.indices("train")
    clips = clips[store.labels[clips] == label]
    named = set(store.subjects[clips].tolist()) - {-1}
    alone = len(clips) > 1 and len(named) == 1
    has = f"all {len(clips)} of its clips show one subject" if alone else f"it has {counted(len(clips), 'clip')}"
    more = "clips of a second subject" if alone else "clips of this class, or move some to the split 'train'"
    return (
        f"class {store.classes[label]!r} of {store.dataset.name!r} cannot be in both search-train and search-val: "
        f"in the split 'train' {has}; add {more}, or remove the class"
    )


def search_view(store: ClipStore, protocol: Protocol) -> "tuple[ClipStore, dict[SearchSplit, Any]]":
    """The clips visible to a search, and the search splits as positions among them."""
    splits = search_splits(store, protocol)
    visible = np.concatenate([splits["train"], splits["val"]])
    cut = len(splits["train"])
    return store.subset(visible), {"train": np.arange(cut), "val": np.arange(cut, len(visible))}
