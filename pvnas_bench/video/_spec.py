"""What the cache keeps of each clip, which part of a file the clip is, and which decoder reads it."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

DECODERS = ("decord", "pyav")
IMAGES = "images"
"""How clips are read that are folders of images."""
RECORDING = "recording"
"""How clips are read that are rows of recordings of temperatures."""

# One value for the three channels, in units of the range of a pixel: PySlowFast's DATA.MEAN and DATA.STD.
MEAN, STD = 0.45, 0.225

NO_FILE = "no such file"
"""Why a clip cannot be read whose file is not there."""

Fit = Literal["squash", "crop"]


class ClipError(Exception):
    """A clip that cannot be read; the message is the reason."""


@dataclass(frozen=True)
class CacheSpec:
    """What the cache keeps of each clip.

    Attributes:
        size: side of the stored square, in pixels.
        max_frames: a longer clip is reduced to the centres of this many uniform segments.
        fit: 'squash' resizes each axis on its own and keeps everything in view; 'crop' keeps the proportions and
            the centre square, at short side `size`.
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
        """Bytes of one stored frame."""
        return self.size * self.size * 3


@dataclass(frozen=True)
class Part:
    """Which frames of a file, or of a folder of images, are the clip; everything unless said otherwise.

    Attributes:
        start, end: seconds from the first frame of a file; the frames shown in [start, end). Of a recording: its rows
            [start, end).
        template: name of an image of a folder by its number, such as ``img_{:05d}.jpg``; '' for a file.
        frames: images that the folder holds, 0 where that is not known.
        sha256: what the file must hash to, in hexadecimal digits; '' where that is not known.
        recording: the file is a recording of temperatures (`_recording`).
    """

    start: float = 0.0
    end: float = math.inf
    template: str = ""
    frames: int = 0
    sha256: str = ""
    recording: bool = False

    @property
    def whole(self) -> bool:
        """Whether the clip is everything that there is."""
        return self.start == 0.0 and self.end == math.inf


WHOLE = Part()


def default_decoder() -> str:
    """'decord' where it is installed (decord2 imports under the same name), else 'pyav'."""
    return "decord" if find_spec("decord") else "pyav"
