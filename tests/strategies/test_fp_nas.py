"""FP-NAS and PARSEC against brute-force enumeration."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven, completed, series

from pvnas_bench.methods.distribution import FactorisedDistribution, JointDistribution
from pvnas_bench.methods.importance import Excess, alpha_loss, cost_shares, excess, importance_weights
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.metering import ExpectedCost
from pvnas_bench.space import Architecture, BlockSpace, Caps, Stage, uniform_options
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.fp_nas import FPNAS
from pvnas_bench.strategies.parsec import PARSEC

BUDGET = 3.0
FEW = {"initial_samples": 5, "least_samples": 2, "warmup": 0.2, "guard": "false", "target": 0.3}
"""Settings with which a small budget allows steps of each phase."""
STAGES = (Stage(4, 2, (1, 2)),)
TINY = BlockSpace(
    "tiny",
    1,
    description="",
    frames=(2,),
    sizes=(8,),
    stem=4,
    stages=STAGES,
    head=4,
    operators=("s3", "t5", "skip"),
    expansions=(2,),
    se=("no", "se"),
    caps={"L": 10**6},
    reference=uniform_options(STAGES, frames=2, size=8, depths=(1,), operators=("s3",), expansion=2, se="no"),
    experts={},
)
EVERY = list(TINY.enumerate())


def log_likelihood(a: Architecture, theta: torch.Tensor) -> torch.Tensor:
    """A synthetic log P(y|X,ω,A) with weights ω = theta, different for each architecture."""
    features = torch.tensor([math.sin(3.0 * i * (choice + 2)) for i, choice in enumerate(a.choices, 1)])
    return -((features * theta).sum() ** 2) - theta[: len(a.choices) // 2].sum().cos()


def rational() -> tuple[FactorisedDistribution, list[Architecture]]:
    """A distribution of rational probabilities, and a sample in which each architecture has exactly its share."""
    shares = {
        "depth.1": (1, 3),
        "operator.1.1": (3, 1),
        "operator.1.2": (1, 2, 1),
        "se.1.1": (1, 1),
        "se.1.2": (3, 1),
    }
    distribution = FactorisedDistribution(TINY)
    sample: list[Architecture] = []
    p: dict[Architecture, Fraction] = {a: Fraction(1) for a in EVERY}
    with torch.no_grad():
        for i, (decision, logit) in enumerate(zip(TINY.decisions, distribution.logits, strict=True)):
            own = shares.get(decision.name, (1,) * len(decision.options))
            logit.copy_(torch.tensor(own, dtype=torch.float32).log() + 0.7)
            for a in EVERY:
                if a.choices[i] >= 0:
                    p[a] *= Fraction(own[a.choices[i]], sum(own))
    assert sum(p.values()) == 1
    for a, share in p.items():
        sample += [a] * int(share * 4**4 * 2)
    assert len(sample) == 4**4 * 2
    return distribution, sample


def test_the_gradients_are_those_of_the_enumerated_likelihood() -> None:
    distribution, sample = rational()
    theta = torch.linspace(-1, 1, len(TINY.decisions), requires_grad=True)
    exact = -torch.stack([distribution.log_prob(a) + log_likelihood(a, theta) for a in EVERY]).logsumexp(0)
    parameters = [p for p in distribution.parameters() if len(p) > 1]
    expected = torch.autograd.grad(exact, [*parameters, theta])

    likelihoods = torch.stack([log_likelihood(a, theta) for a in sample])
    w = importance_weights(likelihoods.detach(), 1.0)
    log_p = torch.stack([distribution.log_prob(a) for a in sample])
    ours = torch.autograd.grad(alpha_loss(log_p, w, torch.zeros(len(sample))), parameters)
    ours += torch.autograd.grad(-(w * likelihoods).sum(), theta)
    for mine, brute in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, brute, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cost", ["log1p", "log", "linear"])
def test_the_cost_term_has_the_gradient_of_a_function_of_the_expected_excess(cost: Excess) -> None:
    distribution, sample = rational()
    costs = CostModel(TINY, 3)
    target = float(np.median([costs(a).macs for a in EVERY]))
    of_every = torch.tensor([max(0.0, costs(a).macs / target - 1) for a in EVERY])
    expectation = (torch.stack([distribution.log_prob(a) for a in EVERY]).exp() * of_every).sum()
    parameters = [p for p in distribution.parameters() if len(p) > 1]
    term = {"log1p": (1 + expectation).log(), "log": expectation.log(), "linear": expectation}[cost]
    expected = torch.autograd.grad(0.3 * term, parameters)

    log_p = torch.stack([distribution.log_prob(a) for a in sample])
    of_sample = torch.tensor([excess(costs(a).macs / target) for a in sample])
    penalties = cost_shares(of_sample, 0.3, cost)
    ours = torch.autograd.grad(alpha_loss(log_p, torch.zeros(len(sample)), penalties), parameters)
    for mine, brute in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, brute, rtol=1e-4, atol=1e-5)


def test_no_cost_below_the_target() -> None:
    assert excess(0.9) == 0.0
    assert excess(1.5) == pytest.approx(0.5)
    log_p, w = torch.tensor([-1.0, -2.0]), torch.tensor([0.25, 0.75])
    for kind in ("log1p", "log", "linear"):
        nothing = cost_shares(torch.zeros(2), 9.0, kind)  # type: ignore[arg-type]
        assert float(alpha_loss(log_p, w, nothing)) == pytest.approx(1.75)
        assert float(alpha_loss(log_p, w, nothing, baseline=True)) == pytest.approx(0.25)


def test_the_penalty_of_a_lone_sample_is_in_proportion_to_its_excess() -> None:
    """In the paper's form it is β, however small the excess."""
    for excess_of_one in (1e-4, 1e-3, 1e-2):
        costs = torch.tensor([0.0, excess_of_one, 0.0, 0.0])
        assert float(cost_shares(costs, 0.3)[1]) == pytest.approx(0.3 * excess_of_one / 4, rel=0.01)
        assert float(cost_shares(costs, 0.3, "log")[1]) == pytest.approx(0.3)
    large = torch.tensor([1e6, 3e6])
    torch.testing.assert_close(cost_shares(large, 0.3), cost_shares(large, 0.3, "log"))


