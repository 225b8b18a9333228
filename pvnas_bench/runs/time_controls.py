"""Time controls: how much a network on features relies on temporal order.

The harness measures its accuracy on shorter and on shuffled clips, after the single test and on the same clips. Nothing
is selected by these measurements.
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
"""Ratio between successive window lengths."""


def window_lengths(longest: int) -> list[int]:
    """Window lengths: 1, 4, 16 … frames, and the longest clip's."""
    lengths = [SHORTEST]
    while lengths[-1] * STEP < longest:
        lengths.append(lengths[-1] * STEP)
    return [length for length in lengths if length < longest] + [longest]


def time_controls(
    network: Classifier, macs: int, bench: Workbench, indices: npt.NDArray[np.int64]
) -> Mapping[str, Any]:
    """Top-1 of a trained network by number of frames, and with shuffled frames.

    Args:
        macs: MACs of one clip's forward pass, for the ledger.
        bench: workbench with a `FeatureStore`.

    Returns:
        JSON values: ``clip_length``, a list of [frames, top1] (at most that many central frames of each clip), and
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
