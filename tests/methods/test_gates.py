"""Gates and distributions against closed forms and enumeration."""

import copy
import functools
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from pvnas_bench.conformance._world import World
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.gates import (
    BinaryGates,
    CostTerm,
    GatesConfig,
    Relaxation,
    cost_term,
    input_log_probabilities,
    input_loss,
    sample_input,
    straight_through,
    thrifty,
    two_path_plan,
)
from pvnas_bench.methods.knapsack import best_under_caps, decision_scores
from pvnas_bench.methods.signals import WINDOW
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.supernet import Plan
from pvnas_bench.space import BlockSpace, Caps, Stage
from pvnas_bench.spaces.st_default import SPACE


def tiny() -> BlockSpace:
    """3,240 architectures in two stages."""
    return BlockSpace(
        "tiny",
        1,
        description="",
        frames=(2, 4),
        sizes=(16, 24),
        stem=8,
        stages=(Stage(8, 1, (1, 2)), Stage(16, 2, (1,))),
        head=16,
        operators=("s3", "t5", "skip"),
        expansions=(2, 4),
        se=("no", "se"),
        caps={"L": 10**9},
        reference={"frames": "2", "size": "16", "depth.1": "1", "operator.1.1": "skip", "depth.2": "1"}
        | {"operator.2.1": "s3", "expansion.2.1": "e2", "se.2.1": "no"},
        experts={},
    )


@pytest.fixture
def peaked() -> FactorisedDistribution:
    distribution = FactorisedDistribution(tiny()).double()
    generator = torch.Generator().manual_seed(1)
    for logit in distribution.logits:
        logit.data.normal_(generator=generator)
    return distribution


def test_straight_through_is_one_hot_with_the_gradient_of_softmax() -> None:
    logits = torch.tensor([0.3, -0.2, 1.1], dtype=torch.float64, requires_grad=True)
    gate = straight_through(logits, torch.Generator().manual_seed(0))
    assert sorted(gate.tolist()) == [0.0, 0.0, 1.0]
    weights = torch.tensor([1.0, 5.0, -2.0], dtype=torch.float64)
    (gate * weights).sum().backward()
    p = torch.softmax(logits.detach(), 0)
    torch.testing.assert_close(logits.grad, p * (weights - (p * weights).sum()))


def test_straight_through_draws_by_the_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    counts = Counter(int(straight_through(logits, generator).argmax()) for _ in range(4000))
    for option, p in enumerate((0.5, 0.3, 0.2)):
        assert abs(counts[option] - 4000 * p) < 4 * math.sqrt(4000 * p)


def test_probabilities_sum_to_one_and_entropy_is_exact(peaked: FactorisedDistribution) -> None:
    log_p = torch.stack([peaked.log_prob(a) for a in peaked.space.enumerate()]).detach()
    assert len(log_p) == peaked.space.size
    assert log_p.exp().sum().item() == pytest.approx(1.0)
    assert peaked.entropy().item() == pytest.approx(-(log_p.exp() * log_p).sum().item())


def test_samples_follow_the_distribution(peaked: FactorisedDistribution) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(str(peaked.sample(generator)) for _ in range(3000))
    for string, count in drawn.most_common(5):
        p = peaked.log_prob(peaked.space.parse(string)).exp().item()
        assert abs(count - 3000 * p) < 4 * math.sqrt(3000 * p)


def test_mean_entropy_runs_from_one_to_zero() -> None:
    distribution = FactorisedDistribution(tiny())
    assert distribution.mean_entropy() == pytest.approx(1.0)
    for logit in distribution.logits:
        logit.data[0] = 100.0
    assert distribution.mean_entropy() == pytest.approx(0.0, abs=1e-6)


def test_two_path_plans_have_two_different_candidates_and_one_is_active() -> None:
    distribution, generator = FactorisedDistribution(SPACE), torch.Generator().manual_seed(0)
    for _ in range(20):
        frames, size = sample_input(SPACE, distribution.log_table(), generator)
        plan = two_path_plan(SPACE, distribution.log_table(), frames, size, generator)
        assert plan.frames == SPACE.frames[frames] and plan.size == SPACE.sizes[size]
        for stage in plan.depths:
            assert sorted(float(gate.detach()) for _, gate in stage if gate is not None) == [0.0, 1.0]
        reached = [max(depth for depth, _ in stage) for stage in plan.depths]
        for slot, gated in zip(SPACE.slots, plan.slots, strict=True):
            if slot.index > reached[slot.stage - 1]:
                assert gated is None
                continue
            (one, first), (other, second) = gated  # type: ignore[misc]
            assert one != other
            assert sorted([float(first.detach()), float(second.detach())]) == [0.0, 1.0]  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [0.2, 0.35, 0.6, 1.0])
