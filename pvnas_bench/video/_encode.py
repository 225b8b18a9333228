"""Encoding of clips as H.264 files."""

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_clip(path: Path, frames: NDArray[np.uint8], rate: int, options: Mapping[str, str]) -> None:
    """Encode frames with libx264 and write the file.

    Args:
        frames: (T, H, W, 3) RGB, H and W even.
        rate: frames per second.
        options: options of the encoder.
    """
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=dict(options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
