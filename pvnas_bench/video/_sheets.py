"""Contact sheets: one image per class, one row per clip, with its frames from left to right."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video import _pool
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._jobs import DecodeJobs, answers, decoder_of
from pvnas_bench.video._sampling import segment_centres
from pvnas_bench.video._spec import CacheSpec

if TYPE_CHECKING:
    from PIL.Image import Image

_TILE, _GAP, _LINE = 96, 4, 16
"""Pixels: side of a frame, gap between frames, height of a text line."""
_INK, _PALE, _PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


def write_sheets(
    dataset: Dataset, folder: Path, labels: Sequence[int], *, clips: int, frames: int, workers: int | None = None
) -> list[Path]:
    """Write a PNG for each of these classes, with clips spread evenly over the class.

    Args:
        clips: maximum number of rows of a sheet.
        frames: number of frames per clip, the centres of uniform segments; a shorter clip repeats frames.

    Returns:
        The files, in the order of the labels.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [_spread(np.flatnonzero(dataset.labels == label), clips) for label in labels]
    jobs = DecodeJobs(dataset, CacheSpec(_TILE, frames), decoder_of(dataset, None), np.concatenate(chosen))
    shown: dict[int, NDArray[np.uint8] | str] = {}
    for answer in answers("decode", jobs, workers or _pool.usable_cores()):
        pixels = np.frombuffer(answer.payload, dtype=np.uint8).reshape(-1, _TILE, _TILE, 3)
        shown[int(jobs.clips[answer.job])] = pixels if answer.error is None else answer.error
    paths = []
    for label, rows in zip(labels, chosen, strict=True):
        name = re.sub(r"[^\w.-]+", "_", dataset.classes[label])[:60]
        paths.append(folder / f"{label:03d}-{name}.png")
        _sheet(dataset, label, rows, shown, frames).save(paths[-1])
    return paths


def _spread(clips: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of these values, evenly spread."""
    return clips if len(clips) <= count else clips[segment_centres(len(clips), count)]


def _sheet(
    dataset: Dataset,
    label: int,
    rows: NDArray[np.int64],
    shown: dict[int, NDArray[np.uint8] | str],
    frames: int,
) -> "Image":
    from PIL import Image, ImageDraw

    step = _LINE + _TILE + _GAP
    sheet = Image.new("RGB", (frames * (_TILE + _GAP) + _GAP, 2 * _LINE + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(sheet)
    count = int((dataset.labels == label).sum())
    draw.text((_GAP, _GAP), f"{dataset.classes[label]}: {len(rows)} of {count} clips", _INK)
    for number, clip in enumerate(rows.tolist()):
        top = 2 * _LINE + number * step
        draw.text((_GAP, top), f"{dataset.splits[clip]}  {dataset.paths[clip]}", _PALE)
        pixels = shown[clip]
        if isinstance(pixels, str):
            draw.text((_GAP, top + _LINE), pixels, _INK)
            continue
        for column, frame in enumerate(segment_centres(len(pixels), frames).tolist()):
            sheet.paste(Image.fromarray(pixels[frame]), (_GAP + column * (_TILE + _GAP), top + _LINE))
    return sheet
