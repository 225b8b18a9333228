"""Specifications for decoding: stored frames, part of a file, decoder."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

DECODERS = ("decord", "pyav")
IMAGES = "images"
"""Decoder of clips that are folders of images."""
RECORDING = "recording"
"""Decoder of clips that are rows of a recording of temperatures."""

# One value for the three channels, in units of the range of a pixel: PySlowFast's DATA.MEAN and DATA.STD.
MEAN, STD = 0.45, 0.225

NO_FILE = "no such file"
"""Reason for a clip whose file is missing."""

Fit = Literal["squash", "crop"]


class ClipError(Exception):
    """A clip that cannot be read; the message is the reason."""


@dataclass(frozen=True)
class CacheSpec:
    """Stored form of each clip in the cache.

    Attributes:
        size: side of the stored square, in pixels.
        max_frames: maximum number of frames; a longer clip is reduced to the centres of as many uniform segments.
        fit: 'squash' resizes each axis separately and keeps the whole frame; 'crop' keeps the aspect ratio and the
            centre square, at short side `size`.
    """

    size: int
    max_frames: int
    fit: Fit = "squash"

    def __post_init__(self) -> None:
        if self.size < 1 or self.max_frames < 1:
            raise ValueError(f"size {self.size} and max_frames {self.max_frames} must be at least 1")
        if self.fit not in ("squash", "crop"):
            raise ValueError(f"fit must be 'squash' or 'crop', not {self.fit!r}")

    @property
    def frame_bytes(self) -> int:
        """Size of a stored frame in bytes."""
        return self.size * self.size * 3


@dataclass(frozen=True)
class Part:
    """Part of a file, or of a folder of images, that a clip consists of; default: all of it.

    Attributes:
        start, end: the frames shown in [start, end), in seconds from the first frame of a file; for a recording, the
            rows [start, end).
        template: template of the image names in a folder, such as ``img_{:05d}.jpg``; '' for a file.
        frames: number of images in the folder; 0: unknown.
        sha256: required SHA-256 of the file, hexadecimal; '': unknown.
        recording: True if the file is a recording of temperatures (`_recording`).
    """

    start: float = 0.0
    end: float = math.inf
    template: str = ""
    frames: int = 0
    sha256: str = ""
    recording: bool = False

    @property
    def whole(self) -> bool:
        """True if the clip is the whole file or folder."""
        return self.start == 0.0 and self.end == math.inf


WHOLE = Part()


def default_decoder() -> str:
    """'decord' if it is installed (decord2 has the same import name), else 'pyav'."""
    return "decord" if find_spec("decord") else "pyav"
