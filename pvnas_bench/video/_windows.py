"""A file as windows along its time: where they lie, and all their frames in one pass through the file."""

import math
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._decode import check_path, read_frames
from pvnas_bench.video._probe import probe, reason
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._spec import CacheSpec, ClipError

Window = float | int | None
"""Seconds (a float), frames (an int), or the whole file."""
ROUNDING = 1e-6
"""Seconds by which a frame may be shown earlier than a window begins."""


def window_bounds(times: NDArray[np.float64], window: Window, stride: float | int | None) -> list[tuple[int, int]]:
    """First frame and the one after the last of each window.

    Windows begin every `stride` from the first frame on. The last one ends with the file, so that no frame is left
    out; a file that is shorter than a window is one window.

    Args:
        times: (frames,) when each is shown, ascending seconds from the first; only windows in seconds need them.
        stride: in the unit of the window.

    Raises:
        ClipError: windows in seconds of a file that says no times.
    """
    frames = len(times)
    if window is None or stride is None:
        return [(0, frames)]
    if isinstance(window, int):
        firsts = [*range(0, max(frames - window, 0), int(stride)), max(frames - window, 0)]
        return [(first, min(first + window, frames)) for first in firsts]
    if np.isnan(times).any():
        raise ClipError("no times of its frames: give a window as long as the clips of the training")
    step = float(np.median(np.diff(times))) if frames > 1 else 0.0
    last = max(float(times[-1]) + step - window, 0.0)
    starts = np.array([k * stride for k in range(math.ceil(last / stride))] + [last]) - ROUNDING
    edges = np.searchsorted(times, np.stack([starts, starts + window])).T.tolist()
    return [(first, end) for first, end in dict.fromkeys(map(tuple, edges)) if first < end]


def unroll(
    path: Path, spec: CacheSpec, output: Path, *, window: Window, stride: float | int | None, first: int, limit: int
) -> dict[str, Any]:
    """Write the frames of windows, each frame once, as raw (size, size, 3) pixels.

    Args:
        first: the first window that is wanted.
        limit: bytes that may be written, if more than one window does not need more.

    Returns:
        JSON values: ``spans``, [first frame, frame after the last, start second, end second] of each window, its
        frames counted in the output, its seconds nan as None; ``next``, the first window left for another call, or
        None.

    Raises:
        ClipError: the file cannot be read.
    """
    try:
        check_path(path)
        times = probe(path).times
        windows = window_bounds(times, window, stride)
        start, end, upto = windows[first][0], windows[first][1], first + 1
        while upto < len(windows) and (windows[upto][1] - start) * spec.frame_bytes <= limit:
            end, upto = windows[upto][1], upto + 1
        written = 0
        with output.open("wb") as file:
            for frame in read_frames(path, range(start, sys.maxsize if window is None else end)):
                file.write(to_square(frame, spec.size, spec.fit).data)
                written += 1
    except av.EOFError as error:
        raise ClipError("truncated: ends inside its header") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(reason(error, path)) from error
    if written < end - start and window is not None:
        raise ClipError(f"holds {start + written} frames, fewer than its {len(times)} packets")
    if not written:
        raise ClipError("no frames")
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    spans = [[a - start, b - start, _seconds(times[a]), _seconds(times[b - 1] + step)] for a, b in windows[first:upto]]
    if window is None:
        spans[0][1] = written
    return {"spans": spans, "next": upto if upto < len(windows) else None}


def _seconds(time: float) -> float | None:
    return None if math.isnan(time) else round(float(time), 6)
