"""The jobs of decoding a data set's clips, made one at a time for the pool's workers."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.errors import UsageError
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._spec import DECODERS, IMAGES, RECORDING, WHOLE, CacheSpec, default_decoder

CLIP_SECONDS = 60.0
"""A clip that takes longer to decode is given up; a minute of 1080p takes about a tenth of that."""
_PACKAGES = {"decord": ("decord", "decord2"), "pyav": ("av",), IMAGES: ("pillow",), RECORDING: ("numpy",)}
_DEFAULTS = asdict(WHOLE)


def decoder_of(dataset: Dataset, decoder: str | None) -> str:
    """The decoder that is asked for, or the usual one; folders of images and recordings have only one."""
    if dataset.recordings:
        return RECORDING
    return IMAGES if dataset.template else decoder or default_decoder()


def decoder_version(decoder: str) -> str:
    """Package and version of a decoder.

    Raises:
        UsageError: it is not installed.
    """
    for package in _PACKAGES[decoder]:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    raise UsageError(f"the decoder {decoder!r} is not installed: install it or choose one of {', '.join(DECODERS)}")


class DecodeJobs:
    """The arguments of each clip's job, made when asked for: no clip is a Python object before."""

    def __init__(self, dataset: Dataset, spec: CacheSpec, decoder: str, clips: NDArray[np.int64]) -> None:
        self._dataset, self._settings, self.clips = dataset, {**asdict(spec), "decoder": decoder}, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, job: int) -> Mapping[str, Any]:
        clip = int(self.clips[job])
        part = {key: value for key, value in asdict(self._dataset.part(clip)).items() if value != _DEFAULTS[key]}
        return {"path": str(self._dataset.path(clip).absolute()), "part": part, **self._settings}
