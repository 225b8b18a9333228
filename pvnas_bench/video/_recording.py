"""Clips as rows of a recording: a CSV file with the temperatures of a 16 × 16 sensor, one row per frame.

A recording has two header lines (the date; `Time (sec),PTAT,P000` to `P255`), then the rows. A frame shows each pixel's
temperature above its median over the recording: −0.9 to 1.8 °C map to 0 to 255. The sensor averages over time and
starts at zero, so the first dozen rows rise to room temperature: they count as frames, but not for the median. Rows are
counted from 0, about 0.11 s apart. Their times are uneven (0.03 to 1.06 s apart) and not used.
"""

import os
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video._spec import ClipError, Part

SIDE = 16
"""Pixels of the sensor along each axis."""
ENLARGED = 3
"""Pixels of a frame per pixel of the sensor, along each axis."""
SETTLING = 15
"""Rows at the start before the sensor has settled."""
COLDEST, WARMEST = -0.9, 1.8
"""°C above the median that map to 0 and 255."""

_HEADER = ("Time (sec)", "PTAT", *(f"P{pixel:03d}" for pixel in range(SIDE * SIDE)))
_KEPT = 512
"""Recordings cached per process, about 120 KB each, as clips may be requested in any order."""
_SAMPLED_BYTES = 4096
"""Bytes to read from each end: more than a row."""


def read_recording(path: Path, part: Part, wanted: Container[int] | None = None) -> Iterator[NDArray[np.uint8] | None]:
    """Iterate over a clip's frames in order: (48, 48, 3), equal channels, if the position is selected, else None.

    Args:
        wanted: selected positions in the clip; None: all.

    Raises:
        ClipError: the file is not such a recording, or ends before the clip does.
        OSError: the file cannot be read.
    """
    pixels = _pixels(path)
    for position, row in enumerate(rows(path, part)):
        if wanted is None or position in wanted:
            grey = pixels[row].repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
            yield np.repeat(grey[:, :, None], 3, axis=2)
        else:
            yield None


def rows(path: Path, part: Part) -> range:
    """The rows of a clip.

    Raises:
        ClipError: the file is not such a recording, or ends before the clip does.
        OSError: the file cannot be read.
    """
    held = len(_pixels(path))
    first, end = int(part.start), held if part.end == float("inf") else int(part.end)
    if not 0 <= first < end <= held:
        raise ClipError(f"rows {first} to {end - 1} of a recording that holds rows 0 to {held - 1}")
    return range(first, end)


def sample(path: Path) -> bytes:
    """First and last lines of a recording, as a sample of its content that does not depend on line endings.

    The last row contains its time, and so reveals a change of length.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLED_BYTES)
        file.seek(-min(_SAMPLED_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
        tail = file.read(_SAMPLED_BYTES)
    # Line endings have one or two bytes, so each piece is cut at one.
    first = b"\n".join(head.splitlines()[:2])
    last = (tail.splitlines() or [b""])[-1]
    return first + b"\n" + last


def _pixels(path: Path) -> NDArray[np.uint8]:
    seen = path.stat()
    return _parsed(path, seen.st_size, seen.st_mtime_ns)


@lru_cache(maxsize=_KEPT)
def _parsed(path: Path, size: int, changed: int) -> NDArray[np.uint8]:
    """Frames (rows, 16, 16) of a recording; size and modification time are arguments so that a changed file misses."""
    del size, changed
    celsius = _temperatures(path)
    usual = np.median(celsius[SETTLING:], axis=0)
    share = (celsius - usual - COLDEST) / (WARMEST - COLDEST)
    pixels = np.rint(np.clip(share * 255, 0, 255)).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def _temperatures(path: Path) -> NDArray[np.float64]:
    """Temperatures (rows, 16, 16) in °C."""
    try:
        lines = path.read_bytes().decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise ClipError("not a recording: the file is not text") from None
    if len(lines) < 2 or tuple(name.strip() for name in lines[1].split(",")) != _HEADER:
        raise ClipError("not a recording: line 2 is not Time (sec),PTAT,P000 to P255")
    while not lines[-1].strip():
        lines.pop()
    if len(lines) - 2 <= SETTLING:
        raise ClipError(f"{len(lines) - 2} rows: the sensor settles during the first {SETTLING}")
    celsius = np.empty((len(lines) - 2, SIDE * SIDE))
    for row, line in enumerate(lines[2:]):
        fields = line.split(",")
        if len(fields) != len(_HEADER):
            raise ClipError(f"line {row + 3} has {len(fields)} columns, expected {len(_HEADER)}")
        try:
            celsius[row] = [float(field) for field in fields[2:]]
        except ValueError as error:
            raise ClipError(f"line {row + 3}: {error}"[:120]) from None
        if not np.isfinite(celsius[row]).all():
            raise ClipError(f"line {row + 3}: a temperature is not finite")
    return celsius.reshape(-1, SIDE, SIDE)
