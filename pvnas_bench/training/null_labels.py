"""Permuted labels of search-val, for null searches.

A null search sees the clips of search-val with the labels of other clips of search-val, so it can learn nothing about
which architecture is more accurate.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from pvnas_bench import seeding
from pvnas_bench.video import ClipBatch


def permuted(labels: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Labels (N,) in a random order."""
    return seeding.generator(seed, "null").permutation(labels.astype(np.int64))


def permuted_within_batches(batches: Iterator[ClipBatch], seed: int) -> Iterator[ClipBatch]:
    """Batches whose labels are permuted within each batch."""
    for number, batch in enumerate(batches):
        yield replace(batch, labels=torch.from_numpy(permuted(batch.labels.numpy(), seeding.derive(seed, number))))


def relabelled(batches: Iterator[ClipBatch], labels: NDArray[np.int64]) -> Iterator[ClipBatch]:
    """Batches whose labels are these, (N,) for the N clips of all batches in order."""
    start = 0
    for batch in batches:
        stop = start + len(batch)
        yield replace(batch, labels=torch.from_numpy(labels[start:stop]))
        start = stop
