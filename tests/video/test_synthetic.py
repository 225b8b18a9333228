"""The embedded data sets: reproducible, split by subject, and single frames independent of the direction of time."""

import dataclasses
import hashlib
import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.stats
from decord import VideoReader

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import _activities, _scenes, _synthetic


@pytest.fixture(scope="module")
def few() -> dict[str, range]:
    """Six subjects to train on and three each to validate and test: an eighth of the data set."""
    return {"train": range(6), "val": range(63, 66), "test": range(75, 78)}


def with_subjects(patch: pytest.MonkeyPatch, subjects: dict[str, range]) -> None:
    """Give the embedded data sets these subjects."""
    kinds = {name: dataclasses.replace(kind, subjects=subjects) for name, kind in _synthetic._KINDS.items()}
    patch.setattr(_synthetic, "_KINDS", kinds)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, few: dict[str, range]) -> video.Dataset:
    """The data set with few subjects."""
    with pytest.MonkeyPatch.context() as patch:
        with_subjects(patch, few)
        return video.open_dataset("synthetic_motion", cache_dir=tmp_path_factory.mktemp("synthetic"))


def decoded(path: Path) -> np.ndarray:
    with av.open(path) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def twins(dataset: video.Dataset) -> list[tuple[Path, Path]]:
    """The clips of the two classes of each pair with the same subject."""
    return [
        (clip, dataset.root / second / clip.name)
        for first, second, _ in _scenes.PAIRS
        for clip in sorted((dataset.root / first).iterdir())
    ]


def test_the_whole_data_set_is_declared() -> None:
    subjects = _synthetic._KINDS["synthetic_motion"].subjects
    clips = {split: len(numbers) * len(_scenes.CLASSES) for split, numbers in subjects.items()}
    assert clips == {"train": 1008, "val": 192, "test": 384}
    assert len(_scenes.CLASSES) == len(set(_scenes.CLASSES)) == 16
    everyone = [number for numbers in subjects.values() for number in numbers]
    assert len(everyone) == len(set(everyone))


def test_files_splits_and_classes(made: video.Dataset) -> None:
    assert made.name == "synthetic_motion" and made.classes == tuple(sorted(_scenes.CLASSES)) and not made.flip_safe
    assert made.counts() == {"train": 96, "val": 48, "test": 48}
    assert all(made.path(i).is_file() for i in range(len(made)))
    for subject in range(len(made.subject_names)):
        mine = made.subjects == subject
        assert len(set(made.splits[mine])) == 1
        assert np.bincount(made.labels[mine], minlength=16).tolist() == [1] * 16
    lengths = {len(decoded(first)) for first, _ in twins(made)}
    assert lengths <= set(range(14, 21)) and len(lengths) > 4


def test_a_pair_has_the_same_frames_in_opposite_order(made: video.Dataset) -> None:
    """Bit-identical after decoding, so a network blind to order is right on at most half of a pair."""
    pairs = twins(made)
    assert len(pairs) == 96
    for first, second in pairs:
        forward, backward = decoded(first), decoded(second)
        np.testing.assert_array_equal(forward, backward[::-1])
        assert not np.array_equal(forward, backward)


def test_the_cache_keeps_the_frames_of_a_pair_alike(made: video.Dataset, tmp_path: Path) -> None:
    store = video.prepare(made, video.CacheSpec(64, 20), cache_dir=tmp_path)
    at = {str(path): i for i, path in enumerate(made.paths)}
    for first, second in twins(made)[::7]:
        a, b = (store.frames(at[path.relative_to(made.root).as_posix()]) for path in (first, second))
        np.testing.assert_array_equal(a, b[::-1])
        with av.open(first) as container:
            assert len(a) == container.streams.video[0].frames == len(VideoReader(str(first)))
        np.testing.assert_array_equal(a, VideoReader(str(first)).get_batch(range(len(a))).asnumpy())


