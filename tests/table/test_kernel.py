"""The surrogate's kernel: its density by another library and its gradient by differences, and planted relevances."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from pvnas_bench.table import kernel
from pvnas_bench.table.kernel import CENTRE, DECIDING, JITTER, WIDTH, Floats, log_posterior

GROUPS = ("a", "b", "b", "c")


def sample(n: int, noise: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Targets that follow the first feature closely, the second and third weakly, and the fourth not at all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, np.sin(2 * x[:, 0]) + 0.3 * (x[:, 1] + x[:, 2]) + noise * rng.normal(size=n)


def distances(x: Floats) -> Floats:
    pairs = x[:, None] - x[None]
    return np.array([(pairs[..., [g == name for g in GROUPS]] ** 2).sum(-1) for name in dict.fromkeys(GROUPS)])


def test_the_density_is_that_of_scikit_learn_and_the_prior() -> None:
    x, y = sample(40, 0.2)
    y = y - y.mean()
    theta = np.log([1.7, 0.05, 0.3, 0.02, 0.004])
    process = GaussianProcessRegressor(ConstantKernel(1.7) * RBF(1.0), alpha=0.05 + JITTER, optimizer=None)
    scaled = x * np.sqrt([0.3, 0.02, 0.02, 0.004])
    likelihood = process.fit(scaled, y).log_marginal_likelihood_value_ + 0.5 * len(y) * np.log(2 * np.pi)
    prior = -0.5 * (((theta[2:] - CENTRE) / WIDTH) ** 2).sum()
    assert log_posterior(theta, distances(x), y)[0] == pytest.approx(likelihood + prior, rel=1e-9)


def test_the_gradient_is_that_of_differences() -> None:
    x, y = sample(30, 0.2)
    between = distances(x)
    for seed in range(5):
        theta = np.random.default_rng(seed).normal([0, -2, -3, -3, -3], 1.0)
        error = check_grad(
            lambda t: log_posterior(t, between, y)[0], lambda t: log_posterior(t, between, y)[1], theta, epsilon=1e-6
        )
        assert error < 1e-3


def test_relevance_and_noise_are_recovered() -> None:
    x, y = sample(300, 0.3)
    found = kernel.fit(x, y, GROUPS)
    first, second, third, none = found.relevance
    assert second == third  # one group
    assert first > 20 * second and first > 100 * none
    assert found.noise == pytest.approx(0.3**2 / y.var(), rel=0.3)
    x, y = sample(300, 2.0, seed=1)
    assert kernel.fit(x, y, GROUPS).noise > 2 * found.noise


def test_it_is_the_optimum_up_to_rounding_and_the_same_for_nearly_equal_targets() -> None:
    x, y = sample(200, 0.3)
    found = kernel.fit(x, y, GROUPS)
    theta = np.log([found.signal, found.noise, *found.relevance[[0, 1, 3]]])
    np.testing.assert_allclose(theta, np.round(theta, 1), atol=1e-9)
    between, scaled = distances(x), (y - y.mean()) / y.std()
    best = log_posterior(theta, between, scaled)[0]
    for i in range(len(theta)):
        for step in (-0.5, 0.5):
            other = theta.copy()
            other[i] += step
            assert log_posterior(other, between, scaled)[0] < best
    again = kernel.fit(x, y * (1 + 1e-9), GROUPS)
    np.testing.assert_array_equal(again.relevance, found.relevance)
    assert (again.signal, again.noise) == (found.signal, found.noise)


def test_a_part_of_many_networks_decides_and_constant_targets_are_no_error() -> None:
    x, y = sample(2 * DECIDING - 1, 0.3)
    whole, half = kernel.fit(x, y, GROUPS), kernel.fit(x[::2], y[::2], GROUPS)
    np.testing.assert_array_equal(whole.relevance, half.relevance)
    assert np.isfinite(kernel.fit(x[:30], np.full(30, 0.5), GROUPS).relevance).all()
