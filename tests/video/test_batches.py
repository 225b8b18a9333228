"""Batches against torch.nn.functional, and effects of randomness."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video._sampling import segment_centres

from .conftest import moving_picture

EVERY = np.arange(12)


def expected(frames: np.ndarray, size: int) -> torch.Tensor:
    """(T, 3, size, size) the frames resized by torch in floating point and normalised."""
    planes = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float()
    if planes.shape[-1] != size:
        planes = F.interpolate(planes, (size, size), mode="bilinear", antialias=True)
    return (planes / 255 - 0.45) / 0.225


# uint8 rounding of the resized pixel: half a step of 1/255, over the standard deviation; torch's own adds one step.
STEP = 1.5 / 255 / 0.225


def flip_safe(store: video.ClipStore) -> video.ClipStore:
    return replace(store, dataset=replace(store.dataset, flip_safe=True))


def test_evaluation_is_the_segment_centres_of_the_full_view(store: video.ClipStore) -> None:
    batches = list(video.clip_batches(store, EVERY[::-1], batch_size=5, train=False))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    got = torch.cat([batch.clips(4, 24) for batch in batches])
    assert got.shape == (12, 4, 3, 24, 24) and got.dtype == torch.float32
    for n, clip in enumerate(EVERY[::-1]):
        frames = store.frames(int(clip))
        torch.testing.assert_close(got[n], expected(frames[segment_centres(len(frames), 4)], 24), atol=STEP, rtol=0)
    labels = torch.cat([batch.labels for batch in batches])
    assert labels.dtype == torch.int64 and labels.tolist() == store.labels[::-1].tolist()


def test_stored_size_is_not_resampled(store: video.ClipStore) -> None:
    (batch,) = video.clip_batches(store, EVERY[:2], batch_size=2, train=False)
    torch.testing.assert_close(batch.clips(3, 40)[0], expected(store.frames(0), 40), atol=1e-5, rtol=0)


@pytest.mark.parametrize("train", [True, False])
def test_memory_order_is_channels_last(store: video.ClipStore, train: bool) -> None:
    (batch,) = video.clip_batches(store, EVERY, batch_size=12, train=train, rng=0)
    clips = batch.clips(4, 20)
    assert clips.permute(0, 1, 3, 4, 2).is_contiguous()
    images = clips.flatten(0, 1)
    assert images.data_ptr() == clips.data_ptr() and images.is_contiguous(memory_format=torch.channels_last)


def find(crop: torch.Tensor, picture: np.ndarray, side: int) -> list[tuple[int, int, int]]:
    """Position of an unscaled crop (3, side, side) in a clip: frame, top, left."""
    pixels = ((crop * 0.225 + 0.45) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(1, 2))
    same = (windows == pixels.transpose(2, 0, 1)[None, None, None]).all(axis=(3, 4, 5))
    return [tuple(int(v) for v in at) for at in np.argwhere(same)]


def test_training_crops_are_windows_of_frames_in_their_segments(store: video.ClipStore) -> None:
    places = set()
    for seed in range(8):
        for batch in video.clip_batches(store, EVERY, batch_size=6, train=True, rng=seed, crop_scale=(0.75, 0.75)):
            clips = batch.clips(3, 30)
            for n, clip in enumerate(batch.indices):
                frames = store.frames(int(clip))
                where = [set(find(clips[n, t], frames, 30)) for t in range(3)]
                corners = [{(top, left) for _, top, left in at} for at in where]
                assert set.intersection(*corners), "one window for the whole clip"
                for t in range(3):
                    low, high = t * len(frames) // 3, -(-(t + 1) * len(frames) // 3)
                    assert any(low <= frame < high for frame, _, _ in where[t])
                places |= set.intersection(*corners)
    assert len(places) > 40 and max(top for top, _ in places) == 10 and min(left for _, left in places) == 0


def test_crop_sides_cover_the_scale(store: video.ClipStore) -> None:
    boxes = []
    for seed in range(60):
        for batch in video.clip_batches(store, EVERY, batch_size=12, train=True, rng=seed, crop_scale=(0.5, 1.0)):
            boxes.append(batch._random_boxes(np.random.default_rng(seed)))
    top, left, side = np.concatenate(boxes).T
    assert side.min() == 20 and side.max() == 40
    assert ((top >= 0) & (left >= 0) & (top + side <= 40) & (left + side <= 40)).all()
    assert abs(side.mean() - 30) < 1


def test_clips_are_mirrored_only_if_the_data_set_allows_it(store: video.ClipStore) -> None:
    safe = flip_safe(store)
    plain, mirrored = 0, 0
    for seed in range(6):
        for batch in video.clip_batches(store, EVERY, batch_size=12, train=True, rng=seed, crop_scale=(1.0, 1.0)):
            clips = batch.clips(1, 40)
            assert all(find(clips[n, 0], store.frames(int(clip)), 40) for n, clip in enumerate(batch.indices))
        for batch in video.clip_batches(safe, EVERY, batch_size=12, train=True, rng=seed, crop_scale=(1.0, 1.0)):
            clips = batch.clips(1, 40)
            for n, clip in enumerate(batch.indices):
                plain += bool(find(clips[n, 0], store.frames(int(clip)), 40))
                mirrored += bool(find(clips[n, 0].flip(-1), store.frames(int(clip)), 40))
    assert plain + mirrored == 72 and 20 < mirrored < 52


def test_a_batch_is_the_same_whenever_it_is_computed(store: video.ClipStore) -> None:
    batches = list(video.clip_batches(store, EVERY, batch_size=4, train=True, rng=3))
    before = [batch.clips(4, 16) for batch in batches]
    for batch in batches:
        batch.clips(6, 32)
    for batch, clips in zip(batches, before, strict=True):
        assert torch.equal(batch.clips(4, 16), clips)


def test_same_seed_same_epoch_other_seed_another(store: video.ClipStore) -> None:
    def epoch(rng: int | np.random.Generator) -> tuple[list[int], torch.Tensor]:
        batches = list(video.clip_batches(store, EVERY, batch_size=4, train=True, rng=rng))
        return np.concatenate([b.indices for b in batches]).tolist(), torch.cat([b.clips(4, 16) for b in batches])

    first, again, other = epoch(5), epoch(np.random.default_rng(5)), epoch(6)
    assert first[0] == again[0] and torch.equal(first[1], again[1])
    assert first[0] != other[0] and sorted(first[0]) == sorted(other[0]) == list(range(12))
    state = np.random.get_state(legacy=True)[1].tolist()  # noqa: NPY002 - that it is left alone
    torch_state = torch.get_rng_state()
    epoch(5)
    assert np.random.get_state(legacy=True)[1].tolist() == state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_all_random_draws_happen_before_iteration(store: video.ClipStore) -> None:
    one, two = np.random.default_rng(0), np.random.default_rng(0)
    video.clip_batches(store, EVERY, batch_size=4, train=True, rng=one)
    list(video.clip_batches(store, EVERY, batch_size=4, train=True, rng=two))
    assert one.random() == two.random()


def test_drop_last(store: video.ClipStore) -> None:
    for count, size, full in ((12, 5, 2), (12, 4, 3), (3, 4, 0)):
        batches = list(video.clip_batches(store, EVERY[:count], batch_size=size, train=True, rng=0, drop_last=True))
        assert [len(batch) for batch in batches] == [size] * full


def test_dense_views_and_three_crops(store: video.ClipStore) -> None:
    views = video.Views(temporal=3, spatial=3, crop=0.5)
    (batch,) = video.clip_batches(
        store, np.array([4]), batch_size=1, train=False, sampling="dense", stride=2, views=views
    )
    clips = batch.clips(3, 20)
    frames = store.frames(4)  # 11 frames; a window of 3 frames 2 apart spans 5, so it begins at 0 … 6
    assert len(views) == 9 and clips.shape == (9, 3, 3, 20, 20) and len(frames) == 11
    for v in range(9):
        start, left = (0, 3, 6)[v // 3], (0, 10, 20)[v % 3]
        cut = frames[start : start + 5 : 2, 10:30, left : left + 20]
        torch.testing.assert_close(clips[v], expected(cut, 20), atol=1e-5, rtol=0)


def test_views_are_neighbours_of_their_clip(store: video.ClipStore) -> None:
    (batch,) = video.clip_batches(store, EVERY[:3], batch_size=3, train=False, views=video.Views(2, 1))
    clips = batch.clips(2, 16).unflatten(0, (3, 2))
    assert len(batch) == len(batch.labels) == 3
    for n in range(3):
        frames = store.frames(n)
        for v in range(2):
            picked = segment_centres(len(frames), 2, v, 2)
            torch.testing.assert_close(clips[n, v], expected(frames[picked], 16), atol=STEP, rtol=0)


def test_unused_frames_are_not_read(store: video.ClipStore) -> None:
    read: list[int] = []

    class Frames:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __len__(self) -> int:
            return len(self.array)

        def __getitem__(self, key: object) -> np.ndarray:
            cut: np.ndarray = self.array[key]  # type: ignore[index]
            read.append(cut.nbytes)
            return cut

    class Store:
        dataset, spec = store.dataset, store.spec

        def frames(self, index: int) -> Frames:
            return Frames(store.frames(index))

    (batch,) = video.clip_batches(store, EVERY, batch_size=12, train=True, rng=0, crop_scale=(0.5, 0.5))
    replace(batch, store=Store()).clips(2, 16)  # type: ignore[arg-type]
    assert read == [2 * 20 * 20 * 3] * 12


def test_without_a_cache_batches_are_the_same(store: video.ClipStore, tmp_path: Path) -> None:
    direct = video.prepare(store.dataset, store.spec, cache_dir=tmp_path, workers=2, cached=False)
    torch_state = torch.get_rng_state()
    for train in (True, False):
        kept = list(video.clip_batches(store, EVERY, batch_size=5, train=train, rng=3))
        decoded = video.clip_batches(direct, EVERY, batch_size=5, train=train, rng=3)
        for one, other in zip(kept, decoded, strict=True):
            assert torch.equal(one.clips(4, 16), other.clips(4, 16)) and torch.equal(one.labels, other.labels)
            assert torch.equal(one.clips(6, 32), other.clips(6, 32))
    assert torch.equal(torch.get_rng_state(), torch_state)
    part = direct.subset(np.array([7, 2]))
    (batch,) = video.clip_batches(part, np.array([1]), batch_size=1, train=False)
    (same,) = video.clip_batches(store, np.array([2]), batch_size=1, train=False)
    assert torch.equal(batch.clips(4, 16), same.clips(4, 16))


def test_without_a_cache_an_epoch_may_end_early(store: video.ClipStore, tmp_path: Path) -> None:
    direct = video.prepare(store.dataset, store.spec, cache_dir=tmp_path, workers=1, cached=False)
    epochs = [video.clip_batches(direct, EVERY, batch_size=4, train=False) for _ in range(2)]
    firsts = [next(epoch) for epoch in epochs]  # two epochs at once, as search-train and search-val
    assert torch.equal(firsts[0].clips(2, 16), firsts[1].clips(2, 16))


def test_without_a_cache_a_missing_clip_is_named(tmp_path: Path, write: Callable[..., Path]) -> None:
    for n in range(8):
        write(tmp_path / "data" / "ab"[n % 2] / f"{n}.mp4", moving_picture(5, seed=n))
    dataset = video.open_dataset(str(tmp_path / "data"))
    direct = video.prepare(dataset, video.CacheSpec(16, 4), cache_dir=tmp_path / "cache", workers=1, cached=False)
    dataset.path(3).unlink()
    with pytest.raises(UsageError, match=r"clip 'a/6.mp4' can no longer be read \(no such file\): restore"):
        list(video.clip_batches(direct, np.arange(8), batch_size=4, train=False))
    with pytest.raises(UsageError, match=r"clip 'a/6.mp4' can no longer be read \(no such file\): restore"):
        direct.frames(3)


def test_crops_of_equal_side_are_resized_as_separately(store: video.ClipStore) -> None:
    (batch,) = video.clip_batches(store, EVERY, batch_size=12, train=True, rng=0, crop_scale=(0.8, 0.85))
    clips = batch.clips(4, 24)
    boxes = batch._random_boxes(np.random.Generator(np.random.PCG64(batch.seed)))
    assert len(set(boxes[:, 2].tolist())) == 3
    for n, (top, left, side) in enumerate(boxes.tolist()):
        alone = [
            video.images(frame[None, top : top + side, left : left + side], 24)[0]
            for frame in store.frames(int(batch.indices[n]))
        ]
        assert all(any(torch.equal(shown, frame) for frame in alone) for shown in clips[n])


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": True},
        {"batch_size": 0},
        {"stride": 0},
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.9, 0.8)},
        {"sampling": "random"},
    ],
)
def test_wrong_arguments(store: video.ClipStore, wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"batch_size": 2, "train": False, **wrong}
    with pytest.raises(ValueError, match=r"must|need"):
        video.clip_batches(store, EVERY, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 or 3 crops"):
        video.Views(1, 2)
    with pytest.raises(ValueError, match="crop"):
        video.Views(1, 1, 1.5)
