"""Decoding of every clip once: into the cache, or only to find out which clips can be read."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _pool
from pvnas_bench.video._cache_dir import cache_root, made_whole, partial_bytes
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._direct import DirectStore
from pvnas_bench.video._disk import DiskNeed, disk_need, refuse_if_too_little
from pvnas_bench.video._jobs import DecodeJobs, answers, decoder_of, decoder_version
from pvnas_bench.video._shards import ShardWriter, load_index, map_shards
from pvnas_bench.video._spec import NO_FILE, CacheSpec
from pvnas_bench.video._store import ClipStore

TOLERATED = 0.1
"""Default share of the clips that may be unreadable."""
_FORMAT = 3
"""Version of the cache format; increase it when the same clip and spec give other bytes."""
_ABOUT = "store.json"
_BY_PYAV = "by_pyav.txt"
"""File that lists the clips on which decord crashes or hangs, if there are any."""


def prepare(
    dataset: Dataset,
    spec: CacheSpec,
    *,
    cache_dir: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    decoder: str | None = None,
    cached: bool = True,
    tolerated: float = TOLERATED,
    announce: Callable[[DiskNeed], None] | None = None,
) -> ClipStore:
    """Decode every clip once, in parallel, or open the cache of an earlier call.

    The cache is keyed by the data set's fingerprint, the spec, and the decoder and its version. It becomes visible in
    one rename, so an interrupted call leaves no incomplete cache; the next call resumes it. Unreadable clips are left
    out and listed in `skipped`, as are clips whose decoding crashes or takes more than a minute.

    Args:
        cache_dir: cache folder; default: the environment variable PVNAS_BENCH_CACHE, else the user's cache folder.
        workers: number of decoding processes; default: one per usable core.
        progress: callback with (clips done, total clips).
        decoder: 'decord' or 'pyav'; default: decord if it is installed.
        cached: False: store only which clips can be read and their lengths; batches are decoded on demand, to the
            same pixels.
        tolerated: share of the clips that may be unreadable.
        announce: callback with the disk space that the cache needs, before it is filled.

    Raises:
        UsageError: the cache does not fit on the disk; too many clips, all train clips of a class, or all test clips
            are unreadable; or the cache folder cannot be written or is damaged.
    """
    decoder = decoder_of(dataset, decoder)
    workers = workers or _pool.usable_cores()
    target = cache_path(dataset, spec, decoder, cache_dir, cached=cached)
    seconds = 0.0
    if not target.is_dir():
        if cached:
            need = disk_need(
                dataset, spec, target.parent, lambda clips: _lengths(dataset, spec, decoder, workers, clips)
            )
            if announce is not None:
                announce(need)
            refuse_if_too_little(dataset.name, need, partial_bytes(target))
        task = "decode" if cached else "measure"
        with made_whole(target, resumable=True) as scratch:
            seconds = _fill(scratch, dataset, spec, decoder, workers, progress, task, tolerated)
    return _open(target, dataset, spec, decoder, seconds, workers, cached=cached)


def cache_path(dataset: Dataset, spec: CacheSpec, decoder: str, cache_dir: Path | None, *, cached: bool = True) -> Path:
    """Folder of a data set's cache; it need not exist."""
    parts = [_FORMAT, dataset.fingerprint, asdict(spec), decoder, decoder_version(decoder)]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    return cache_root(cache_dir) / ("clips" if cached else "lengths") / key


def _lengths(dataset: Dataset, spec: CacheSpec, decoder: str, workers: int, clips: list[int]) -> list[int]:
    jobs = DecodeJobs(dataset, spec, decoder, np.array(clips))
    return [answer.meta["frames"] for answer in answers("measure", jobs, workers) if answer.error is None]


