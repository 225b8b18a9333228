"""The cache of decoded clips: every clip decoded once, into one memory-mapped file."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _pool
from pvnas_bench.video._cache_dir import cache_root, made_whole
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import DECODERS, CacheSpec, default_decoder

_FORMAT = 1
"""Changes whenever the same clip and spec would be stored as other bytes."""
_FRAMES, _INDEX, _ABOUT = "frames.u8", "index.npy", "store.json"
_INDEX_TYPE = np.dtype([("clip", "<i8"), ("start", "<i8"), ("length", "<i4")])
_MOST_SKIPPED = 0.1
_CLIP_SECONDS = 60.0
"""A clip that takes longer to decode is given up; a minute of 1080p takes about a tenth of that."""


@dataclass(frozen=True, eq=False)
class ClipStore:
    """The readable clips of a data set as uint8 RGB frames, S × S pixels, in the order of the data set.

    The frames lie in one file that is mapped, not read: what is not sampled costs no memory.
    """

    dataset: Dataset
    spec: CacheSpec
    clips: NDArray[np.int64]
    """(M,) positions in `dataset` of the readable clips, ascending."""
    lengths: NDArray[np.int32]
    """(M,) stored frames of each clip, at most `spec.max_frames`."""
    skipped: tuple[dict[str, str], ...]
    """The unreadable clips: `path`, relative to the data set, and `reason`."""
    decode_seconds: float
    """Worker seconds that decoding took in this call; 0.0 when everything came from the cache."""
    _starts: NDArray[np.int64]
    _pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.clips)

    def frames(self, index: int) -> NDArray[np.uint8]:
        """(T, S, S, 3) frames of stored clip `index`: a read-only view into the file."""
        start = self._starts[index]
        return self._pixels[start : start + self.lengths[index]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted; a label is a position in it."""
        return self.dataset.classes

    @property
    def labels(self) -> NDArray[np.int32]:
        """(M,) labels of the readable clips."""
        return self.dataset.labels[self.clips]

    @property
    def subjects(self) -> NDArray[np.int32]:
        """(M,) subjects of the readable clips, -1 where none is named."""
        return self.dataset.subjects[self.clips]

    @property
    def splits(self) -> NDArray[np.str_]:
        """(M,) 'train', 'val' or 'test'."""
        return self.dataset.splits[self.clips]

    def indices(self, split: str) -> NDArray[np.int64]:
        """Positions in this store of the clips of a split, ascending."""
        return np.flatnonzero(self.splits == split)

    def subset(self, indices: NDArray[np.int64]) -> "ClipStore":
        """A store of these clips only, in this order, on the same mapped file."""
        return replace(self, clips=self.clips[indices], lengths=self.lengths[indices], _starts=self._starts[indices])


def prepare(
    dataset: Dataset,
    spec: CacheSpec,
    *,
    cache_dir: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    decoder: str | None = None,
) -> ClipStore:
    """Decode every clip once, in parallel, or open what an earlier call decoded.

    The cache is keyed by the data set's fingerprint, the spec and the decoder with its version, and becomes visible
    in one rename: a `prepare` that is killed leaves nothing that looks complete. A clip that cannot be read is left
    out and named in `skipped`; so is one whose decoding crashes or takes more than a minute.

    Args:
        cache_dir: by default the environment variable PVNAS_BENCH_CACHE, then the user's cache folder.
        workers: processes that decode; by default one per usable core.
        progress: called with (clips done, clips in all).
        decoder: 'decord' or 'pyav'; by default decord where it is installed.

    Raises:
        UsageError: more than a tenth of the clips, or all train or all test clips of a class, cannot be read; or the
            cache folder cannot be written, or what it holds was damaged.
    """
    decoder = decoder or default_decoder()
    target = cache_root(cache_dir) / "clips" / _key(dataset, spec, decoder)
    seconds = 0.0
    if not target.is_dir():
        with made_whole(target) as scratch:
            seconds = _fill(scratch, dataset, spec, decoder, workers or _pool.usable_cores(), progress)
    return _open(target, dataset, spec, seconds)


