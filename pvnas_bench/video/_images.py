"""Clips that are folders of images, one for each frame."""

import os
import re
from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._spec import ClipError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")

_NUMBERED = re.compile(r"(.*?)(\d+)(\.\w+)$")
_FIELD = re.compile(r"\{(?::0?(\d*)d?)?\}")


def find_template(folder: Path) -> str:
    """The template of the first numbered image by name, such as ``img_{:05d}.jpg``; '' where there is none.

    A folder with several kinds of images, such as pictures beside optical flow, needs a description that says which.
    """
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name.lower().endswith(IMAGE_SUFFIXES))
        matches = (_NUMBERED.fullmatch(name) for name in names if not name.startswith("."))
        kinds = ((match[1], match[3], len(match[2])) for match in matches if match)
        first = min(kinds, default=None)
    if first is None:
        return ""
    prefix, suffix, digits = first
    return f"{prefix}{{:0{digits}d}}{suffix}"


def is_template(text: str) -> bool:
    """Whether a text names exactly one number, as ``{:05d}`` or ``{}``, and no folder."""
    fields = _FIELD.findall(text)
    rest = _FIELD.sub("", text)
    return len(fields) == 1 and not set("{}/\\") & set(rest)


def numbers(folder: Path, template: str, frames: int) -> range:
    """The numbers of the images of a clip, which begin at 0 or 1 unless they begin later.

    Args:
        frames: how many there must be; 0: as many as there are.

    Raises:
        ClipError: there is none, one is missing, or fewer than stated.
    """
    head, tail = _FIELD.split(template)[0], _FIELD.split(template)[-1]
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(head) and name.endswith(tail):
                digits = name[len(head) : len(name) - len(tail)]
                if digits.isdecimal() and digits.isascii() and template.format(int(digits)) == name:
                    found.append(int(digits))
    if not found:
        raise ClipError(f"no image {template} in the folder")
    found.sort()
    if frames and len(found) < frames:
        raise ClipError(f"truncated: holds {len(found)} of {frames} frames")
    if frames:
        found = found[:frames]
    gap = np.flatnonzero(np.diff(found) != 1)
    if gap.size:
        raise ClipError(f"{template.format(found[gap[0]] + 1)} is missing")
    return range(found[0], found[-1] + 1)


def read_images(
    folder: Path, template: str, chosen: range, wanted: Container[int]
) -> Iterator[NDArray[np.uint8] | None]:
    """Every frame in order: (H, W, 3) RGB if its position is wanted, else None.

    Raises:
        ClipError: an image cannot be read, or is of another size than the first.
    """
    from PIL import Image

    shape: tuple[int, ...] | None = None
    for position, number in enumerate(chosen):
        if position not in wanted:
            yield None
            continue
        name = template.format(number)
        try:
            with Image.open(folder / name) as image:
                frame = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = str(error).replace(str(folder), "").splitlines()[0][:120]
            raise ClipError(f"{name}: {reason}") from error
        if shape is not None and frame.shape != shape:
            raise ClipError(f"{name} is {frame.shape[1]}×{frame.shape[0]}, others {shape[1]}×{shape[0]}")
        shape = frame.shape
        yield frame
