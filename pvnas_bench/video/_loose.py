"""Clips that belong to no data set, as a store of frames or features in memory."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._dataset import Dataset, strings
from pvnas_bench.video._direct import HeldStore
from pvnas_bench.video._features import FeatureStore
from pvnas_bench.video._sampling import segment_centres
from pvnas_bench.video._spec import CacheSpec
from pvnas_bench.video._store import ClipStore


def loose_clips(clips: Sequence[NDArray[np.uint8]], spec: CacheSpec) -> ClipStore:
    """A store of clips, (T, S, S, 3) each with its own T, without classes; every label is 0."""
    columns = _columns(_unlabelled(len(clips)), spec, [len(clip) for clip in clips])
    return HeldStore(**vars(columns), held=dict(enumerate(clips)))


def loose_features(clips: Sequence[NDArray[np.float32]], spec: CacheSpec) -> FeatureStore:
    """A store of clips' features, (T, F) each with its own T, without classes and pixels."""
    lengths = np.array([len(clip) for clip in clips], dtype=np.int64)
    columns = _columns(_unlabelled(len(clips)), spec, lengths.tolist())
    return FeatureStore(
        **{field.name: getattr(columns, field.name) for field in fields(ClipStore)},
        durations=lengths,
        extract_seconds=0.0,
        extracted_frames=int(lengths.sum()),
        _feature_starts=np.cumsum(lengths) - lengths,
        _features=np.concatenate(clips),
    )


def reduced(frames: NDArray[np.uint8], spec: CacheSpec) -> NDArray[np.uint8]:
    """The frames of a clip that a store keeps: all, or the centres of as many uniform segments as it may keep."""
    if len(frames) <= spec.max_frames:
        return frames
    return frames[segment_centres(len(frames), spec.max_frames)]


def _columns(dataset: Dataset, spec: CacheSpec, lengths: Sequence[int]) -> ClipStore:
    number = len(dataset)
    return ClipStore(
        dataset=dataset,
        spec=spec,
        clips=np.arange(number, dtype=np.int64),
        lengths=np.array(lengths, dtype=np.int32),
        skipped=(),
        decode_seconds=0.0,
        _shards=np.zeros(number, dtype=np.int32),
        _starts=np.zeros(number, dtype=np.int64),
        _pixels=(),
    )


def _unlabelled(number: int) -> Dataset:
    return Dataset(
        name="clips",
        root=Path(),
        classes=("",),
        paths=strings([""] * number),
        labels=np.zeros(number, dtype=np.int32),
        subjects=np.full(number, -1, dtype=np.int32),
        subject_names=(),
        splits=np.full(number, "test"),
        flip_safe=False,
        fingerprint="",
    )
