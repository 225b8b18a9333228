"""BN-NAS: trained weights, scores, and its evolution against the exact optimum."""

from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven, completed
from scipy.stats import kendalltau

from pvnas_bench.methods.knapsack import best_under_caps
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.supernet import ElasticNorm, Supernet
from pvnas_bench.space import BlockSpace, Caps, Stage, uniform_options
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.bn_nas import BNNAS, gamma_scores, score

BUDGET = 1.2
FEW = {"recalibration": 1, "supernet_share": 0.3}
LAST = ("scale", "shift", "skip_norm.weight", "skip_norm.bias")


@pytest.mark.parametrize("trained", ["norms", "last"])
def test_only_batch_norm_trains(tiny_dataset: Path, trained: str) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET, trained=trained, **FEW)
    network = driven.strategy.supernet.network
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    while not driven.strategy.trained:
        driven.step()
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    last = {name for name in before if name.endswith(LAST)}
    norms = last | {name for name in before if "norm" in name}
    assert changed <= (norms if trained == "norms" else last)
    assert {name for name in changed if name.endswith("scale")}
    assert any(name.endswith("skip_norm.weight") for name in changed)
    assert ("stem.norm.weight" in changed) == (trained == "norms")
    weights = [name for name in before if name not in norms]
    assert any("expand.weight" in name for name in weights)
    assert any("operators" in name for name in weights)
    assert any("classifier" in name for name in weights)


def test_all_weights_train_where_that_is_asked_for_and_gamma_scores(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET, trained="all", **FEW)
    network = driven.strategy.supernet.network
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    while not driven.strategy.trained:
        driven.step()
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert {"stem.convolution.weight", "head.classifier.weight", "blocks.0.project.weight"} <= changed
    assert any(name.endswith("operators.temporal") for name in changed)
    assert any(name.endswith("skip_norm.weight") for name in changed)
    expected = sum(float(block.scale[0, 0, 0].detach().abs().mean()) for block in network.superblocks)
    deep = SPACE.parse("4-24-3-3/" + "/".join(["s3-e2-no"] * 6))
    assert driven.strategy.score(deep) == pytest.approx(expected)


