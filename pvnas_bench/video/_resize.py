"""Resizing and cropping of decoded frames in numpy, so that workers need no torch."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._spec import Fit


@lru_cache(maxsize=64)
def weights(source: int, target: int) -> NDArray[np.float32]:
    """Matrix (target, source) of antialiased bilinear resampling along one axis.

    A triangle filter that widens with the reduction, as in PIL and torch (`antialias=True`).
    """
    scale = source / target
    width = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / width
    matrix = np.maximum(1.0 - distance, 0.0)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return np.asarray(matrix, dtype=np.float32)


def to_square(frame: NDArray[np.uint8], size: int, fit: Fit) -> NDArray[np.uint8]:
    """Resize a frame to `size` × `size` pixels.

    Args:
        frame: (H, W, 3).
        fit: 'squash' resizes each axis separately and keeps the whole frame; 'crop' first cuts the centre square of
            side min(H, W) and keeps the aspect ratio.

    Returns:
        (size, size, 3), rounded to the nearest integer.
    """
    if fit == "crop":
        side = min(frame.shape[:2])
        top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
        frame = frame[top : top + side, left : left + side]
    height, width, _ = frame.shape
    if height == width == size:
        return np.ascontiguousarray(frame)
    # Two matrix products, each with its axis in front: columns after rows.
    rows = weights(height, size) @ frame.reshape(height, width * 3).astype(np.float32)
    columns = rows.reshape(size, width, 3).transpose(1, 0, 2).reshape(width, size * 3)
    square = (weights(width, size) @ columns).reshape(size, size, 3).transpose(1, 0, 2)
    return np.ascontiguousarray(np.rint(square), dtype=np.uint8)
