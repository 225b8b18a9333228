"""DARTS: mixtures against sums of candidates, the second-order gradient against autograd, curvature, whole runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven, completed
from torch import Tensor

from pvnas_bench.methods.bilevel import fix_input, gradients, learnt_entropy, mixture_plan, skips
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.shared_weights import rate_at
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Mixture, SuperBlock, Supernet
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.darts import DARTS, dominant_eigenvalue, should_stop, unrolled_gradient

BUDGET = 7.0
"""Reference trainings of a few epochs of the mixture on the tiny set."""

# --- the mixture ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = Supernet(SPACE, 5)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def distribution(seed: int = 0) -> FactorisedDistribution:
    drawn = FactorisedDistribution(SPACE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for logit in drawn.logits:
            logit.copy_(torch.randn(logit.shape, generator=generator))
    return drawn


def test_the_mixture_is_the_softmax_weighted_sum_of_all_candidates(supernet: Supernet) -> None:
    """Block by block, for one-hot expansion and SE: Σ_o softmax(α)_o · candidate_o(x), the residual in each of them."""
    p = {name: value.detach() for name, value in distribution().probabilities().items()}
    x = torch.randn(6, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    block = supernet.blocks[1]
    assert isinstance(block, SuperBlock) and block.residual
    p["expansion.1.2"], p["se.1.2"] = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    choice = mixture_plan(SPACE, p, 8, 32).slots[1]
    assert isinstance(choice, Mixture)
    expected = sum(
        weight * (x if token == "skip" else block(x, 3, (o, 1, 0)))
        for o, (token, weight) in enumerate(zip(block.tokens, p["operator.1.2"].tolist(), strict=True))
    )
    torch.testing.assert_close(block(x, 3, choice), expected, rtol=1e-5, atol=1e-5)


def test_a_stage_is_the_weighted_sum_of_its_depths(supernet: Supernet) -> None:
    p = {name: value.detach() for name, value in distribution(1).probabilities().items()}
    plan = mixture_plan(SPACE, p, 4, 24)
    clips = torch.randn(2, 4, 24, 24, 3, generator=torch.Generator().manual_seed(2)).permute(0, 1, 4, 2, 3)
    x = supernet.stem(clips.flatten(0, 1))
    for stage in (1, 2):
        out = 0
        for b in (1, 2, 3):
            x = supernet.blocks[3 * (stage - 1) + b - 1](x, 4, plan.slots[3 * (stage - 1) + b - 1])
            out = out + p[f"depth.{stage}"][b - 1] * x
        x = out
    torch.testing.assert_close(supernet(clips, plan), supernet.head(x, 4), rtol=1e-5, atol=1e-5)


def test_every_alpha_has_a_gradient_but_the_input(supernet: Supernet) -> None:
    alphas = distribution()
    fix_input(alphas, SPACE.reference)
    clips = torch.randn(2, 8, 32, 32, 3, generator=torch.Generator().manual_seed(2)).permute(0, 1, 4, 2, 3)
    supernet(clips, mixture_plan(SPACE, alphas.probabilities(), 8, 32)).square().sum().backward()
    for decision, logit in zip(SPACE.decisions, alphas.logits, strict=True):
        if decision.name in ("frames", "size"):
            assert logit.grad is None
        else:
            assert logit.grad is not None and float(logit.grad.abs().max()) > 0, decision.name


def test_the_fixed_input_is_certain() -> None:
    alphas = FactorisedDistribution(SPACE)
    fix_input(alphas, SPACE.reference)
    p = alphas.probabilities()
    assert p["frames"].tolist() == [0, 1, 0] and p["size"].tolist() == [0, 1, 0]
    assert learnt_entropy(alphas) == pytest.approx(1.0)
    rng = torch.Generator().manual_seed(0)
    assert {alphas.sample(rng).choices[:2] for _ in range(50)} == {(1, 1)}


# --- the second order -------------------------------------------------------------------------------------------------


class Toy:
    """Losses of 4 weights and 3 alphas with all mixed derivatives, in double precision."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = [torch.tensor(rng.normal(size=(6, 4))) for _ in range(2)]
        self.y = [torch.tensor(rng.normal(size=6)) for _ in range(2)]
        self.m = torch.tensor(rng.normal(size=(4, 3)))
        self.w = torch.tensor(rng.normal(size=4), requires_grad=True)
        self.a = torch.tensor(rng.normal(size=3), requires_grad=True)

    def loss(self, split: int, w: Tensor, a: Tensor) -> Tensor:
        mixed = torch.tanh(self.x[split] * w) @ (self.m @ a.softmax(0)) + (self.x[split] @ w).sin() * a[0]
        return (mixed - self.y[split]).square().mean() + 0.1 * (a.square().sum() * w.square().sum())

    def exact(self, rate: float, decay: float, momentum: Tensor) -> tuple[Tensor, Tensor]:
        """∇α L_val(w − ξ(∇w L_train + decay·w + momentum), α) through the step itself, and its first-order part."""
        (g,) = torch.autograd.grad(self.loss(0, self.w, self.a), self.w, create_graph=True)
        ahead = self.w - rate * (g + decay * self.w + momentum)
        (whole,) = torch.autograd.grad(self.loss(1, ahead, self.a), self.a)
        first = self.a.detach().clone().requires_grad_()
        (direct,) = torch.autograd.grad(self.loss(1, ahead.detach(), first), first)
        return whole, direct