def _key(dataset: Dataset, spec: CacheSpec, decoder: str) -> str:
    parts = [_FORMAT, dataset.fingerprint, asdict(spec), decoder, _version(decoder)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _version(decoder: str) -> str:
    for package in {"decord": ("decord", "decord2"), "pyav": ("av",)}[decoder]:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    raise UsageError(f"the decoder {decoder!r} is not installed: install it or choose one of {', '.join(DECODERS)}")


def _fill(
    folder: Path,
    dataset: Dataset,
    spec: CacheSpec,
    decoder: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> float:
    """Decode into `folder`; the frames lie in the order in which they were done, the index is in that of the table."""
    settings = {**asdict(spec), "decoder": decoder}
    jobs = _Jobs(dataset, settings)
    index = np.zeros(len(dataset), dtype=_INDEX_TYPE)
    skipped: dict[int, str] = {}
    seconds, total = 0.0, 0
    with (folder / _FRAMES).open("wb") as file:
        for done, answer in enumerate(_pool.run("decode", jobs, workers=workers, timeout=_CLIP_SECONDS), start=1):
            if answer.error is not None:
                skipped[answer.job] = answer.error
                _refuse_if_too_many(dataset, skipped)
            else:
                index[answer.job] = answer.job, total, answer.meta["frames"]
                file.write(answer.payload)
                total += answer.meta["frames"]
                seconds += answer.meta["seconds"]
            if progress is not None:
                progress(done, len(dataset))
        file.flush()
        os.fsync(file.fileno())
    _refuse_if_class_lost(dataset, skipped)
    np.save(folder / _INDEX, index[index["length"] > 0], allow_pickle=False)
    about = {
        "format": _FORMAT,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        **settings,
        "decoder": _version(decoder),
        "frames": total,
        "skipped": [{"path": dataset.paths[i], "reason": skipped[i]} for i in sorted(skipped)],
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return seconds


class _Jobs:
    """The arguments of each clip's job, made when asked for."""

    def __init__(self, dataset: Dataset, settings: Mapping[str, Any]) -> None:
        self._dataset, self._settings = dataset, settings

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, clip: int) -> Mapping[str, Any]:
        return {"path": str(self._dataset.path(clip).absolute()), **self._settings}


def _refuse_if_too_many(dataset: Dataset, skipped: Mapping[int, str]) -> None:
    if len(skipped) > _MOST_SKIPPED * len(dataset):
        first = min(skipped)
        raise UsageError(
            f"more than {_MOST_SKIPPED:.0%} of the {len(dataset)} clips of {dataset.name!r} cannot be read, among them "
            f"{dataset.paths[first]!r} ({skipped[first]}): replace them or remove them from the data set"
        )


def _refuse_if_class_lost(dataset: Dataset, skipped: Mapping[int, str]) -> None:
    readable = np.ones(len(dataset), dtype=np.bool_)
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


def _open(folder: Path, dataset: Dataset, spec: CacheSpec, seconds: float) -> ClipStore:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        index = np.load(folder / _INDEX, allow_pickle=False)
        shape = (int(about["frames"]), spec.size, spec.size, 3)
        if (folder / _FRAMES).stat().st_size != np.prod(shape, dtype=np.int64):
            raise ValueError(f"{_FRAMES} has the wrong size")
        pixels = np.memmap(folder / _FRAMES, dtype=np.uint8, mode="r", shape=shape).view(np.ndarray)
        return ClipStore(
            dataset=dataset,
            spec=spec,
            clips=np.ascontiguousarray(index["clip"]),
            lengths=np.ascontiguousarray(index["length"]),
            skipped=tuple(about["skipped"]),
            decode_seconds=seconds,
            _starts=np.ascontiguousarray(index["start"]),
            _pixels=pixels,
        )
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"the cache {str(folder)!r} is damaged ({error}): delete that folder and run again") from error
