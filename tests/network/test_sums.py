"""The search under several caps equals enumeration, on blocks and on cells."""

import numpy as np
import pytest
import torch

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.knapsack import best_under_caps, decision_scores
from pvnas_bench.network.cost import CostModel, candidates
from pvnas_bench.network.families import Costs, cost_model, timed_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.network.metering import CapLoad, ExpectedCost
from pvnas_bench.network.sums import Scores, Sum, best_sum, least, lightest, most_macs, scores_of
from pvnas_bench.space import Architecture, BlockSpace, Caps, CellSpace, Limit, SearchSpace, Stage
from pvnas_bench.spaces.st_temporal_cell import BACKBONE
from pvnas_bench.spaces.st_temporal_cell import SPACE as CELLS

CLASSES = 5
BLOCKS = BlockSpace(
    "small",
    1,
    description="",
    frames=(2, 4),
    sizes=(12, 16),
    stem=4,
    stages=(Stage(8, 2, (1, 2)), Stage(16, 2, (1,))),
    head=16,
    operators=("s3", "f3", "skip"),
    expansions=(1, 2),
    se=("no", "se"),
    caps={"all": 10**9},
    reference={
        **{"frames": "2", "size": "12", "depth.1": "1", "depth.2": "1"},
        **{f"operator.{s}": "s3" for s in ("1.1", "2.1")},
        **{f"expansion.{s}": "e1" for s in ("1.1", "2.1")},
        **{f"se.{s}": "no" for s in ("1.1", "2.1")},
    },
    experts={},
)
SMALL_CELLS = CellSpace(
    "small_cells",
    1,
    description="",
    backbone=BACKBONE,
    steps=(8, 16),
    cells=(1, 2),
    channels=(32, 64),
    operators=("none", "skip", "t3", "max3"),
    caps={"all": 10**9},
    reference=CELLS.options(CELLS.parse("8-1-32/t3-skip-t3/_/_")),
    experts={},
)
SPACES: list[SearchSpace] = [BLOCKS, SMALL_CELLS]


def priced(space: SearchSpace) -> Costs:
    """A cost model with latencies that have little to do with MACs."""
    rng = np.random.default_rng(3)
    layers = timed_layers(space, CLASSES)
    table = LatencyTable({name: float(rng.uniform(0.1, 1.0)) for name in layers}, 0.2, 0.01, 1.3)
    return cost_model(space, CLASSES, table)


def every(space: SearchSpace) -> list[Architecture]:
    return list(space.enumerate())


