"""`st_micro` is small, enumerated without repetition, and closed under the moves of searches."""

import numpy as np

from pvnas_bench import registry
from pvnas_bench.network.cost import CostModel

SPACE = registry.get_space("st_micro")
EVERY = list(SPACE.enumerate())


def test_the_enumeration_is_complete_and_unique() -> None:
    expected = 1
    for slot in SPACE.slots:
        kinds = len(set(slot.operators) - {"skip"})
        expected *= kinds * len(SPACE.expansions) + ("skip" in slot.operators)
    assert len(EVERY) == len(set(EVERY)) == len({str(a) for a in EVERY}) == SPACE.size == expected
    assert 500 <= SPACE.size <= 1300
    rng = np.random.default_rng(0)
    known = set(EVERY)
    assert {SPACE.sample(rng) for _ in range(20 * SPACE.size)} == known
    assert all(neighbour in known for neighbour in SPACE.neighbours(SPACE.reference))
    assert SPACE.mutate(EVERY[7], rng) in known
    assert SPACE.parse(str(EVERY[7])) == EVERY[7]


def test_every_architecture_is_under_the_cap() -> None:
    costs = CostModel(SPACE, 20)
    assert max(costs(a).macs for a in EVERY) <= min(SPACE.caps.values())
