"""Searches with a supernet, or with NNI's, pay for what torch computes: the ledger against counted MACs."""

from pathlib import Path

import pytest
import torch
from counted import Counted
from driven import Driven

from pvnas_bench import BlockSpace, BudgetExhausted, Problem, SearchFinished, registry, seeding
from pvnas_bench.ledger import Ledger
from pvnas_bench.methods import FactorisedDistribution, mixture_plan
from pvnas_bench.network.cost import CostModel, stem_cost
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Supernet, path_plan
from pvnas_bench.spaces import st_default, st_micro
from pvnas_bench.training import process

BUDGET = 1.0
NNI = {name: {"budget": 6.0, "steps": 1} for name in ("nni_darts", "nni_gumbel_darts", "nni_proxyless", "nni_spos")}
SUPERNETS = [
    ("bn_nas", {}),
    ("bn_nas", {"trained": "all"}),
    ("da_nas", {}),
    ("darts", {}),
    ("darts", {"order": "second", "hessian_every": 2}),
    ("drnas", {}),
    ("enas", {}),
    ("fairnas", {}),
    ("fp_nas", {}),
    ("gdas", {}),
    ("gdas", {"learn_input": True}),
    ("nas_tc", {}),
    ("parsec", {}),
    ("pc_darts", {}),
    ("pvnas", {}),
    ("random_search_ws", {}),
    ("sdas", {}),
    ("spos", {"verify": 1}),
]


@pytest.mark.parametrize(("name", "settings"), [*SUPERNETS, *((name, {}) for name in NNI)])
def test_the_ledger_is_what_is_computed(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, object]
) -> None:
    """Forward passes to the MAC; backward passes at most: gradients of inputs that nothing needs are charged too."""
    special = NNI.get(name, {"budget": BUDGET, "steps": 500})
    driven = Driven(name, tiny_dataset, special["budget"], **settings)
    strategy, ledger = driven.strategy, driven.problem.ledger
    backwards, charge = [0], Ledger.backward
    monkeypatch.setattr(Ledger, "backward", lambda self, macs: (backwards.append(macs), charge(self, macs))[1])
    start = ledger.macs
    with process.configured(1, True), Counted() as counted:
        for step in range(int(special["steps"])):
            with seeding.torch_seeded(0, "step", step):
                try:
                    strategy.step()
                except (BudgetExhausted, SearchFinished):
                    break
    assert ledger.macs - start - sum(backwards) == counted.forward > 0
    assert 0.85 * sum(backwards) < counted.backward <= sum(backwards)


def test_every_strategy_with_a_supernet_is_driven(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: set[str] = set()
    build = Problem.supernet
    for kind in registry.all_strategies():
        name = kind.info.name
        if "mbconv" in kind.info.families and not name.startswith("nni"):
            monkeypatch.setattr(Problem, "supernet", lambda *words, n=name: (made.add(n), build(*words))[1])
            Driven(name, tiny_dataset, BUDGET)
    assert made == {name for name, _ in SUPERNETS}
    assert set(NNI) == {kind.info.name for kind in registry.all_strategies() if kind.info.name.startswith("nni")}


@pytest.mark.parametrize("space", [st_default.SPACE, st_micro.SPACE], ids=lambda space: space.name)
@pytest.mark.parametrize("part", [1, 3, 4])
def test_a_mixture_costs_what_is_computed_at_every_input(space: BlockSpace, part: int) -> None:
    network, costs = Supernet(space, 5), CostModel(space, 5)
    p = {name: value.detach() for name, value in FactorisedDistribution(space).probabilities().items()}
    for frames in space.frames:
        for size in space.sizes:
            plan, clips = mixture_plan(space, p, frames, size, part), torch.zeros(1, frames, 3, size, size)
            with torch.no_grad(), Counted() as counted:
                network(clips, plan)
            assert counted.forward == plan_macs(costs, plan)


@pytest.mark.parametrize(("frames", "size"), [((8,), 16), (8, 99)])
def test_a_plan_of_no_input_of_the_space_is_refused(frames: int, size: int) -> None:
    space = st_micro.SPACE
    plan = path_plan(space, space.reference)
    with pytest.raises(ValueError, match=r"of a plan must be one of .*, got"):
        plan_macs(CostModel(space, 5), plan.at(frames, size))


def test_a_weight_step_computes_all_gradients_but_those_of_the_clips(tiny_dataset: Path) -> None:
    driven = Driven("darts", tiny_dataset, BUDGET)
    problem, strategy = driven.problem, driven.strategy
    batch, plan = next(problem.search_batches("train")), strategy.weight_plan()
    with Counted() as counted:
        strategy.weights.step(batch, plan, 0.01)
    forward = plan_macs(problem.costs, plan) * len(batch)
    clips = stem_cost(problem.space.stem, plan.frames, plan.size).macs * len(batch)
    assert (counted.forward, counted.backward) == (forward, 2 * forward - clips)


@pytest.mark.parametrize("name", ["darts", "drnas", "gdas", "pc_darts"])
def test_an_alpha_pass_costs_two_forward_passes(tiny_dataset: Path, name: str) -> None:
    """It computes no gradient of a weight."""
    driven = Driven(name, tiny_dataset, BUDGET)
    strategy, ledger = driven.strategy, driven.problem.ledger
    batch, start = next(driven.problem.search_batches("train")), ledger.macs
    with Counted() as counted:
        strategy.alpha_step(batch, batch)
    assert ledger.macs - start == 2 * counted.forward
    assert 0.6 * counted.forward < counted.backward <= counted.forward
    assert all(weight.grad is None for weight in strategy.supernet.parameters())