def test_knapsack_equals_enumeration(share: float) -> None:
    space = tiny()
    costs, rng = CostModel(space, 5), np.random.default_rng(int(100 * share))
    architectures = list(space.enumerate())
    macs = [costs(a).macs for a in architectures]
    cap = int(min(macs) + share * (max(macs) - min(macs)))
    scores = {d.name: rng.normal(size=len(d.options)) for d in space.decisions}

    def score(architecture: object) -> float:
        choices = architecture.choices  # type: ignore[attr-defined]
        return sum(float(scores[d.name][c]) for d, c in zip(space.decisions, choices, strict=True) if c >= 0)

    best = max(score(a) for a, m in zip(architectures, macs, strict=True) if m <= cap)
    found = best_under_caps(costs, Caps(macs=cap), decision_scores(costs, scores), resolution=None)
    assert costs(found).macs <= cap
    assert score(found) == pytest.approx(best)
    coarse = best_under_caps(costs, Caps(macs=cap), decision_scores(costs, scores), resolution=64)
    assert costs(coarse).macs <= cap


def test_the_knapsack_raises_if_nothing_fits() -> None:
    costs = CostModel(tiny(), 5)
    scores = decision_scores(costs, {d.name: np.zeros(len(d.options)) for d in costs.space.decisions})
    with pytest.raises(ValueError, match="no architecture of tiny is under 10 MACs"):
        best_under_caps(costs, Caps(macs=10), scores)
    assert costs(best_under_caps(costs, Caps(macs=costs.cheapest().macs), scores)).macs == costs.cheapest().macs


def test_the_best_of_a_distribution_is_its_mode_if_under_the_cap(peaked: FactorisedDistribution) -> None:
    costs = CostModel(peaked.space, 5)  # type: ignore[arg-type]
    mode = peaked.space.architecture([int(logit.argmax()) for logit in peaked.logits])
    assert peaked.best(costs, Caps(macs=costs(mode).macs)) == mode
    below = peaked.best(costs, Caps(macs=costs(mode).macs - 1))
    assert costs(below).macs < costs(mode).macs

    def given_up(architecture: object) -> float:
        choices = architecture.choices  # type: ignore[attr-defined]
        pairs = zip(peaked.logits, choices, strict=True)
        return sum(float((logit.max() - logit[c]).detach()) for logit, c in pairs if c >= 0)

    fits = [a for a in peaked.space.enumerate() if costs(a).macs < costs(mode).macs]
    assert given_up(below) == pytest.approx(min(map(given_up, fits)))


def test_input_decisions_learn_by_leave_one_out() -> None:
    """The surrogate's gradient is the mean of REINFORCE over two samples, each the other's baseline."""
    distribution = FactorisedDistribution(SPACE)
    loss, other = torch.tensor(2.0), torch.tensor(1.5)
    table = distribution.log_table()
    surrogate = input_loss(SPACE, table, (0, 0), loss, lambda f, s: other, torch.Generator().manual_seed(4))
    second = sample_input(SPACE, table, torch.Generator().manual_seed(4))
    assert second[0] != 0 and second[1] != 0
    surrogate.backward()
    for logit, b in zip(distribution.logits, second, strict=False):
        expected = torch.zeros(3)
        for option, advantage in ((0, loss - other), (b, other - loss)):
            one_hot = torch.zeros(3)
            one_hot[option] = 1
            expected += 0.5 * advantage * (one_hot - 1 / 3)
        torch.testing.assert_close(logit.grad, expected)


def test_thrift_gives_every_input_the_same_share_of_the_budget() -> None:
    distribution = FactorisedDistribution(SPACE)
    log_q = distribution.log_table().detach() + thrifty(SPACE, 1.0)
    frames, sizes = input_log_probabilities(SPACE, log_q).exp()[:, :3]
    spent = torch.outer(frames * torch.tensor(SPACE.frames), sizes * torch.tensor(SPACE.sizes) ** 2)
    torch.testing.assert_close(spent, spent.mean().expand(3, 3))

    generator = torch.Generator().manual_seed(0)
    drawn = Counter(sample_input(SPACE, log_q, generator)[0] for _ in range(4000))
    for option, q in enumerate(frames.tolist()):
        assert drawn[option] / 4000 == pytest.approx(q, abs=4 * math.sqrt(q * (1 - q) / 4000))


