"""Splitting of clips by subject."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MOST_EXCHANGES = 2**22
"""Maximum of exchanges times classes; beyond it only single moves are tried, which come close enough."""


def split_by_subject(labels: ArrayLike, subjects: ArrayLike, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose about `fraction` of the clips to hold out, with each subject on one side.

    A local search from a seeded order puts every class on both sides if its subjects allow it, then brings the share
    of clips as close as possible to `fraction`. A clip without a subject (-1 or the empty string) counts as a separate
    subject. With fewer than two named subjects, the split is by clip, stratified by class: each class with at least two
    clips is on both sides.

    Args:
        labels: (N,) class ids.
        subjects: (N,) subject ids or names.
        fraction: share of the clips to hold out, in (0, 1).
        seed: seed of the order; it gives the same split on all machines.

    Returns:
        Mask (N,), True for the held-out clips.

    Raises:
        ValueError: the lengths differ or the fraction is not in (0, 1).
    """
    label = np.asarray(labels)
    subject = np.asarray(subjects)
    if label.shape != subject.shape or label.ndim != 1:
        raise ValueError(f"labels {label.shape} and subjects {subject.shape} must be columns of one length")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    _, label = np.unique(label, return_inverse=True)
    anonymous = subject == "" if subject.dtype.kind in "UT" else subject < 0
    names, group = np.unique(subject, return_inverse=True)
    if len(np.unique(subject[~anonymous])) < 2:
        return _by_clip(label, fraction, seed)
    group[anonymous] = len(names) + np.arange(np.count_nonzero(anonymous))
    _, group = np.unique(group, return_inverse=True)
    counts = np.zeros((int(group.max()) + 1, int(label.max()) + 1), dtype=np.int64)
    np.add.at(counts, (group, label), 1)
    mask: NDArray[np.bool_] = _choose(counts, fraction * len(label), seed)[group]
    return mask


def _order(n: int, seed: int) -> NDArray[np.int64]:
    """Seeded permutation from raw bits, which numpy keeps stable, unlike `Generator.permutation` (NEP 19)."""
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def _by_clip(label: NDArray[Any], fraction: float, seed: int) -> NDArray[np.bool_]:
    order = _order(len(label), seed)
    sizes = np.bincount(label)
    quota = fraction * sizes
    held = np.clip(np.floor(quota), np.minimum(1, sizes - 1), sizes - 1).astype(np.int64)
    # Largest remainder: the classes most affected by rounding down get one more, up to the overall fraction.
    for c in np.argsort(held - quota, kind="stable"):
        if held.sum() + 0.5 <= quota.sum() and held[c] < sizes[c] - 1:
            held[c] += 1
    mask = np.zeros(len(label), dtype=np.bool_)
    for c, k in enumerate(held):
        mask[order[label[order] == c][:k]] = True
    return mask


def _choose(counts: NDArray[np.int64], target: float, seed: int) -> NDArray[np.bool_]:
    """Subjects to hold out, from `counts` (subjects, classes) of clips: fill greedily, then descend."""
    order = _order(len(counts), seed)
    counts = counts[order]
    chosen = np.zeros(len(counts), dtype=np.bool_)
    held = 0
    for g, size in enumerate(counts.sum(axis=1).tolist()):
        if abs(held + size - target) < abs(held - target):
            chosen[g] = True
            held += size
    divisible = (counts > 0).sum(axis=0) >= 2
    while True:
        # Row 0: no change; then each subject's move to the other side; then each exchange of two subjects.
        change = np.where(chosen, -1, 1)[:, None] * counts
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        if len(inside) * len(outside) * counts.shape[1] > _MOST_EXCHANGES:
            inside = outside = inside[:0]
        pairs = (change[inside][:, None] + change[outside]).reshape(-1, counts.shape[1])
        after = counts[chosen].sum(axis=0) + np.concatenate([0 * change[:1], change, pairs])
        missing = np.count_nonzero(divisible & ((after == 0) | (after == counts.sum(axis=0))), axis=1)
        gap = np.abs(after.sum(axis=1) - target)
        best = int(np.lexsort((gap, missing))[0])
        if best == 0:
            break
        if best <= len(counts):
            chosen[best - 1] ^= True
        else:
            first, second = divmod(best - 1 - len(counts), len(outside))
            chosen[[inside[first], outside[second]]] ^= True
    result = np.empty_like(chosen)
    result[order] = chosen
    return result