def test_gammas_that_no_path_has_sampled_stay_one(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Momentum and decay do not reach them, as the authors drop gradients that are zero."""
    driven = Driven("bn_nas", tiny_dataset, BUDGET, trained="all", weight_decay=0.1, **FEW)
    strategy, sampled, paths = driven.strategy, [], driven.strategy.paths
    monkeypatch.setattr(strategy, "paths", lambda rng: (sampled.extend(drawn := paths(rng)), drawn)[1])
    while not strategy.trained:
        driven.step()
    moved = 0
    for slot, block in zip(SPACE.slots, strategy.supernet.network.superblocks, strict=True):
        seen = {tuple(path.choices[i] for i in SPACE.groups[slot.name]) for path in sampled}
        idle = torch.ones(block.scale.shape[:3], dtype=torch.bool)
        for choice in seen:
            if min(choice) >= 0:
                idle[choice] = False
        assert idle.any()
        assert bool((block.scale[idle] == 1).all()) and bool((block.shift[idle] == 0).all())
        moved += int((block.scale[~idle] != 1).sum())
    assert moved > 0


def test_values_of_the_gradient_are_clipped(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET)
    strategy = driven.strategy
    assert (strategy.config.clipped, strategy.config.gradient_clip) == ("value", 5.0)
    scale = strategy.supernet.network.superblocks[0].scale
    before = scale.detach().clone()
    scale.grad = torch.full_like(scale, 100.0)
    strategy.weights.update(0.01)
    torch.testing.assert_close(scale.detach(), before - 0.05)


def test_a_score_is_the_sum_of_mean_absolute_gammas(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET)
    network = driven.strategy.supernet.network
    with torch.no_grad():
        for block in network.blocks:
            block.scale.copy_(torch.randn(block.scale.shape, generator=torch.Generator().manual_seed(0)))
            if block.skip_norm is not None:
                block.skip_norm.weight.copy_(torch.randn(len(block.skip_norm.weight)))
    scores = gamma_scores(network)
    rng = np.random.default_rng(0)
    for _ in range(20):
        architecture = SPACE.sample(rng)
        total = 0.0
        for slot, block in zip(SPACE.slots, network.blocks, strict=True):
            o, e, a = (architecture.choices[i] for i in SPACE.groups[slot.name])
            skipped = o == -1 or slot.operators[o] == "skip"  # an absent layer computes what a skip computes
            gamma = block.skip_norm.weight if skipped else block.scale[o, e, a]
            total += float(gamma.detach().abs().mean())
        assert score(SPACE, scores, architecture) == pytest.approx(total, rel=1e-5)


def test_a_sampled_skip_goes_through_its_batch_norm(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET)
    block = driven.strategy.supernet.network.blocks[1]
    skip = block.tokens.index("skip")
    x = torch.randn(6, block.slot.cin, 5, 5)
    expected = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(block(x, 3, (skip, 0, 0)), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        block.skip_norm.weight.fill_(3.0)
    torch.testing.assert_close(block(x, 3, (skip, 0, 0)), 3 * expected, rtol=1e-4, atol=1e-4)


def test_the_evolution_comes_near_the_exact_optimum(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET, supernet_share=0.05)
    strategy, problem = driven.strategy, driven.problem
    while not strategy.trained:
        driven.step()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for block in strategy.supernet.network.blocks:
            quality = torch.rand(block.scale.shape[:3], generator=generator)
            block.scale.copy_(torch.rand(block.scale.shape, generator=generator) * quality[..., None])
    strategy.scores = gamma_scores(strategy.supernet.network)
    driven.to_the_end()
    optimum = best_under_caps(problem.costs, problem.caps, strategy.scores, resolution=None)
    exact = score(SPACE, strategy.scores, optimum)
    found = score(SPACE, strategy.scores, strategy.incumbent())
    typical = np.mean([score(SPACE, strategy.scores, problem.sample(np.random.default_rng(i))) for i in range(200)])
    assert typical < found <= exact + 1e-9
    assert (found - typical) / (exact - typical) > 0.9


def test_the_knapsack_of_scores_is_the_best_of_all_of_a_small_space() -> None:
    stages = (Stage(4, 2, (1, 2)),)
    options = uniform_options(stages, frames=2, size=8, depths=(1,), operators=("s3",), expansion=2, se="no")
    space = BlockSpace(
        "tiny", 1, description="", frames=(2,), sizes=(8,), stem=4, stages=stages, head=4,
        operators=("s3", "t5", "skip"), expansions=(2, 4), se=("no",), caps={"L": 1}, reference=options, experts={},
    )  # fmt: skip
    network, costs = Supernet(space, 3), CostModel(space, 3)
    network.blocks[1].skip_norm = ElasticNorm(4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    scores = gamma_scores(network)
    cap = int(np.median([costs(a).macs for a in space.enumerate()]))
    brute = max(score(space, scores, a) for a in space.enumerate() if costs(a).macs <= cap)
    assert score(space, scores, best_under_caps(costs, Caps(macs=cap), scores, resolution=None)) == pytest.approx(brute)


def test_scores_are_faster_than_validation_and_cost_nothing(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, BUDGET, **FEW)
    while not driven.strategy.trained:
        driven.step()
    spent = driven.problem.ledger.spent
    driven.to_the_end()
    assert driven.problem.ledger.spent == spent
    assert driven.strategy.evolution.generation == 20
    seconds = driven.strategy.diagnostics()["seconds"]
    assert seconds["validation"] > 100 * seconds["score"]


def test_probes_rank_the_scores(tiny_dataset: Path) -> None:
    driven = Driven("bn_nas", tiny_dataset, 3.0, probes=3, verify=1, supernet_share=0.1).to_the_end()
    strategy = driven.strategy
    assert len(strategy.diagnostics()["rank_pairs"]) == len(strategy.probe_top1) == 3
    assert len(strategy.verified) == 1
    strategy.probe_top1 = [0.2, 0.1, 0.3]  # where so short trainings are all at chance, there is no correlation
    different = [row for row in strategy.probe_scores if len(set(row)) > 1]
    expected = [kendalltau(row, strategy.probe_top1).statistic for row in different]
    assert expected and strategy.diagnostics()["kendall_tau"] == pytest.approx(expected)
    strategy.probe_top1 = [0.2] * 3
    assert strategy.diagnostics()["kendall_tau"] == []


def test_a_run_is_complete(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(BNNAS, tiny_dataset, tmp_path, BUDGET, **FEW)
    assert record.search.reference_trainings < 0.5 * BUDGET
