"""What a network on features owes to time: its accuracy on shorter clips and on clips whose frames are shuffled.

Measured by the harness after the one test, on the same clips; it selects nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pvnas_bench.network.standalone import Classifier
from pvnas_bench.training.testing import test
from pvnas_bench.training.workbench import Workbench
from pvnas_bench.video import FeatureStore

SEED = 0
SHORTEST = 1
STEP = 4
"""Each window has so many times the frames of the one before."""


def window_lengths(longest: int) -> list[int]:
    """1, 4, 16 … frames, and all of the longest clip's."""
    lengths = [SHORTEST]
    while lengths[-1] * STEP < longest:
        lengths.append(lengths[-1] * STEP)
    return [length for length in lengths if length < longest] + [longest]


def time_controls(
    network: Classifier, macs: int, bench: Workbench, indices: npt.NDArray[np.int64]
) -> Mapping[str, Any]:
    """Top-1 of a trained network by the number of frames that it sees features of, and with frames shuffled.

    Args:
        macs: of one clip's forward pass, for the ledger.
        bench: with a `FeatureStore`.

    Returns:
        JSON values: ``clip_length``, a list of [frames, top1] (of each clip the central frames, at most so many), and
        ``frame_shuffle`` with ``top1`` and ``top1_shuffled``.
    """
    store = bench.store
    assert isinstance(store, FeatureStore)

    def top1(seen: FeatureStore) -> float:
        return test(network, macs, replace(bench, store=seen), indices).top1

    longest = int(store.durations[indices].max())
    lengths = [[frames, top1(store.window(frames))] for frames in window_lengths(longest)]
    return {
        "clip_length": lengths,
        "frame_shuffle": {"top1": lengths[-1][1], "top1_shuffled": top1(store.shuffled(SEED))},
    }