def test_same_seed_same_pixels(made: video.Dataset, few: dict[str, range], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        with_subjects(patch, {"train": range(2), "val": range(2, 3), "test": range(75, 76)})
        again = video.open_dataset("synthetic_motion", cache_dir=tmp_path)
    assert again.fingerprint != made.fingerprint
    for i in range(0, len(again), 5):
        np.testing.assert_array_equal(decoded(again.path(i)), decoded(made.root / str(again.paths[i])))


# Frames; mean value; mean of the middle row of the first frame; mean change from a frame to the next.
VERSION_1 = [
    (17, 95.72, 132.2, 9.85),
    (15, 95.35, 100.51, 10.97),
    (18, 98.17, 101.7, 16.35),
    (18, 96.1, 93.61, 9.07),
    (14, 95.85, 98.85, 14.45),
    (15, 97.04, 102.14, 11.81),
    (14, 95.63, 102.35, 9.48),
    (15, 96.08, 93.18, 13.09),
]


ACTIVITIES_1 = [
    (302, 94.44, 103.42, 10.87),
    (324, 93.54, 108.83, 9.98),
    (311, 93.92, 96.33, 10.84),
    (322, 93.65, 96.86, 10.88),
]


VERSION_2 = [
    (19, 77.03, 97.23, 41.58),
    (16, 77.45, 94.96, 45.72),
    (20, 90.67, 130.72, 5.59),
    (14, 77.22, 65.03, 6.75),
    (20, 76.87, 106.8, 18.18),
    (15, 78.07, 92.78, 27.4),
    (16, 77.66, 91.74, 34.21),
    (15, 76.7, 85.59, 14.76),
]


@pytest.mark.parametrize(
    ("render", "pair", "expected"),
    [
        *((_scenes.render, pair, figures) for pair, figures in enumerate(VERSION_1)),
        *((_scenes.render_graded, pair, figures) for pair, figures in enumerate(VERSION_2)),
    ],
)
def test_scenes_equal_those_that_were_published(
    render: Callable[[int, int, int], np.ndarray], pair: int, expected: tuple[float, ...]
) -> None:
    """If these numbers change, the data changed: increase the version."""
    frames = render(_synthetic._SEED, pair, 3)
    assert frames.dtype == np.uint8 and frames.shape[1:] == (64, 64, 3)
    figures = [len(frames), frames.mean(), frames[0, 32].mean(), np.abs(np.diff(frames.astype(int), axis=0)).mean()]
    np.testing.assert_allclose(figures, expected, atol=0.05)


def test_clips_of_a_class_differ(made: video.Dataset) -> None:
    means = {
        tuple(_scenes.render(1, pair, subject).mean(axis=(0, 1, 2)).round(2))
        for pair in range(8)
        for subject in range(4)
    }
    assert len(means) == 32


def centroid(frames: np.ndarray) -> np.ndarray:
    """(T, 2) row and column of the object, on a ground that does not change."""
    moved = np.abs(frames.astype(float) - np.median(frames, axis=0)).sum(axis=3)
    moved[moved < 60] = 0
    rows, columns = np.mgrid[0:64, 0:64]
    weight = moved.sum(axis=(1, 2))
    return np.stack([(moved * rows).sum(axis=(1, 2)) / weight, (moved * columns).sum(axis=(1, 2)) / weight], axis=1)


@pytest.mark.parametrize(("pair", "axis"), [(0, 1), (1, 0)])
def test_directions_are_as_named(pair: int, axis: int) -> None:
    """move_left decreases the column and move_up the row, for most subjects as clutter moves too."""
    hits = [
        (where := centroid(_scenes.render(_synthetic._SEED, pair, subject))[:, axis])[-3:].mean() < where[:3].mean()
        for subject in range(99)
    ]
    assert np.mean(hits) > 0.9


@pytest.mark.parametrize(("pair", "axis"), [(0, 1), (1, 0)])
def test_directions_of_graded_clips_are_as_named_without_exception(pair: int, axis: int) -> None:
    """Nothing but the object moves, and it is brighter than the ground, whatever the noise."""
    for subject in range(40):
        frames = _scenes.render_graded(_synthetic._SEED, pair, subject).mean(axis=3)
        weight = np.clip(frames - np.median(frames, axis=(1, 2), keepdims=True) - 60, 0, None)
        along = np.arange(64) if axis else np.arange(64)[:, None]
        where = (weight * along).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))
        assert where[-3:].mean() < where[:3].mean()


def test_graded_clips_range_from_easy_to_hard() -> None:
    """Pixel noise, by what changes between frames beside the object, has every order of magnitude."""
    changes = [
        np.diff(_scenes.render_graded(7, 2, number)[:, :4, :4].astype(float), axis=0).std() for number in range(60)
    ]
    noise = np.array(changes) / math.sqrt(2) / 255
    assert noise.min() < 0.015 and noise.max() > 0.15
    assert 0.2 < np.mean(noise > math.sqrt(0.01 * 0.3)) < 0.8


def test_plain_scenes_are_bright_objects_on_an_even_dark_ground() -> None:
    for subject in (_scenes.plain_subject(_synthetic._SEED, number, 1.0, 0.01) for number in range(123)):
        assert subject.clutter == 0 and subject.background in (0, 1) and subject.radius >= 12
        assert subject.colours.min() > subject.ground.max() and subject.colours[0].min() > subject.ground.max() + 0.25


def test_the_second_version_is_split_by_subject_and_its_pairs_have_the_same_frames(
    few: dict[str, range], tmp_path: Path
) -> None:
    kind = _synthetic._KINDS["synthetic_motion_v2"]
    assert {split: len(numbers) for split, numbers in kind.subjects.items()} == {"train": 63, "val": 12, "test": 48}
    everyone = [number for numbers in kind.subjects.values() for number in numbers]
    assert len(everyone) == len(set(everyone)) and len(kind.classes) == 16
    with pytest.MonkeyPatch.context() as patch:
        with_subjects(patch, {split: numbers[:1] for split, numbers in few.items()})
        made = video.open_dataset("synthetic_motion_v2", cache_dir=tmp_path)
    assert made.name == "synthetic_motion_v2" and made.classes == tuple(sorted(kind.classes)) and not made.flip_safe
    assert made.counts() == {"train": 16, "val": 16, "test": 16}
    for first, second in kind.pairs:
        for clip in sorted((made.root / first).iterdir()):
            np.testing.assert_array_equal(decoded(clip), decoded(made.root / second / clip.name)[::-1])


