"""Frame indices against closed forms written independently."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvnas_bench.video._sampling import dense, segment_centres, segment_jitter

LENGTHS, FRAMES = st.integers(1, 400), st.integers(1, 64)


@given(LENGTHS, FRAMES)
def test_centres_are_the_frames_in_the_middle_of_equal_segments(length: int, frames: int) -> None:
    edges = np.linspace(0, length, frames + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    got = segment_centres(length, frames)
    assert len(got) == frames and got.min() >= 0 and got.max() < length
    # On a boundary between two frames floating point may fall on either side; the integer form takes the later.
    np.testing.assert_allclose(got + 0.5, middle, atol=0.5 + 1e-6)


def test_centres_equal_those_of_tsn() -> None:
    for length in range(8, 100):
        tick = length / 8  # github.com/yjxiong/tsn-pytorch, dataset.py, _get_test_indices
        assert segment_centres(length, 8).tolist() == [int(tick / 2.0 + tick * x) for x in range(8)]


def test_centres_of_a_short_clip_repeat_frames_in_order() -> None:
    assert segment_centres(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    assert segment_centres(1, 4).tolist() == [0, 0, 0, 0]


@given(LENGTHS, st.integers(1, 16), st.integers(1, 5))
def test_views_interleave_to_the_centres_of_all_their_segments(length: int, frames: int, views: int) -> None:
    every = np.stack([segment_centres(length, frames, v, views) for v in range(views)], axis=1).ravel()
    np.testing.assert_array_equal(every, segment_centres(length, frames * views))


@given(LENGTHS, FRAMES, st.integers(0, 2**32))
def test_jitter_stays_in_its_segment(length: int, frames: int, seed: int) -> None:
    got, shorter = segment_jitter(np.array([length, 1]), frames, np.random.default_rng(seed))
    assert not shorter.any()
    k = np.arange(frames)
    assert (got >= np.floor(k * length / frames - 1e-9)).all()
    assert (got <= np.ceil((k + 1) * length / frames + 1e-9) - 1).all()
    assert (np.diff(got) >= 0).all()


def test_jitter_reaches_every_frame_equally_often() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount(segment_jitter(np.full(6000, 12), 4, rng).ravel(), minlength=12)
    np.testing.assert_allclose(counts / 6000, 1 / 3, atol=0.03)


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.5, 4), (1.0, 7), (0.999, 7)])
def test_dense_windows(start: float, first: int) -> None:
    # 4 frames, 3 apart, span 10 of 17: they can begin at 0 … 7.
    assert dense(17, 4, 3, start).tolist() == [first, first + 3, first + 6, first + 9]


def test_dense_repeats_the_last_frame_of_a_short_clip() -> None:
    assert dense(5, 4, 2, 0.7).tolist() == [0, 2, 4, 4]


@given(LENGTHS, FRAMES, st.integers(1, 9), st.floats(0, 1))
def test_dense_is_in_range(length: int, frames: int, stride: int, start: float) -> None:
    got = dense(length, frames, stride, start)
    assert got.min() >= 0 and got.max() < length
    if (frames - 1) * stride < length:
        assert (np.diff(got) == stride).all()


@given(LENGTHS, FRAMES)
def test_no_end_of_a_clip_is_left_out(length: int, frames: int) -> None:
    # With linspace(0, length, views + 1) as the beginnings of views, the last one would end before the clip does.
    assert length - segment_centres(length, frames)[-1] <= length / frames / 2 + 1
    assert dense(length, frames, 1, 1.0)[-1] == length - 1
