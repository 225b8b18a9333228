"""Clips as folders of images, one per frame."""

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
    """Template of the first numbered image by name, such as ``img_{:05d}.jpg``; '' if there is none.

    A folder with several kinds of images, such as RGB and optical flow, needs a description with the template.
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
    """Return True if a text has exactly one field for a number, such as ``{:05d}`` or ``{}``, and no folder."""
    fields = _FIELD.findall(text)
    rest = _FIELD.sub("", text)
    return len(fields) == 1 and not set("{}/\\") & set(rest)


def numbers(folder: Path, template: str, frames: int) -> range:
    """Numbers of a clip's images, ascending: from 0 or 1, else from the first one present.

    Args:
        frames: required number of images; 0: all that exist.

    Raises:
        ClipError: there are no images, one in between is missing, or there are fewer than required.
    """
    head, tail = _FIELD.split(template)[0], _FIELD.split(template)[-1]
    values = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(head) and name.endswith(tail):
                digits = name[len(head) : len(name) - len(tail)]
                if digits.isdecimal() and digits.isascii() and template.format(int(digits)) == name:
                    values.append(int(digits))
    if not values:
        raise ClipError(f"no image {template} in the folder")
    values.sort()
    if frames and len(values) < frames:
        raise ClipError(f"truncated: holds {len(values)} of {frames} frames")
    if frames:
        values = values[:frames]
    gap = np.flatnonzero(np.diff(values) != 1)
    if gap.size:
        raise ClipError(f"{template.format(values[gap[0]] + 1)} is missing")
    return range(values[0], values[-1] + 1)


def read_images(
    folder: Path, template: str, chosen: range, wanted: Container[int]
) -> Iterator[NDArray[np.uint8] | None]:
    """Iterate over the frames in order: (H, W, 3) RGB if the position is selected, else None.

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
