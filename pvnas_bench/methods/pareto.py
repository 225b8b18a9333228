"""Pareto fronts of accuracy and MACs."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from pvnas_bench.problem import Evaluation

Floats = npt.NDArray[np.float64]


def objectives(evaluations: Sequence[Evaluation], cap: int) -> Floats:
    """Objectives to minimise, (n, 2): error, and MACs divided by the cap."""
    return np.array([[1 - e.top1, e.macs / cap] for e in evaluations]).reshape(-1, 2)


def pareto_front(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Non-dominated evaluations, sorted by MACs; equal points are all included."""
    if not evaluations:
        return []
    mask = moocore.is_nondominated(np.array([[-e.top1, e.macs] for e in evaluations]), keep_weakly=True)
    return sorted((e for e, keep in zip(evaluations, mask, strict=True) if keep), key=lambda e: e.macs)


def dominates(front: Sequence[Evaluation], evaluation: Evaluation) -> bool:
    """Return True if any member of a front is at least as good in both objectives."""
    return any(e.top1 >= evaluation.top1 and e.macs <= evaluation.macs for e in front)


def hypervolume(evaluations: Sequence[Evaluation], cap: int) -> float:
    """Area dominated by a front, in units of (accuracy × cap); the reference point is error 1 at the cap."""
    return float(moocore.hypervolume(objectives(pareto_front(evaluations), cap), ref=[1.0, 1.0]))


def crowding_distance(points: Floats) -> Floats:
    """Crowding distance of NSGA-II: gap between both neighbours, summed over objectives; infinite at the ends."""
    distance = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]] or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distance


def crowded_tournament(evaluations: Sequence[Evaluation], cap: int, rng: np.random.Generator) -> Evaluation:
    """The less crowded of two random members of the front (NSGA-II's tournament, Deb et al. 2002, within one front).

    Raises:
        ValueError: there are no evaluations.
    """
    if not evaluations:
        raise ValueError("a tournament needs an evaluation")
    front = pareto_front(evaluations)
    distance = crowding_distance(objectives(front, cap))
    one, other = (int(i) for i in rng.integers(len(front), size=2))
    return front[one if distance[one] >= distance[other] else other]
