"""Decoding jobs for the pool's workers, created one at a time, and their answers."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _pool
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import DECODERS, IMAGES, RECORDING, WHOLE, CacheSpec, default_decoder

CLIP_SECONDS = 60.0
"""Longest time to decode a clip, in seconds; a minute of 1080p takes about a tenth of it."""
_PACKAGES = {"decord": ("decord", "decord2"), "pyav": ("av",), IMAGES: ("pillow",), RECORDING: ("numpy",)}
_DEFAULTS = asdict(WHOLE)


def decoder_of(dataset: Dataset, decoder: str | None) -> str:
    """Name of the decoder: the requested one, else the default; folders of images and recordings have only one."""
    if dataset.recordings:
        return RECORDING
    return IMAGES if dataset.template else decoder or default_decoder()


def decoder_version(decoder: str) -> str:
    """Package and version of a decoder.

    Raises:
        UsageError: the decoder is not installed.
    """
    for package in _PACKAGES[decoder]:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    raise UsageError(f"the decoder {decoder!r} is not installed: install it or choose one of {', '.join(DECODERS)}")


class DecodeJobs:
    """Arguments of each clip's job, created on access, so that there is no Python object per clip."""

    def __init__(self, dataset: Dataset, spec: CacheSpec, decoder: str, clips: NDArray[np.int64]) -> None:
        self.dataset, self.spec, self.decoder, self.clips = dataset, spec, decoder, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, job: int) -> Mapping[str, Any]:
        clip = int(self.clips[job])
        part = {key: value for key, value in asdict(self.dataset.part(clip)).items() if value != _DEFAULTS[key]}
        path = str(self.dataset.path(clip).absolute())
        return {"path": path, "part": part, **asdict(self.spec), "decoder": self.decoder}


def answers(task: str, jobs: DecodeJobs, workers: int) -> Iterator[_pool.Answer]:
    """Iterate over the answers to all jobs, in any order.

    Clips on which decord crashes or hangs are decoded by PyAV at the end; `meta` of their answers contains `by_pyav`.
    """
    lost: list[int] = []
    for answer in _pool.run(task, jobs, workers=workers, timeout=CLIP_SECONDS):
        if answer.lost and jobs.decoder == "decord":
            lost.append(answer.job)
        else:
            yield answer
    again = DecodeJobs(jobs.dataset, jobs.spec, "pyav", jobs.clips[lost])
    for answer in _pool.run(task, again, workers=workers, timeout=CLIP_SECONDS):
        yield replace(answer, job=lost[answer.job], meta={**answer.meta, "by_pyav": True})