def expected_cost_after(signal: float, cost: Excess) -> float:
    """E[MACs] over the cap after 60 steps on weights that are noise, plus a preference for large networks."""
    costs, caps = CostModel(SPACE, 16), Caps.parse(SPACE, None)
    distribution, rng = FactorisedDistribution(SPACE), torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(distribution.parameters(), 0.03)
    for _ in range(60):
        sample = [distribution.sample(rng) for _ in range(14)]
        loads = torch.tensor([caps.load(costs(a), 1.0) for a in sample])
        weights = (2 * torch.randn(14, generator=rng) + signal * loads.log()).softmax(0)
        penalties = cost_shares((loads - 1).clamp_min(0), 0.3, cost)
        alpha_loss(torch.stack([distribution.log_prob(a) for a in sample]), weights, penalties, True).backward()
        optimiser.step()
        optimiser.zero_grad()
    return float(ExpectedCost(costs)(distribution.log_table().exp()).detach()) / int(caps.macs or 0)


def test_the_default_cost_term_lets_networks_use_the_cap() -> None:
    """Uniform probabilities expect 0.71 of the cap."""
    assert expected_cost_after(0.0, "log") < 0.4 < 0.45 < expected_cost_after(0.0, "log1p")
    assert expected_cost_after(1.5, "log1p") > 1


def test_alphas_do_not_move_before_the_supernet_beats_chance(tiny_dataset: Path) -> None:
    for guard in (True, False):
        driven = Driven("fp_nas", tiny_dataset, 1.0, warmup=0, margin=0.99, guard=guard).to_the_end()
        moved = any(bool(logit.any()) for logit in driven.strategy.coarse.logits)
        assert moved == (driven.strategy.alpha_steps > 0) == (not guard)
        assert guard == (driven.strategy.incumbent() == driven.strategy.fallback)
        assert driven.problem.facts["better_than_chance_from"] is None


