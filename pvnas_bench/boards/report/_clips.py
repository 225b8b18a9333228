"""Clips as animated images inside the page, as APNG, which every browser plays and which needs only zlib."""

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_IMAGE = re.compile(r"data:image/(gif|webp|png|apng);base64,[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class Thumbnail:
    """A test clip as a small image, animated or not.

    Attributes:
        image: a base64 data URI of a GIF, WebP or PNG.
        caption: the true class of the clip, and the predicted one if known.

    Raises:
        ValueError: the image is not such a data URI.
    """

    image: str
    caption: str

    def __post_init__(self) -> None:
        """Check that the image is a data URI."""
        if not _IMAGE.fullmatch(self.image):
            raise ValueError(f"a thumbnail is a base64 data URI of a GIF, WebP or PNG, not {self.image[:40]!r}")


def thumbnail(clip: NDArray[np.uint8], caption: str, *, frames: int = 8, size: int = 64, rate: float = 6) -> Thumbnail:
    """Encode a clip as an animated image.

    Args:
        clip: pixels (frames, height, width, 3), RGB.
        caption: caption of the image.
        frames: largest number of frames, evenly spaced.
        size: largest height and width in pixels; both are reduced by a whole factor.
        rate: frames per second.

    Raises:
        ValueError: the clip has another shape or type, or no pixels.
    """
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not clip.size:
        raise ValueError(f"a clip is uint8 of shape (frames, height, width, 3), not {clip.dtype} of {clip.shape}")
    chosen = np.linspace(0, len(clip) - 1, min(frames, len(clip))).round().astype(int)
    step = -(-max(clip.shape[1:3]) // size)
    content = b"".join(_animated_png(np.ascontiguousarray(clip[chosen, ::step, ::step]), rate))
    return Thumbnail(f"data:image/png;base64,{base64.b64encode(content).decode()}", caption)


def _animated_png(frames: NDArray[np.uint8], rate: float) -> Iterator[bytes]:
    """Yield the chunks of an animated PNG (https://www.w3.org/TR/png-3/#apng-frame-based-animation)."""
    count, height, width, _ = frames.shape
    yield b"\x89PNG\r\n\x1a\n"
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))  # 8 bits, RGB
    yield _chunk(b"acTL", struct.pack(">II", count, 0))  # repeats forever
    sequence = 0
    for index, frame in enumerate(frames):
        control = (sequence, width, height, 0, 0, 1000, round(1000 * rate), 0, 0)
        yield _chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control))
        sequence += 1
        lines = np.concatenate(
            [np.zeros((height, 1), np.uint8), frame.reshape(height, width * 3)], axis=1
        )  # filter: none
        pixels = zlib.compress(lines.tobytes(), 9)
        if index == 0:
            yield _chunk(b"IDAT", pixels)
        else:
            yield _chunk(b"fdAT", struct.pack(">I", sequence) + pixels)
            sequence += 1
    yield _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
