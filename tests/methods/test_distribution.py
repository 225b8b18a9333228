"""Pruning of a distribution's options, by count and by what an optimiser remembers."""

import numpy as np
import pytest
import torch

from pvnas_bench.methods import FactorisedDistribution
from pvnas_bench.space import Decision, SearchSpace
from pvnas_bench.spaces.st_default import SPACE


def one_decision(n: int) -> SearchSpace:
    options = tuple(map(str, range(n)))
    return SearchSpace(
        "one", 1, [Decision("a", options, "modular", "a")], description="", caps={}, reference={"a": "0"}, experts={}
    )


@pytest.mark.parametrize("n", range(1, 26))
def test_the_floor_of_the_ratio_is_pruned(n: int) -> None:
    for kept, expected in ((n - 1, range(4 * n // 10)), (0, range(1, 4 * n // 10 + 1))):
        space = one_decision(n)
        distribution = FactorisedDistribution(space)
        with torch.no_grad():
            distribution.logits[0].copy_(torch.arange(1, n + 1).log())
        optimiser = torch.optim.Adam(distribution.parameters())
        pruned = distribution.prune_least(0.4, space.architecture([kept]), optimiser)
        assert pruned == [("a", str(option)) for option in expected]
        assert distribution.options_left() == n - len(expected)
        left = distribution.probabilities()["a"].detach().numpy()
        assert set(np.flatnonzero(left == 0)) == set(expected)


def test_the_ratio_is_of_the_options_left() -> None:
    space = one_decision(7)
    distribution = FactorisedDistribution(space)
    optimiser = torch.optim.Adam(distribution.parameters())
    left = []
    for _ in range(4):
        distribution.prune_least(0.4, space.reference, optimiser)
        left.append(distribution.options_left())
    assert left == [5, 3, 2, 2]


def test_the_least_probable_go_and_adam_forgets_them() -> None:
    distribution, generator = FactorisedDistribution(SPACE), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(distribution.parameters())
    with torch.no_grad():
        for logit in distribution.logits:
            logit.copy_(torch.randn(len(logit), generator=generator))
    torch.stack([(logit**3).sum() for logit in distribution.logits]).sum().backward()
    optimiser.step()
    before = [logit.detach().clone() for logit in distribution.logits]
    moments = [optimiser.state[logit]["exp_avg_sq"].clone() for logit in distribution.logits]
    keep = SPACE.experts["c2d"]
    distribution.prune_least(0.4, keep, optimiser)
    for i, logit in enumerate(distribution.logits):
        gone = {o for o in range(len(logit)) if not logit[o].isfinite()}
        candidates = [o for o in before[i].argsort().tolist() if o != keep.choices[i]]
        assert gone == set(candidates[: 4 * len(logit) // 10])
        for o in range(len(logit)):
            moment = float(optimiser.state[logit]["exp_avg_sq"][o])
            assert moment == (0.0 if o in gone else float(moments[i][o]))