@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_the_second_order_gradient_is_autograd_s(momentum: float) -> None:
    toy, rate, decay = Toy(), 0.2, 0.01
    buffer = torch.full((4,), momentum, dtype=torch.float64)
    exact, first_order = toy.exact(rate, decay, buffer)
    before = toy.w.detach().clone()
    errors = []
    for radius in (1.0, 0.1, 0.01, 0.001):
        (found,), loss = unrolled_gradient(
            lambda: toy.loss(0, toy.w, toy.a),
            lambda: toy.loss(1, toy.w, toy.a),
            lambda: toy.loss(0, toy.w.detach(), toy.a),
            [toy.w],
            [toy.a],
            rate,
            [decay * before + buffer],
            radius=radius,
        )
        errors.append(float((found - exact).norm()))
        assert torch.equal(toy.w, before) and toy.w.grad is None and toy.a.grad is None
        assert loss > 0
    assert errors[2] < 1e-4 * float(exact.norm())
    assert errors[0] > 30 * errors[1] > 900 * errors[2]  # a central difference: the error falls as ε²
    assert float((first_order - exact).norm()) > 1e-2 * float(exact.norm())


def test_without_a_step_it_is_the_first_order() -> None:
    toy = Toy()
    train, val = (lambda: toy.loss(0, toy.w, toy.a)), (lambda: toy.loss(1, toy.w, toy.a))
    (found,), _ = unrolled_gradient(train, val, train, [toy.w], [toy.a], 0.0, [torch.zeros_like(toy.w)])
    torch.testing.assert_close(found, torch.autograd.grad(toy.loss(1, toy.w, toy.a), toy.a)[0])


def test_a_second_order_step_has_two_gradients_of_weights_and_two_of_alphas_only(tiny_dataset: Path) -> None:
    driven = Driven("darts", tiny_dataset, BUDGET, order="second")
    strategy, problem = driven.strategy, driven.problem
    batch = next(problem.search_batches("train"))
    before, start = [w.detach().clone() for w in strategy.supernet.parameters()], problem.ledger.macs
    strategy.alpha_step(batch, batch)
    assert all(torch.equal(a, b) for a, b in zip(before, strategy.supernet.parameters(), strict=True))
    assert problem.ledger.macs - start == (2 * 3 + 2 * 2) * len(batch) * plan_macs(
        problem.costs, strategy.weight_plan()
    )
    assert all(w.grad is None for w in strategy.supernet.parameters())