def test_temperature_interpolates_between_the_best_sample_and_equal_weights() -> None:
    likelihoods = torch.tensor([-20.0, -30.0, -25.0])
    torch.testing.assert_close(importance_weights(likelihoods, 1e-3), torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(importance_weights(likelihoods, 1e6), torch.full((3,), 1 / 3), atol=1e-4, rtol=0)


def random_factorised(space: BlockSpace, seed: int) -> FactorisedDistribution:
    distribution = FactorisedDistribution(space)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for logit in distribution.logits:
            logit.copy_(2 * torch.randn(len(logit), generator=generator))
    return distribution


@pytest.mark.parametrize("seed", range(3))
def test_the_joint_distribution_starts_as_the_same_one(seed: int) -> None:
    factorised = random_factorised(TINY, seed)
    joint = JointDistribution(TINY)
    joint.take(factorised)
    p = torch.stack([joint.log_prob(a) for a in EVERY]).exp()
    torch.testing.assert_close(p, torch.stack([factorised.log_prob(a) for a in EVERY]).exp())
    torch.testing.assert_close(p.sum(), torch.ones(()))
    torch.testing.assert_close(joint.entropy(), torch.special.entr(p).sum())
    assert joint.mean_entropy() == pytest.approx(factorised.mean_entropy(), abs=1e-5)
    costs = CostModel(TINY, 3)
    cap = max(costs(a).macs for a in EVERY)
    assert joint.best(costs, Caps(macs=cap)) == factorised.best(costs, Caps(macs=cap))


def test_a_random_joint_distribution_has_the_enumerated_entropy_and_marginals() -> None:
    joint = JointDistribution(TINY)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for logit in joint.parameters():
            logit.copy_(2 * torch.randn(len(logit), generator=generator))
    p = torch.stack([joint.log_prob(a) for a in EVERY]).exp()
    torch.testing.assert_close(joint.entropy(), torch.special.entr(p).sum())
    for i, decision in enumerate(TINY.decisions):
        shares = [sum(q for q, a in zip(p.tolist(), EVERY, strict=True) if a.choices[i] == o) for o in range(3)]
        expected = torch.tensor(shares[: len(decision.options)])
        torch.testing.assert_close(joint.probabilities()[decision.name], expected / expected.sum(), msg=decision.name)
    draws = [joint.sample(generator) for _ in range(4000)]
    frequencies = torch.tensor([draws.count(a) / len(draws) for a in EVERY])
    torch.testing.assert_close(frequencies, p, atol=0.04, rtol=0)


def test_at_the_switch_entropy_and_samples_stay(tiny_dataset: Path) -> None:
    driven = Driven("fp_nas", tiny_dataset, BUDGET)
    strategy = driven.strategy
    strategy.alphas.load_state_dict(random_factorised(SPACE, 1).state_dict())
    before, samples = float(strategy.alphas.entropy().detach()), strategy.sample_count()
    incumbent = strategy.alphas.best(driven.problem.costs, driven.problem.caps)
    strategy._refine()
    assert isinstance(strategy.alphas, JointDistribution)
    assert float(strategy.alphas.entropy().detach()) == pytest.approx(before, abs=1e-4)
    assert strategy.sample_count() == samples
    assert strategy.alphas.best(driven.problem.costs, driven.problem.caps) == incumbent


def test_at_the_switch_equally_probable_options_keep_their_order(tiny_dataset: Path) -> None:
    strategy = Driven("fp_nas", tiny_dataset, BUDGET, **FEW).strategy
    costs, caps = strategy.problem.costs, strategy.problem.caps
    before = strategy.alphas.best(costs, caps)  # all options are equal
    strategy._refine()
    assert strategy.alphas.best(costs, caps) == before


def test_samples_follow_the_entropy(tiny_dataset: Path) -> None:
    strategy = Driven("fp_nas", tiny_dataset, BUDGET, initial_samples=14, least_samples=3).strategy
    uniform = sum(math.log(n) for n in (3, 3, 3, 3))
    for slot in SPACE.slots:
        deep = sum(d >= slot.index for d in (1, 2, 3)) / 3
        real = (len(slot.operators) - ("skip" in slot.operators)) / len(slot.operators)
        uniform += deep * (math.log(len(slot.operators)) + real * 2 * math.log(2))
    assert float(strategy.alphas.entropy().detach()) == pytest.approx(uniform, rel=1e-5)
    assert strategy.sample_count() == 14
    with torch.no_grad():
        for logit in list(strategy.alphas.logits)[4:]:  # the blocks are decided, the input is not
            logit[0] = 50.0
    assert strategy.sample_count() == round(14 * 4 * math.log(3) / uniform)
    with torch.no_grad():
        for logit in strategy.alphas.logits:
            logit[0] = 50.0
    assert strategy.sample_count() == 3


def test_both_phases_fit_into_the_budget(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(FPNAS, tiny_dataset, tmp_path, BUDGET, **FEW, switch=0.5)
    assert {0.0, 1.0} == set(series(record, "joint"))
    drawn = series(record, "total_samples")
    assert drawn == sorted(drawn) and 0 < drawn[0] < drawn[-1] <= record.diagnostics["total_samples"]
    assert series(record, "alpha_entropy")[-1] < 1
    assert record.diagnostics["alpha_steps"] > 0
    assert record.search.reference_trainings > 0.8 * BUDGET


def test_parsec_has_sixteen_samples_and_a_joint_distribution(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(PARSEC, tiny_dataset, tmp_path, BUDGET, guard="false", warmup="0.5")
    assert set(series(record, "joint")) == {1.0}
    assert set(series(record, "samples")) == {16.0}
    assert all(0 < n <= 16 for n in series(record, "effective_samples"))
