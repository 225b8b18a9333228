"""DrNAS: Dirichlet samples and their gradients against scipy and finite differences of known moments, whole runs."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from driven import Driven, completed, series

from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.drnas import DrNAS, concentration, sample_simplex

BUDGET = 4.0


def test_the_concentration_is_elu_plus_one() -> None:
    beta = torch.tensor([-2.0, -0.5, 0.0, 0.7, 3.0])
    torch.testing.assert_close(concentration(beta), torch.tensor([np.exp(-2), np.exp(-0.5), 1.0, 1.7, 4.0]).float())


def test_samples_have_dirichlet_moments() -> None:
    c = torch.tensor([0.8, 1.5, 2.5], dtype=torch.float64)
    rng = np.random.default_rng(0)
    samples = torch.stack([sample_simplex([c], rng)[0] for _ in range(4000)]).numpy()
    np.testing.assert_allclose(samples.sum(1), 1.0)
    law = scipy.stats.dirichlet(c.numpy())
    np.testing.assert_allclose(samples.mean(0), law.mean(), atol=0.012)
    np.testing.assert_allclose(samples.var(0), law.var(), atol=0.006)


def test_the_gradient_through_a_sample_is_that_of_the_moments() -> None:
    """∇β of E[Σ_i v_i x_i²] with E[x_i²] = c_i (c_i + 1) / (C (C + 1)), through c = ELU(β) + 1."""
    v = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    beta = torch.tensor([-0.4, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    c = concentration(beta)
    total = c.sum()
    exact = torch.autograd.grad((v * c * (c + 1) / (total * (total + 1))).sum(), beta)[0]
    rng = np.random.default_rng(1)
    draws = sample_simplex([concentration(beta).expand(20_000, 3)], rng)[0]
    found = torch.autograd.grad((draws.square() * v).sum(1).mean(), beta)[0]
    torch.testing.assert_close(found, exact, rtol=0, atol=0.01)
    assert float(exact.abs().min()) > 0.02


def test_chance_comes_from_the_named_stream_only() -> None:
    c = [torch.ones(3), torch.ones(4)]
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    one, other = (sample_simplex(c, np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_penalty_is_the_divergence_and_zero_at_the_start(tiny_dataset: Path) -> None:
    strategy = Driven("drnas", tiny_dataset, BUDGET, initial_scale=0.0).strategy
    assert float(strategy.divergence().detach()) == pytest.approx(0.0, abs=1e-5)
    with torch.no_grad():
        strategy.alphas.logits[2].copy_(torch.tensor([1.0, 2.0, -0.5]))
    c = np.array([2.0, 3.0, np.exp(-0.5)])
    rng = np.random.default_rng(0)
    law, uniform = scipy.stats.dirichlet(c), scipy.stats.dirichlet(np.ones(3))
    estimate = np.mean([law.logpdf(x) - uniform.logpdf(x) for x in law.rvs(20_000, random_state=rng)])
    assert float(strategy.divergence().detach()) == pytest.approx(estimate, abs=0.02)


def test_the_architecture_is_that_of_the_largest_means(tiny_dataset: Path) -> None:
    strategy = Driven("drnas", tiny_dataset, BUDGET).strategy
    wanted = SPACE.parse("8-32-1-2/t5-e2-se/_/_/s3-e2-no/f3-e2-se/_")
    with torch.no_grad():
        for beta, choice in zip(strategy.alphas.logits[2:], wanted.choices[2:], strict=True):
            beta.zero_()[max(choice, 0)] = 2.0
    assert strategy.incumbent() == wanted
    p = strategy.distribution().probabilities()["depth.1"].detach()
    torch.testing.assert_close(p, torch.tensor([3.0, 1.0, 1.0]) / 5)


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(DrNAS, tiny_dataset, tmp_path, 4.0)
    entropy = series(record, "alpha_entropy")
    assert len(entropy) > 1 and entropy[-1] < 1
