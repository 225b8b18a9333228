"""What the cache keeps of each clip, and which decoder reads it."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

DECODERS = ("decord", "pyav")

Fit = Literal["squash", "crop"]


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


def default_decoder() -> str:
    """'decord' where it is installed (decord2 imports under the same name), else 'pyav'."""
    return "decord" if find_spec("decord") else "pyav"
