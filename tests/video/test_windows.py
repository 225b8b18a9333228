"""Windows along a file: closed forms of where they lie, and every frame in its place in any number of passes."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench.video import CacheSpec, decoded, unrolled
from pvnas_bench.video import _stream as streaming
from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._spec import ClipError
from pvnas_bench.video._windows import window_bounds

SPEC = CacheSpec(12, 32)


@pytest.mark.parametrize("rate", [10, 15, 24, 25, 30, 30000 / 1001])
@pytest.mark.parametrize(
    ("frames", "window", "stride"), [(100, 1.0, 0.5), (61, 2.0, 2.0), (7, 3.0, 1.0), (50, 0.4, 0.1)]
)
def test_windows_in_seconds_begin_every_stride_and_end_with_the_file(
    rate: float, frames: int, window: float, stride: float
) -> None:
    times = np.arange(frames) / rate
    found = window_bounds(times, window, stride)
    assert found[0][0] == 0 and found[-1][1] == frames
    for first, end in found[:-1]:
        start = times[first]
        inside = np.flatnonzero((times >= start - 1e-5) & (times < start + window - 1e-5))
        assert abs(len(inside) - (end - first)) <= 1
    starts = [times[first] for first, _ in found]
    assert len(set(found)) == len(found)
    for k, start in enumerate(starts[:-1]):
        assert k * stride - 1e-5 <= start < k * stride + 1 / rate, "the first frame at or after the window's start"


def test_windows_in_frames_are_all_as_long_as_asked() -> None:
    times = np.full(20, np.nan)
    assert window_bounds(times, 8, 4) == [(0, 8), (4, 12), (8, 16), (12, 20)]
    assert window_bounds(times, 8, 5) == [(0, 8), (5, 13), (10, 18), (12, 20)]
    assert window_bounds(times, 20, 1) == window_bounds(times, 30, 7) == window_bounds(times, None, None) == [(0, 20)]
    with pytest.raises(ClipError, match="no times of its frames"):
        window_bounds(times, 1.0, 0.5)


@pytest.mark.parametrize("limit", [1, 5 * SPEC.frame_bytes, 10**9])
def test_windows_hold_the_file_s_frames_however_many_passes_they_take(
    tiny_dataset: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PASS_BYTES", limit)
    clips = [tiny_dataset / "left" / "00.mp4", tiny_dataset / "right" / "01.mp4"]
    wholes = [read_clip(clip, SPEC, "pyav") for clip in clips]
    seen: list[tuple[int, int]] = []
    for number, unfolded in unrolled(clips, SPEC, window=3, stride=2, workers=1):
        assert not isinstance(unfolded, str)
        for span in unfolded.spans:
            first = round((span.start or 0.0) * 15)
            assert np.array_equal(unfolded.frames[span.first : span.last], wholes[number][first : first + 3])
            seen.append((number, first))
    assert seen == list(itertools.product((0, 1), (0, 2, 4, 5)))


def test_files_come_in_their_order_with_the_reasons_of_those_that_cannot_be_read(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    (torn := tmp_path / "torn.mp4").write_bytes((tiny_dataset / "left" / "00.mp4").read_bytes()[:500])
    clips = sorted(tiny_dataset.rglob("*.mp4"))
    mixed = [*clips, torn, tmp_path / "gone.mp4", *clips[:3]]
    found = list(decoded(mixed, SPEC, workers=2))
    assert [isinstance(one, str) for one in found] == [False] * len(clips) + [True, True] + [False] * 3
    assert found[len(clips) + 1] == "no such file"
    for clip, frames in zip(mixed, found, strict=True):
        assert isinstance(frames, str) or np.array_equal(frames, read_clip(clip, SPEC, "pyav"))
    whole = list(unrolled([torn, clips[0]], SPEC, workers=1))
    assert isinstance(whole[0][1], str) and not isinstance(whole[1][1], str)
    assert np.array_equal(whole[1][1].frames, read_clip(clips[0], SPEC, "pyav"))


def test_leaving_early_ends_the_workers(tiny_dataset: Path) -> None:
    clips = sorted(tiny_dataset.rglob("*.mp4"))
    answers = decoded(clips * 5, SPEC, workers=1)
    assert not isinstance(next(answers), str)
    answers.close()  # type: ignore[attr-defined]
