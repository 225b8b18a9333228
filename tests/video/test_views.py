"""Test views: the field's conventions by name, frame by frame and pixel by pixel, and in protocols."""

import numpy as np
import pytest
import torch

from pvnas_bench import video
from pvnas_bench.protocol import PROTOCOLS


def shown(store: video.ClipStore, clip: int, views: str, frames: int, size: int, **sampling: object) -> torch.Tensor:
    """A clip in the views of a named convention, (V, frames, 3, size, size), in steps of 1/255."""
    (batch,) = video.clip_batches(
        store, np.array([clip]), batch_size=1, train=False, views=video.named_views(views), **sampling
    )
    return (batch.clips(frames, size) * 0.225 + 0.45) * 255


def same(shown: torch.Tensor, frames: np.ndarray) -> None:
    torch.testing.assert_close(shown, torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0)


def test_one_clip_and_its_centre_crop(store: video.ClipStore) -> None:
    frames = store.frames(3)  # 9 frames of 40 × 40
    middle = [1, 4, 7]  # the centres of 3 segments of 3 frames
    same(shown(store, 3, "1 clip", 3, 40)[0], frames[middle])
    same(shown(store, 3, "1 clip, centre crop", 3, 35)[0], frames[middle, 2:37, 2:37])


def test_two_clips_at_full_resolution(store: video.ClipStore) -> None:
    frames = store.frames(5)  # 12 frames: 6 segments of 2 frames, which the clips take in turn
    views = shown(store, 5, "2 clips, full resolution", 3, 40)
    assert len(views) == 2
    same(views[0], frames[[1, 5, 9]])
    same(views[1], frames[[3, 7, 11]])


def test_ten_clips_and_three_crops_of_dense_frames(store: video.ClipStore) -> None:
    frames = store.frames(5)  # a window of 2 frames 2 apart spans 3 of 12: it begins at 0 … 9, ten windows
    views = shown(store, 5, "10 clips, 3 crops", 2, 35, sampling="dense", stride=2)
    assert len(views) == 30
    for clip in range(10):
        for crop, left in enumerate((0, 2, 5)):
            same(views[3 * clip + crop], frames[[clip, clip + 2], 2:37, left : left + 35])


def test_clips_shorter_than_the_sample(store: video.ClipStore) -> None:
    """The padding rule: uniform sampling repeats frames in order, dense sampling repeats the last one."""
    frames = store.frames(0)  # 3 frames
    same(shown(store, 0, "1 clip", 6, 40)[0], frames[[0, 0, 1, 1, 2, 2]])
    same(shown(store, 0, "1 clip", 5, 40, sampling="dense", stride=2)[0], frames[[0, 2, 2, 2, 2]])


def test_protocols_name_existing_views() -> None:
    assert {name: len(protocol.test_views) for name, protocol in PROTOCOLS.items()} == {
        "quick": 1,
        "standard": 1,
        "micro": 3,
        "something": 2,
        "kinetics": 30,
    }
    assert PROTOCOLS["kinetics"].sampling == "dense" and PROTOCOLS["something"].sampling == "uniform"
    with pytest.raises(ValueError, match=r"unknown views 'all': choose one of '1 clip', '1 clip, centre"):
        video.named_views("all")


def test_published_protocols_are_unchanged() -> None:
    published = {"quick": "1:4e1f766ecf73", "standard": "2:93a0dab643b7", "micro": "3:9a7e511717fd"}
    for name, digest in published.items():
        assert PROTOCOLS[name].fingerprint == f"{name}@{digest}"
        assert PROTOCOLS[name].test_views == (video.Views(1, 3) if name == "micro" else video.Views(1, 1))