def test_the_two_orders_differ(tiny_dataset: Path) -> None:
    ends = []
    for order in ("first", "second"):
        driven = Driven("darts", tiny_dataset, BUDGET, order=order, warmup=0.0)
        driven.step()
        driven.step()
        ends.append(torch.cat([logit.detach() for logit in driven.strategy.alphas.logits[2:]]))
    assert not torch.allclose(ends[0], ends[1], atol=1e-4)


# --- curvature --------------------------------------------------------------------------------------------------------


def test_the_eigenvalue_is_the_dominant_one_of_the_hessian() -> None:
    rng = np.random.default_rng(1)
    root = torch.tensor(rng.normal(size=(5, 5)), dtype=torch.float64)
    hessian = root @ root.T
    p = [
        torch.zeros(2, dtype=torch.float64, requires_grad=True),
        torch.zeros(3, dtype=torch.float64, requires_grad=True),
    ]

    def gradient() -> list[Tensor]:
        x = torch.cat(p)
        return gradients(0.5 * x @ hessian @ x + x.sum(), p, torch.Tensor.backward)

    found = dominant_eigenvalue(gradient, p, 200, torch.Generator().manual_seed(0))
    assert found == pytest.approx(float(np.linalg.eigvalsh(hessian.numpy())[-1]), rel=1e-6)
    assert all(torch.equal(x, torch.zeros_like(x)) for x in p)


def test_early_stopping_compares_five_point_means_four_apart() -> None:
    assert not should_stop([1.0] * 8)
    assert not should_stop([1.0] * 20)
    # means of the last five: 1.8; four back: 1 -> over 1.3
    assert should_stop([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0])
    assert not should_stop([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.4])  # 1.28
    assert should_stop([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.6])  # 1.32


def test_curvature_is_measured_and_can_stop_the_search(tiny_dataset: Path) -> None:
    driven = Driven("darts", tiny_dataset, BUDGET, hessian_every=1, hessian_iterations=1, early_stop=True, warmup=0.0)
    driven.step()
    assert len(driven.problem.facts["hessian_eigenvalue"]) == driven.strategy.alpha_steps > 0
    driven.strategy.eigenvalues = [1.0] * 8 + [100.0]
    driven.to_the_end()
    assert driven.problem.ledger.spent < 0.9 * BUDGET
    assert "discretisation_drop" in driven.strategy.diagnostics()


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_learning_rates_and_skips_by_hand() -> None:
    assert [rate_at(t, 1.0, 0.2) for t in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2])
    assert [rate_at(t, 1.0, 0.0, 0.2) for t in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    linear = [rate_at(t, 1.0, 0.2, 0.2, "linear") for t in (0.1, 0.2, 0.4, 0.6, 1.0)]
    assert linear == pytest.approx([0.6, 1.0, 0.8, 0.6, 0.2])
    assert skips(SPACE, SPACE.parse("4-24-3-1/s3-e2-no/skip-_-_/skip-_-_/s3-e2-no/_/_")) == 2


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_the_drop_at_discretisation_is_mixture_less_path(tiny_dataset: Path) -> None:
    driven = Driven("darts", tiny_dataset, BUDGET, warmup=0.0).to_the_end()
    found = driven.strategy.diagnostics()
    assert found["discretisation_drop"] == pytest.approx(found["mixture_top1"] - found["path_top1"])
    entropy = driven.series("alpha_entropy")
    assert len(entropy) == len(driven.series("skips")) > 1
    assert entropy[-1] < entropy[0] <= 1
    assert driven.problem.ledger.overshoot == 0 and driven.problem.ledger.spent > 0.85 * BUDGET


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(DARTS, tiny_dataset, tmp_path, 4.0)
    assert record.outcome is not None
    assert record.outcome.architecture.startswith("8-32-")
