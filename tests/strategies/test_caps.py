"""Incumbents and fronts of every kind of search stay under caps on parameters and latency too."""

import numpy as np
import pytest

from pvnas_bench import BudgetExhausted, SearchFinished, registry, seeding
from pvnas_bench.conformance._world import World, space
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.families import timed_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.space import Caps

CLASSES, STEPS = 3, 8
BUDGET = 3.0
KINDS = (
    *("random_search", "local_search", "regularized_evolution", "successive_halving", "sm_nas"),
    *("pvnas", "da_nas", "fp_nas", "darts", "gdas", "enas", "spos", "nas_tc"),
    *("optuna_tpe", "optuna_nsga2", "nni_proxyless", "nni_spos", "naswot"),
)


@pytest.mark.parametrize("name", KINDS)
def test_a_search_stays_under_all_of_its_caps(clips: World, name: str) -> None:
    searched, rng = space("all"), np.random.default_rng(0)
    table = LatencyTable({layer: float(rng.uniform(0.1, 1.0)) for layer in timed_layers(searched, CLASSES)}, 0.2)
    costs = CostModel(searched, CLASSES, table)
    reference = costs(searched.reference)
    caps = Caps(None, reference.parameters, 0.9 * reference.latency_ms)
    assert not caps.allow(reference)
    problem, _ = clips.problem("all", 1, BUDGET, caps, table)
    kind = registry.get_strategy(name)
    unguarded = {"guard": False} if "guard" in kind.Config.model_fields else {}  # alphas move at chance, too
    strategy = kind.info.variants.get(problem.space.family, kind)(problem, kind.Config.model_validate(unguarded))
    with seeding.torch_seeded(problem.seed, "setup"):
        strategy.setup()
    for step in range(STEPS):
        assert all(caps.allow(costs(a)) for a in (strategy.incumbent(), *strategy.front()))
        with seeding.torch_seeded(problem.seed, "step", step):
            try:
                strategy.step()
            except (SearchFinished, BudgetExhausted):
                break
    assert all(caps.allow(costs(a)) for a in (strategy.incumbent(), *strategy.front()))
    assert 0 < problem.cap <= max(costs(searched.sample(rng)).macs for _ in range(2000))