def _fill(
    folder: Path,
    dataset: Dataset,
    spec: CacheSpec,
    decoder: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
    task: str,
    tolerated: float,
) -> float:
    """Decode the clips missing from `folder`; frames are stored in order of completion, the index in table order.

    Returns:
        Worker seconds of decoding.
    """
    writer = ShardWriter(folder, spec.frame_bytes)
    skipped: dict[int, str] = {}
    seconds = 0.0
    try:
        before = len(writer.done)
        jobs = DecodeJobs(dataset, spec, decoder, np.setdiff1d(np.arange(len(dataset)), writer.done))
        for done, answer in enumerate(answers(task, jobs, workers), start=before + 1):
            clip = int(jobs.clips[answer.job])
            if answer.error is not None:
                skipped[clip] = answer.error
                _refuse_if_too_many(dataset, skipped, tolerated)
            else:
                writer.write(clip, answer.payload, answer.meta["frames"])
                seconds += answer.meta["seconds"]
                if answer.meta.get("by_pyav"):
                    with (folder / _BY_PYAV).open("a", encoding="ascii") as file:
                        print(clip, file=file)
            if progress is not None:
                progress(done, len(dataset))
        _refuse_if_class_lost(dataset, skipped)
        writer.finish()
    finally:
        writer.close()
    about = {
        "format": _FORMAT,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        **asdict(spec),
        "decoder": decoder_version(decoder),
        "skipped": [{"path": dataset.paths[i], "reason": skipped[i]} for i in sorted(skipped)],
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return seconds


def _refuse_if_too_many(dataset: Dataset, skipped: Mapping[int, str], tolerated: float) -> None:
    if len(skipped) > tolerated * len(dataset):
        first = min(skipped)
        missing = all(reason == NO_FILE for reason in skipped.values())
        if missing:
            raise UsageError(
                f"more than {tolerated:.0%} of the {len(dataset)} clips of {dataset.name!r} are missing, among them "
                f"{dataset.paths[first]!r}: put them there, leave them out with missing_ok = true in a description "
                ".toml, or accept more with `data prepare --tolerate`"
            )
        raise UsageError(
            f"more than {tolerated:.0%} of the {len(dataset)} clips of {dataset.name!r} cannot be read, among them "
            f"{dataset.paths[first]!r} ({skipped[first]}): replace them, remove them from the data set, or accept more "
            "with `data prepare --tolerate`"
        )


def _refuse_if_class_lost(dataset: Dataset, skipped: Mapping[int, str]) -> None:
    readable: NDArray[np.bool_] = np.ones(len(dataset), dtype=np.bool_)
    readable[list(skipped)] = False
    for clip in sorted(skipped):
        label, split = dataset.labels[clip], dataset.splits[clip]
        if split == "train" and not (readable & (dataset.labels == label) & (dataset.splits == split)).any():
            raise UsageError(
                f"no train clip of class {dataset.classes[label]!r} can be read, among them "
                f"{dataset.paths[clip]!r} ({skipped[clip]}): replace the clips or remove the class"
            )
        if split == "test" and not (readable & (dataset.splits == split)).any():
            raise UsageError(
                f"no test clip of {dataset.name!r} can be read, among them "
                f"{dataset.paths[clip]!r} ({skipped[clip]}): replace the clips"
            )


def _open(
    folder: Path, dataset: Dataset, spec: CacheSpec, decoder: str, seconds: float, workers: int, *, cached: bool
) -> ClipStore:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        index = load_index(folder)
        pixels = map_shards(folder, index, spec.size) if cached else ()
        store = ClipStore(
            dataset=dataset,
            spec=spec,
            clips=np.ascontiguousarray(index["clip"]),
            lengths=np.ascontiguousarray(index["length"]),
            skipped=tuple(about["skipped"]),
            decode_seconds=seconds,
            _shards=np.ascontiguousarray(index["shard"]),
            _starts=np.ascontiguousarray(index["start"]),
            _pixels=pixels,
        )
        lost = folder / _BY_PYAV
        by_pyav = frozenset(map(int, lost.read_text(encoding="ascii").split())) if lost.exists() else frozenset[int]()
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"the cache {str(folder)!r} is damaged ({error}): delete that folder and run again") from error
    return store if cached else DirectStore.of(store, decoder, workers, by_pyav)
