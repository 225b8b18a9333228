"""Test views: the temporal samples and spatial crops of a clip on which a network is tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

CENTRE = 0.875
"""Side of a crop relative to the frame: 224 of 256, as on Kinetics."""


@dataclass(frozen=True)
class Views:
    """Temporal samples × spatial crops of a clip; the softmax outputs of all views are averaged.

    Attributes:
        temporal: number of temporal samples. Uniform sampling interleaves them (see `segment_centres`); dense sampling
            spreads their windows evenly from the first to the last that fits, or centres a single one.
        spatial: number of crops: 1 (centre) or 3 (left, centre, right).
        crop: side of a crop relative to the stored square. None: 1 for one crop, 0.875 for three.
    """

    temporal: int = 1
    spatial: int = 1
    crop: float | None = None

    def __post_init__(self) -> None:
        if self.temporal < 1 or self.spatial not in (1, 3):
            raise ValueError(f"views must be at least 1 × 1, with 1 or 3 crops, not {self.temporal} × {self.spatial}")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ValueError(f"crop must lie in (0, 1], not {self.crop}")

    def __len__(self) -> int:
        return self.temporal * self.spatial

    @property
    def side(self) -> float:
        """Side of a crop relative to the stored square."""
        return self.crop or (1.0 if self.spatial == 1 else CENTRE)


VIEWS: Mapping[str, Views] = {
    "1 clip": Views(1, 1),
    "1 clip, centre crop": Views(1, 1, CENTRE),
    "2 clips, full resolution": Views(2, 1),
    "10 clips, 3 crops": Views(10, 3),
}
"""The field's conventions by name: the second is usual on UCF101 and in ablations (TSN, arXiv:1608.00859; TSM,
arXiv:1811.08383), the third on Something-Something V2 (TSM), the last on Kinetics with dense sampling (Non-local
networks, arXiv:1711.07971)."""


@cache
def named_views(name: str | tuple[int, int]) -> Views:
    """Views from a protocol: by name, or as temporal samples and spatial crops.

    Raises:
        ValueError: the name is unknown.
    """
    if isinstance(name, str) and name not in VIEWS:
        raise ValueError(f"unknown views {name!r}: choose one of {', '.join(map(repr, VIEWS))}")
    return VIEWS[name] if isinstance(name, str) else Views(*name)
