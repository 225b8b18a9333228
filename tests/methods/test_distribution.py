"""Pruning of a distribution's options, by count and by what an optimiser remembers; ties between options."""

from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven

from pvnas_bench.methods import FactorisedDistribution, JointDistribution
from pvnas_bench.network.cost import CostModel
from pvnas_bench.space import Caps, Decision, SearchSpace
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


# --- ties -------------------------------------------------------------------------------------------------------------

COSTS = CostModel(SPACE, 16)
CAP = Caps(macs=SPACE.caps["L"])


@pytest.mark.parametrize("kind", [FactorisedDistribution, JointDistribution])
def test_a_uniform_distribution_is_not_the_smallest_network(
    kind: type[FactorisedDistribution | JointDistribution],
) -> None:
    """Over many searches its best architecture costs as much as random ones under the cap."""
    found = [kind(SPACE, rng=np.random.default_rng(seed)).best(COSTS, CAP) for seed in range(60)]
    rng = np.random.default_rng(0)
    random = [a for a in (SPACE.sample(rng) for _ in range(1000)) if CAP.allow(COSTS(a))]
    macs, typical = ([COSTS(a).macs for a in architectures] for architectures in (found, random))
    assert all(CAP.allow(COSTS(a)) for a in found)
    assert len(set(found)) == len(found)
    assert np.mean(macs) > np.mean(typical) - 3 * np.std(typical) / np.sqrt(len(macs))
    for i, decision in enumerate(SPACE.decisions):
        chosen = [a.choices[i] for a in found if a.choices[i] >= 0]
        assert max(np.bincount(chosen)) < 0.85 * len(chosen), decision.name


@pytest.mark.parametrize("kind", [FactorisedDistribution, JointDistribution])
def test_ties_are_broken_alike_throughout_a_search_and_by_default(
    kind: type[FactorisedDistribution | JointDistribution],
) -> None:
    distribution = kind(SPACE, rng=np.random.default_rng(5))
    assert len({distribution.best(COSTS, CAP) for _ in range(3)}) == 1
    assert kind(SPACE, rng=np.random.default_rng(5)).best(COSTS, CAP) == distribution.best(COSTS, CAP)
    assert kind(SPACE).best(COSTS, CAP) == kind(SPACE).best(COSTS, CAP)


@pytest.mark.parametrize("seed", range(3))
def test_the_least_preference_overrides_a_tie_break(seed: int) -> None:
    distribution = FactorisedDistribution(SPACE, rng=np.random.default_rng(seed))
    reference = SPACE.reference
    with torch.no_grad():
        for logit, choice in zip(distribution.logits, reference.choices, strict=True):
            if choice >= 0:
                logit[choice] += 1e-3
    assert distribution.best(COSTS, CAP) == reference
    joint = JointDistribution(SPACE, rng=np.random.default_rng(seed))
    joint.take(distribution)
    assert joint.best(COSTS, CAP) == reference


def test_searches_of_other_seeds_break_ties_otherwise(tiny_dataset: Path) -> None:
    first = {str(Driven("darts", tiny_dataset, 1.0, seed=seed).strategy.incumbent()) for seed in range(4)}
    assert len(first) == 4
    again = str(Driven("darts", tiny_dataset, 1.0, seed=0).strategy.incumbent())
    assert again in first
