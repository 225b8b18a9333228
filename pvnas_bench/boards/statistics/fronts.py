"""Fronts of accuracy against MACs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pvnas_bench.boards.statistics.ranking import Floats


def nondominated(macs: ArrayLike, scores: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the non-dominated points: no other point is at least as good in MACs and score and better in one."""
    from moocore import is_nondominated

    points = np.column_stack([np.asarray(macs, np.float64), -np.asarray(scores, np.float64)])
    return np.asarray(is_nondominated(points, keep_weakly=True), np.bool_)


def hypervolume(macs: ArrayLike, scores: ArrayLike, reference_macs: float, reference_score: float) -> float:
    """Hypervolume of points, normalised to [0, 1].

    It is the dominated share of the box between the reference point (most MACs, lowest score) and the ideal point
    (0 MACs, score 1); 0 if no point is better than the reference point.

    Raises:
        ValueError: the reference point's MACs are not positive, or its score is not in [0, 1).
    """
    from moocore import hypervolume as volume

    if reference_macs <= 0 or not 0 <= reference_score < 1:
        raise ValueError("the reference point needs positive MACs and a score in [0, 1)")
    points = np.column_stack([np.asarray(macs, np.float64), -np.asarray(scores, np.float64)])
    if not len(points):
        return 0.0
    return float(volume(points, ref=[reference_macs, -reference_score])) / (reference_macs * (1 - reference_score))


def box(cost: float, score: float, reference_cost: float, reference_score: float) -> float:
    """`hypervolume` of one point: the product of its shares of both sides of the box."""
    return max(1 - cost / reference_cost, 0.0) * max((score - reference_score) / (1 - reference_score), 0.0)


def attainment(fronts: Sequence[tuple[ArrayLike, ArrayLike]], percentile: float) -> tuple[Floats, Floats]:
    """Attainment surface: the front that a percentage of the runs attains (Fonseca and Fleming).

    Args:
        fronts: MACs and scores of the points of each run.
        percentile: the percentage.

    Returns:
        MACs, ascending, and scores of the surface's corners.
    """
    from moocore import eaf

    points = [np.column_stack([np.asarray(m, np.float64), -np.asarray(s, np.float64)]) for m, s in fronts]
    sets = np.concatenate([np.full(len(run), index + 1) for index, run in enumerate(points)])
    surface = np.asarray(eaf(np.concatenate(points), sets, percentiles=[percentile]), np.float64)
    surface = surface[np.argsort(surface[:, 0], kind="stable")]
    return surface[:, 0], -surface[:, 1]
