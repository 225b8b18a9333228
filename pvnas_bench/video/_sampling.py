"""Frame sampling: indices of the frames of a clip that a network sees."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["uniform", "dense"]


def segment_centres(length: int, frames: int, view: int = 0, views: int = 1) -> NDArray[np.int64]:
    """Centres of uniform segments (TSN in tests, arXiv:1608.00859).

    The clip is divided into `frames * views` equal segments. View v takes segments v, v + views, v + 2 views, …: views
    interleave, and a single view takes the centre of each of `frames` segments. A clip shorter than the sample repeats
    frames in order.

    Args:
        length: number of frames of the clip, at least 1.
        frames: number of frames to sample.

    Returns:
        (frames,) indices in [0, length), not decreasing: floor((k + 1/2) length / segments).
    """
    k = np.arange(frames, dtype=np.int64) * views + view
    return ((2 * k + 1) * length) // (2 * frames * views)


def segment_jitter(lengths: NDArray[np.int64], frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One random frame from each of `frames` uniform segments (TSN in training), for a batch of clips.

    Segment k spans [k length / frames, (k + 1) length / frames); a clip shorter than the sample repeats frames in
    order.

    Args:
        lengths: (N,) number of frames of each clip.

    Returns:
        (N, frames) indices, not decreasing along a clip.
    """
    position = (np.arange(frames) + rng.random((len(lengths), frames))) * (lengths / frames)[:, None]
    return np.minimum(position.astype(np.int64), lengths[:, None] - 1)


def dense(length: int, frames: int, stride: int, start: float) -> NDArray[np.int64]:
    """Consecutive frames, `stride` apart (the sampling of I3D and SlowFast).

    Args:
        start: position of the window, from 0 (the earliest) to 1 (the latest that fits). A window that does not fit
            begins at the first frame and repeats the last frame at its end.
    """
    slack = max(length - ((frames - 1) * stride + 1), 0)
    first = min(int(start * (slack + 1)), slack)
    return np.minimum(first + stride * np.arange(frames, dtype=np.int64), length - 1)