def caps_at(costs: Costs, architectures: list[Architecture], share: float) -> list[Caps]:
    """Caps of each quantity alone, of two, and of all, at this quantile of the space."""
    found = [costs(a) for a in architectures]
    macs = int(np.quantile([c.macs for c in found], share))
    parameters = int(np.quantile([c.parameters for c in found], share))
    latency = float(np.quantile([c.latency_ms for c in found], share))
    return [
        Caps(latency_ms=latency),
        Caps(parameters=parameters),
        Caps(macs, None, latency),
        Caps(None, parameters, latency),
        Caps(macs, parameters, latency),
    ]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_a_sum_over_places_is_the_cost(space: SearchSpace) -> None:
    costs = priced(space)
    sums = list(costs.sums())
    for architecture in every(space)[::37]:
        (total,) = (s for s in sums if all(architecture.choices[d] == o for d, o in s.chosen.items()))
        cost = total.fixed
        macs, parameters, latency = cost.macs, cost.parameters, cost.latency_ms
        for chain in total.chains:
            depth = chain.depths[architecture.choices[chain.decision]]
            for place in chain.places[:depth]:
                one = place.costs[tuple(architecture.choices[m] for m in place.members)]
                macs, parameters, latency = (
                    macs + one.macs,
                    parameters + one.parameters,
                    latency + one.latency_ms,
                )
        whole = costs(architecture)
        assert (macs, parameters) == (whole.macs, whole.parameters)
        assert latency == pytest.approx(whole.latency_ms, rel=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_best_under_several_caps_is_that_of_enumeration(space: SearchSpace, share: float) -> None:
    costs, architectures = priced(space), every(space)
    rng = np.random.default_rng(int(100 * share))
    weights = rng.normal(size=3)

    def value(cost: object) -> float:  # any additive score: here a mixture of costs with random signs
        return float(
            weights[0] * cost.macs / 1e5  # type: ignore[attr-defined]
            + weights[1] * cost.parameters / 1e3  # type: ignore[attr-defined]
            + weights[2] * cost.latency_ms  # type: ignore[attr-defined]
        )

    for caps in caps_at(costs, architectures, share):
        allowed = [a for a in architectures if caps.allow(costs(a))]
        witness = lightest(costs, caps)
        assert (witness is None) == (not allowed)
        exact = best_sum(costs, caps, lambda total: scores_of(total, value), labels=None)
        coarse = best_sum(costs, caps, lambda total: scores_of(total, value), labels=16)
        if not allowed:
            assert exact is None and coarse is None
            continue
        assert witness is not None and caps.allow(costs(witness))
        assert exact is not None and caps.allow(costs(exact))
        assert value(costs(exact)) == pytest.approx(max(value(costs(a)) for a in allowed))
        assert coarse is not None and caps.allow(costs(coarse))
        assert most_macs(costs, caps) <= max(costs(a).macs for a in allowed)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_least_cost_is_that_of_enumeration(space: SearchSpace) -> None:
    costs, architectures = priced(space), every(space)
    for key in ("macs", "params", "latency"):
        limit = Limit(key, 0.0)
        assert least(costs, key, Caps()) == pytest.approx(min(limit.of(costs(a)) for a in architectures))


def test_caps_that_only_single_architectures_meet_are_met() -> None:
    costs, architectures = priced(BLOCKS), every(BLOCKS)
    for architecture in architectures[:: len(architectures) // 25]:
        cost = costs(architecture)
        caps = Caps(cost.macs, cost.parameters, cost.latency_ms)
        scores = {d.name: np.zeros(len(d.options)) for d in BLOCKS.decisions}
        assert isinstance(costs, CostModel)
        assert caps.allow(costs(best_under_caps(costs, caps, decision_scores(costs, scores), resolution=8)))


def test_a_score_of_minus_infinity_excludes_an_option() -> None:
    costs = priced(BLOCKS)

    def scored(total: Sum) -> Scores:
        plain = scores_of(total, lambda cost: float(cost.macs))
        return Scores(0.0 if total.chosen[0] == 0 else -np.inf, plain.depths, plain.places)

    caps = Caps(latency_ms=max(costs(a).latency_ms for a in every(BLOCKS)))
    found = best_sum(costs, caps, scored)
    assert found is not None and found.choices[0] == 0


def test_a_distribution_keeps_all_caps() -> None:
    costs, rng = priced(BLOCKS), np.random.default_rng(0)
    assert isinstance(costs, CostModel)
    distribution = FactorisedDistribution(BLOCKS)
    for logit in distribution.logits:
        logit.data += torch.from_numpy(rng.normal(size=len(logit)))
    log_p = {name: value.detach().numpy() for name, value in distribution.log_probabilities().items()}

    def loss(architecture: Architecture) -> float:
        rows = zip(BLOCKS.decisions, architecture.choices, strict=True)
        return sum(float(log_p[d.name][c] - log_p[d.name].max()) for d, c in rows if c >= 0)

    for caps in caps_at(costs, every(BLOCKS), 0.1):
        allowed = [a for a in every(BLOCKS) if caps.allow(costs(a))]
        if not allowed:
            continue
        best = distribution.best(costs, caps)
        assert caps.allow(costs(best))
        assert loss(best) == pytest.approx(max(loss(a) for a in allowed), abs=1e-6)


def test_the_load_is_that_of_the_cap_that_binds() -> None:
    costs = priced(BLOCKS)
    assert isinstance(costs, CostModel)
    p = FactorisedDistribution(BLOCKS).log_table().exp()
    expected = {key: ExpectedCost(costs, key=key)(p).item() for key in ("macs", "params", "latency")}
    caps = Caps(int(2 * expected["macs"]), int(4 * expected["params"]), expected["latency"] / 3)
    assert float(CapLoad(costs, caps)(p, 0.5)) == pytest.approx(6.0, rel=1e-3)
    alone = CapLoad(costs, Caps(macs=int(2 * expected["macs"])))(p, 0.9)
    assert float(alone) == float((ExpectedCost(costs)(p) / (0.9 * int(2 * expected["macs"]))).float())


def test_expected_latency_is_the_mean_over_samples_of_candidates() -> None:
    costs = priced(BLOCKS)
    assert isinstance(costs, CostModel)
    distribution = FactorisedDistribution(BLOCKS)
    probabilities = {name: value.detach().numpy() for name, value in distribution.probabilities().items()}
    mean = 0.0
    for architecture in every(BLOCKS):
        rows = zip(BLOCKS.decisions, architecture.choices, strict=True)
        share = np.prod([probabilities[d.name][c] for d, c in rows if c >= 0])
        mean += float(share) * costs(architecture).latency_ms
    skipped = [c for slot in BLOCKS.slots for c, block in candidates(BLOCKS, slot) if block is None]
    assert skipped
    assert float(ExpectedCost(costs, key="latency")(distribution.log_table().exp())) == pytest.approx(mean, rel=1e-5)
