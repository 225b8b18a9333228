"""Fronts: the tournament by crowding, against enumeration."""

from collections import Counter

import numpy as np
import pytest

from pvnas_bench import Evaluation
from pvnas_bench.methods import crowded_tournament, crowding_distance, objectives, pareto_front
from pvnas_bench.spaces.st_default import SPACE

ARCHITECTURE = SPACE.reference


def evaluation(top1: float, macs: int) -> Evaluation:
    return Evaluation(ARCHITECTURE, top1, 1.0, 1, macs, 1)


def test_the_less_crowded_member_of_the_front_wins_a_tournament() -> None:
    """Each of the n² ordered pairs is equally likely; its winner has the larger distance, the first of equal ones."""
    some = [evaluation(*point) for point in ((0.9, 90), (0.8, 60), (0.7, 50), (0.3, 40), (0.2, 10), (0.1, 95))]
    front = pareto_front(some)
    assert len(front) == 5
    distance = crowding_distance(objectives(front, 100))
    wins = Counter(
        front[i if distance[i] >= distance[j] else j].macs for i in range(len(front)) for j in range(len(front))
    )
    rng, draws = np.random.default_rng(0), 25_000
    drawn = Counter(crowded_tournament(some, 100, rng).macs for _ in range(draws))
    for macs, count in wins.items():
        assert drawn[macs] == pytest.approx(draws * count / 25, abs=5 * draws**0.5)
    assert drawn.keys() == wins.keys()


def test_a_tournament_needs_evaluations() -> None:
    with pytest.raises(ValueError, match="needs an evaluation"):
        crowded_tournament([], 100, np.random.default_rng(0))