def test_the_data_set_is_generated_once_and_completely(few: dict[str, range], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        with_subjects(patch, {split: numbers[:3] for split, numbers in few.items()})

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            video.open_dataset("synthetic_motion", cache_dir=tmp_path, progress=interrupt)
        assert list(tmp_path.iterdir()) == []
        for _ in range(2):
            dataset = video.open_dataset("synthetic_motion", cache_dir=tmp_path, progress=lambda *at: calls.append(at))
        assert calls == [(2 * n, 144) for n in range(1, 73)]
        assert [entry.name for entry in tmp_path.iterdir()] == [dataset.root.name]
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="cannot write the cache folder"):
            video.open_dataset("synthetic_motion", cache_dir=tmp_path / "file")
        shutil.rmtree(dataset.root / "split")
        with pytest.raises(UsageError, match="can be read"):
            video.prepare(
                video.open_dataset("synthetic_motion", cache_dir=tmp_path), video.CacheSpec(64, 20), cache_dir=tmp_path
            )


def visits(frames: np.ndarray) -> list[str]:
    """The places at which the person stays for five seconds, in their order."""
    where = centroid(frames)[:, ::-1]
    distances = np.stack([np.hypot(*(where - place).T) for place in _activities.PLACES.values()])
    names = np.array(list(_activities.PLACES))[distances.argmin(axis=0)]
    names[distances.min(axis=0) > 12] = ""
    changes = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(names)]
    return [str(names[a]) for a, b in itertools.pairwise(changes) if b - a >= 25 and names[a]]


@pytest.mark.parametrize("pair", range(len(_activities.PAIRS)))
def test_an_activity_visits_its_places_in_the_order_of_its_name(pair: int) -> None:
    first, second = _activities.PAIRS[pair]
    seen = []
    for subject in range(12):
        frames = _activities.render(_synthetic._SEED, pair, subject)
        assert 300 <= len(frames) <= 330 and frames.shape[1:] == (64, 64, 3) and frames.dtype == np.uint8
        seen.append((visits(frames) == first.split("_"), visits(frames[::-1]) == second.split("_")))
    assert np.mean(seen) > 0.8  # clutter moves too, and hides the person at times


def test_activities_of_a_pair_visit_the_same_places_and_no_other_pair_does() -> None:
    sets = [{frozenset(name.split("_")) for name in pair} for pair in _activities.PAIRS]
    assert [len(one) for one in sets] == [1] * 4
    assert len(frozenset.union(*map(frozenset, sets))) == 4


def test_waits_and_stays_look_alike_when_time_is_reversed() -> None:
    """So that no duration tells a class from the other one of its pair: first and last have equal distributions."""
    rng = np.random.default_rng(0)
    errands = [_activities._errand(["stove", "sink", "table"], 315, rng) for _ in range(400)]
    away = [np.hypot(one.x - 32, one.y - 32) > 8 for one in errands]
    first = [int(np.argmax(one)) for one in away]
    last = [int(np.argmax(one[::-1])) for one in away]
    assert min(first + last) >= 15
    assert scipy.stats.ks_2samp(first, last).pvalue > 0.01
    assert np.std(first) > 5


def test_activities_equal_those_of_version_1() -> None:
    """If these numbers change, the data changed: increase the version."""
    figures = []
    for pair in range(4):
        frames = _activities.render(_synthetic._SEED, pair, 3)
        change = np.abs(np.diff(frames[::10].astype(int), axis=0)).mean()
        figures.append((len(frames), frames.mean(), frames[0, 32].mean(), change))
    np.testing.assert_allclose(figures, ACTIVITIES_1, atol=0.05)


def test_the_data_sets_are_listed_and_keep_their_fingerprints(few: dict[str, range], tmp_path: Path) -> None:
    names = ["synthetic_activities", "synthetic_motion", "synthetic_motion_v2"]
    assert [name for name, _ in video.list_datasets()] == names
    identities = {
        name: hashlib.sha256(json.dumps(_synthetic._parameters(kind), sort_keys=True).encode()).hexdigest()[:12]
        for name, kind in _synthetic._KINDS.items()
    }
    assert identities == {
        "synthetic_motion": "a0f2120aef7e",
        "synthetic_motion_v2": "3bdac2e2aac0",
        "synthetic_activities": "98299554148a",
    }
    with pytest.MonkeyPatch.context() as patch:
        with_subjects(patch, {split: numbers[:1] for split, numbers in few.items()})
        made = video.open_dataset("synthetic_activities", cache_dir=tmp_path)
    assert made.name == "synthetic_activities" and made.classes == tuple(sorted(_activities.CLASSES))
    assert made.counts() == {"train": 8, "val": 8, "test": 8} and not made.flip_safe
    for first, second in _activities.PAIRS:
        forward = sorted((made.root / first).iterdir())
        assert len(forward) == 3
        backward = decoded(made.root / second / forward[0].name)
        np.testing.assert_array_equal(decoded(forward[0]), backward[::-1])
