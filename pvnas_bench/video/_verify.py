"""Verification of a data set: decodes every clip once and reports faults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video import _pool
from pvnas_bench.video._dataset import SPLITS, Dataset
from pvnas_bench.video._jobs import DecodeJobs, answers, decoder_of
from pvnas_bench.video._spec import NO_FILE, CacheSpec

_SIZE, _FRAMES = 32, 16
"""Side and number of the frames by which clips are compared, the centres of uniform segments."""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Findings:
    """Faults of a data set; all empty if there are none.

    Attributes:
        clips: number of clips examined.
        missing: paths of clips whose files are missing.
        corrupt: path and reason of each existing clip that cannot be read.
        too_short: path and number of frames of each clip with too few frames.
        duplicates: groups of paths with equal frames within one split.
        leaks: groups of (path, split) with equal frames in several splits.
        shared_subjects: subjects with clips in several splits, and these splits.
    """

    clips: int
    missing: tuple[str, ...]
    corrupt: tuple[tuple[str, str], ...]
    too_short: tuple[tuple[str, int], ...]
    duplicates: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[tuple[str, str], ...], ...]
    shared_subjects: tuple[tuple[str, tuple[str, ...]], ...]

    def __bool__(self) -> bool:
        return any((self.missing, self.corrupt, self.too_short, self.duplicates, self.leaks, self.shared_subjects))


def verify(
    dataset: Dataset,
    *,
    min_frames: int = 2,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    decoder: str | None = None,
) -> Findings:
    """Decode every clip in parallel, in processes that can be killed, and report faults.

    Clips count as duplicates if they decode to the same frames, whatever their files; a re-encoded clip is not a
    duplicate.

    Args:
        min_frames: minimum number of frames of a clip.
        workers: number of decoding processes; default: one per usable core.
        progress: callback with (clips done, total clips).
        decoder: 'decord' or 'pyav'; default: decord if it is installed.
    """
    spec = CacheSpec(_SIZE, max(_FRAMES, min_frames))
    jobs = DecodeJobs(dataset, spec, decoder_of(dataset, decoder), np.arange(len(dataset)))
    lengths = np.zeros(len(dataset), dtype=np.int32)
    digests = np.zeros((len(dataset), _DIGEST_BYTES), dtype=np.uint8)
    reasons: dict[int, str] = {}
    for done, answer in enumerate(answers("measure", jobs, workers or _pool.usable_cores()), start=1):
        if answer.error is not None:
            reasons[answer.job] = answer.error
        else:
            lengths[answer.job] = answer.meta["frames"]
            digests[answer.job] = np.frombuffer(bytes.fromhex(answer.meta["digest"]), dtype=np.uint8)
        if progress is not None:
            progress(done, len(dataset))
    groups = [
        [(str(dataset.paths[clip]), str(dataset.splits[clip])) for clip in group] for group in _same(digests, lengths)
    ]
    unreadable = [(str(dataset.paths[clip]), reasons[clip]) for clip in sorted(reasons)]
    return Findings(
        clips=len(dataset),
        missing=tuple(path for path, reason in unreadable if reason == NO_FILE),
        corrupt=tuple((path, reason) for path, reason in unreadable if reason != NO_FILE),
        too_short=tuple(
            (str(dataset.paths[clip]), int(lengths[clip]))
            for clip in np.flatnonzero((lengths > 0) & (lengths < min_frames))
        ),
        duplicates=tuple(tuple(path for path, _ in group) for group in groups if len({s for _, s in group}) == 1),
        leaks=tuple(tuple(group) for group in groups if len({s for _, s in group}) > 1),
        shared_subjects=tuple(_shared(dataset)),
    )


def _same(digests: NDArray[np.uint8], lengths: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
    """Groups of two or more clips with equal digests, sorted by their first clip."""
    readable = np.flatnonzero(lengths)
    keys = np.ascontiguousarray(digests[readable]).view(f"V{_DIGEST_BYTES}").ravel()
    order = np.argsort(keys, kind="stable")
    begins = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]])) if len(keys) else order
    groups = (np.sort(readable[group]) for group in np.split(order, begins[1:]) if len(group) > 1)
    yield from sorted(groups, key=lambda group: int(group[0]))


def _shared(dataset: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    seen = np.zeros((len(dataset.subject_names), len(SPLITS)), dtype=np.bool_)
    for number, split in enumerate(SPLITS):
        subjects = dataset.subjects[dataset.splits == split]
        seen[subjects[subjects >= 0], number] = True
    for subject in np.flatnonzero(seen.sum(axis=1) > 1):
        splits = tuple(split for split, there in zip(SPLITS, seen[subject], strict=True) if there)
        yield dataset.subject_names[subject], splits