def test_without_bias_thrifty_draws_descend_the_mean_loss_of_thrifty_draws() -> None:
    """The mean of the surrogate's gradient is that of E_Q[loss], by enumeration of both samples."""
    distribution = FactorisedDistribution(SPACE)
    distribution.logit("frames").data.copy_(torch.tensor([0.3, -0.2, 0.5]))
    losses = torch.tensor([[1.0, 2.0, 0.5], [1.5, 0.2, 0.9], [3.0, 1.0, 2.5]])
    parameters = [distribution.logit("frames"), distribution.logit("size")]

    def q() -> torch.Tensor:
        frames, sizes = input_log_probabilities(SPACE, distribution.log_table() + added)[:, :3]
        return torch.outer(frames.exp(), sizes.exp())

    added = thrifty(SPACE, 0.7)
    exact = torch.autograd.grad((q() * losses).sum(), parameters)
    generator = torch.Generator().manual_seed(1)
    total = [torch.zeros(3), torch.zeros(3)]
    draws = 4000
    for _ in range(draws):
        log_q = distribution.log_table() + added
        first = sample_input(SPACE, log_q, generator)
        term = input_loss(
            SPACE,
            log_q,
            first,
            losses[first],
            lambda f, s: losses[SPACE.frames.index(f), SPACE.sizes.index(s)],
            generator,
        )
        if term.requires_grad:
            for mean, gradient in zip(total, torch.autograd.grad(term, parameters), strict=True):
                mean += gradient / draws
    for mean, gradient in zip(total, exact, strict=True):
        torch.testing.assert_close(mean, gradient, atol=0.025, rtol=0)
    assert exact[0].abs().max() > 0.05


@pytest.mark.parametrize("cost", ["hinge", "symmetric"])
def test_the_macs_term_leads_the_gates_to_the_target(small_world: World, cost: CostTerm) -> None:
    problem, _ = small_world.problem("all", 0)
    gates = BinaryGates(problem, GatesConfig(alpha_rate=0.1, cost=cost, macs_weight=1.0, macs_share=1.0, target=0.5))
    assert float(gates.expected_macs(gates.alphas.log_table().exp()).detach()) > 0.6 * problem.cap
    for step in range(200):
        gates.step(lambda _: torch.zeros(()), rate=0.1 * 0.98**step)
    expected = float(gates.expected_macs(gates.alphas.log_table().exp()).detach())
    assert expected == pytest.approx(0.5 * problem.cap, rel=0.05)
    assert problem.feasible(gates.best())


@pytest.mark.parametrize("relaxation", ["two_path", "gumbel"])
def test_gates_descend_the_loss_of_their_plans(small_world: World, relaxation: Relaxation) -> None:
    """A loss of 1 on one operator alone: it becomes improbable, in favour of no other in particular."""
    problem, _ = small_world.problem("all", 0)
    gates = BinaryGates(problem, GatesConfig(relaxation=relaxation, alpha_rate=0.1, cost="none"))
    slot = problem.space.slots[0]

    def loss_at(plan: Plan) -> torch.Tensor:
        pair = plan.slots[0]
        zero = 0.0 * sum(gate for _, gate in plan.depths[0])  # type: ignore[misc]
        return sum((gate for (operator, _, _), gate in pair if operator == 0), zero)  # type: ignore[union-attr]

    for _ in range(100):
        gates.step(loss_at)
    p = gates.alphas.probabilities()[f"operator.{slot.name}"]
    assert float(p[0].detach()) < 0.1 < float(p[1:].detach().min())


def test_gates_resume_from_their_state(small_world: World) -> None:
    problem, _ = small_world.problem("all", 0)
    config = GatesConfig(alpha_rate=0.1, macs_weight=1.0, macs_share=1.0, target=0.5)
    one, other = (BinaryGates(problem, config, thrift=1.0) for _ in range(2))
    for _ in range(WINDOW):
        one.step(lambda _: torch.zeros(()))
        one.guard.see(0.0)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for gates in (one, other):
        gates.step(lambda _: torch.zeros(()))
    assert all(torch.equal(a, b) for a, b in zip(one.alphas.logits, other.alphas.logits, strict=True))
    assert one.sharpness() == other.sharpness() > 0
    assert (other.steps, other.guard.passed, other.signal.passed) == (WINDOW + 1, True, True)


def load_of(rows: list[torch.Tensor]) -> torch.Tensor:
    """A cost of independent decisions, over its target."""
    p = torch.stack([row.softmax(0) for row in rows])
    return (p * torch.tensor([[0.3, 1.4], [0.2, 0.9]])).sum()


@pytest.mark.parametrize("first", [-3.0, 3.0])
@pytest.mark.parametrize("cost", ["none", "hinge", "symmetric", "multiplicative"])
def test_each_cost_term_has_the_gradient_of_its_objective(cost: CostTerm, first: float) -> None:
    rows = [torch.tensor([first, 0.2], requires_grad=True), torch.tensor([-0.1, 0.4], requires_grad=True)]

    def loss() -> torch.Tensor:
        return 2.5 + sum((row.softmax(0)[0] ** 2 for row in rows), torch.zeros(()))

    weight, r = 0.3, load_of(rows)
    objective = {
        "none": loss(),
        "hinge": loss() + weight * max(r - 1, r * 0),
        "symmetric": loss() + weight * (r - 1) * (1 if r > 1 else -1),
        "multiplicative": loss() * r**weight,
    }[cost]
    expected = torch.autograd.grad(objective, rows)
    factor, term = cost_term(cost, weight, load_of(rows), float(loss().detach()))
    for ours, theirs in zip(torch.autograd.grad(factor * loss() + term, rows), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("cost", "moves"), [("hinge", False), ("none", False), ("symmetric", True)])
def test_without_a_signal_no_alpha_moves_while_the_expected_cost_is_under_the_target(
    small_world: World, cost: CostTerm, moves: bool
) -> None:
    problem, _ = small_world.problem("all", 0)
    gates = BinaryGates(problem, GatesConfig(cost=cost, macs_weight=0.5, macs_share=1.0, target=3.0))
    assert float(gates.expected_macs(gates.alphas.log_table().exp()).detach()) < 3 * problem.cap
    for _ in range(5):
        gates.step(lambda _: torch.ones(()))
    assert any(bool(logit.any()) for logit in gates.alphas.logits) == moves


def test_the_default_term_cannot_swamp_the_loss(small_world: World) -> None:
    """Even above the target and with a supernet at chance, its gradient is not the longer one."""
    shares = []
    for words in ({}, {"cost": "symmetric", "macs_weight": 0.5, "macs_share": 1.0}):
        problem, _ = small_world.problem("all", 0)
        supernet, gates = problem.supernet(), BinaryGates(problem, GatesConfig(target=0.5, **words))  # type: ignore[arg-type]
        for batch in itertools.islice(problem.search_batches("val"), 1):
            loss_at = functools.partial(supernet.loss, batch, train_weights=False)
            for _ in range(10):
                gates.step(loss_at, rate=1e-6)
        shares.append(problem.take_logged()["macs_gradient_share"])
    assert shares[0] <= 0.5 + 1e-6 < 0.8 < shares[1]


def test_a_one_path_plan_computes_one_candidate_per_block(small_world: World) -> None:
    problem, _ = small_world.problem("all", 0)
    plans: list[Plan] = []

    def loss_at(plan: Plan) -> torch.Tensor:
        plans.append(plan)
        return torch.zeros(())

    for relaxation, most in (("gumbel", 1), ("two_path", 2)):
        plans.clear()
        gates = BinaryGates(problem, GatesConfig(relaxation=relaxation))  # type: ignore[arg-type]
        gates.step(loss_at)
        assert max(len(slot) for slot in plans[0].slots if slot) == most  # type: ignore[arg-type]


def test_sharpness_is_about_one_for_noise_and_large_for_a_signal(small_world: World) -> None:
    sharpness = {}
    for name in ("noise", "signal"):
        problem, _ = small_world.problem("all", 0)
        gates, rng = BinaryGates(problem, GatesConfig(cost="none", alpha_rate=0.02)), torch.Generator().manual_seed(0)

        def loss_at(plan: Plan, name: str = name, rng: torch.Generator = rng) -> torch.Tensor:
            total = torch.zeros(())
            for pair in plan.slots:
                for (operator, *_), gate in pair or ():  # type: ignore[union-attr, misc]
                    total = total + gate * (torch.randn((), generator=rng) if name == "noise" else float(operator))
            for depth, gate in itertools.chain.from_iterable(plan.depths):
                total = total + gate * (torch.randn((), generator=rng) if name == "noise" else float(depth))
            return total

        assert gates.sharpness() == 0.0
        for _ in range(80):
            gates.step(loss_at)
        sharpness[name] = gates.sharpness()
    assert 0.4 < sharpness["noise"] < 1.6
    assert sharpness["signal"] > 5


def test_a_reset_makes_alphas_uniform_over_the_options_left(small_world: World) -> None:
    problem, _ = small_world.problem("all", 0)
    gates = BinaryGates(problem, GatesConfig(alpha_rate=0.1, cost="symmetric", macs_share=1.0))
    for _ in range(10):
        gates.step(lambda _: torch.zeros(()))
    gone = len(gates.prune_least(0.4))
    left = gates.alphas.options_left()
    gates.reset()
    assert gone and gates.alphas.options_left() == left
    for p in gates.alphas.probabilities().values():
        assert float((p[p > 0] - p.max()).detach().abs().max()) == 0
    assert gates.sharpness() == 0 and not gates.optimiser.state
