"""The kernel of a surrogate's Gaussian process: automatic relevance determination by groups of features.

k(x, x') = s · exp(-½ Σ_g w_g ‖x_g - x'_g‖²): each group of features g has a relevance w_g, as each single feature has
in Neal, Bayesian Learning for Neural Networks, 1996. The variances of the signal, s, and of the noise, and the
relevances are those of the highest posterior density: the marginal likelihood (Rasmussen & Williams, Gaussian Processes
for Machine Learning, 2006, §5.4.1) times a log-normal prior of each relevance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

DECIDING: Final = 500
"""Most networks that decide; the time grows with their cube."""
CENTRE, WIDTH = np.log(0.01), 2.0
"""Mean and standard deviation of the prior of log w. It gives every relevance an optimum, so that rounding can hide the
differences between machines in the last digits."""
SIGNAL, NOISE, RELEVANCE = (1e-2, 1e3), (1e-3, 1e1), (1e-8, 1.0)
"""Bounds."""
JITTER = 1e-8
ITERATIONS = 1000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """Parameters of a kernel, in units of the targets' variance.

    Attributes:
        signal, noise: variances.
        relevance: w of each feature, equal within a group.
    """

    signal: float
    noise: float
    relevance: Floats


def fit(features: Floats, targets: Floats, groups: Sequence[str]) -> Kernel:
    """The kernel of the highest posterior density; of many networks evenly spaced ones decide.

    The logarithms of all parameters are rounded to one decimal, so that equal tables have equal models everywhere.

    Args:
        features: (N, D), standardised.
        targets: (N,).
        groups: D names; features of one name are a group.
    """
    from scipy.optimize import Bounds, minimize

    n = len(features)
    part = np.linspace(0, n - 1, min(n, DECIDING)).round().astype(int)
    names = list(dict.fromkeys(groups))
    member = np.array([names.index(name) for name in groups])
    distances = np.array([_squared_distances(features[part][:, member == g]) for g in range(len(names))])
    y = (targets[part] - targets[part].mean()) / (targets[part].std() or 1.0)

    def negative(theta: Floats) -> tuple[float, Floats]:
        density, gradient = log_posterior(theta, distances, y)
        return -density, -gradient

    start = np.array([0.0, np.log(0.1), *[CENTRE] * len(names)])
    low, high = np.log([SIGNAL, NOISE, *[RELEVANCE] * len(names)]).T
    found = minimize(
        negative,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(low, high),
        options={"maxiter": ITERATIONS, "gtol": 1e-5, "ftol": 1e-13},
    )
    signal, noise, *relevance = np.exp(np.round(found.x, 1)).tolist()
    return Kernel(signal, noise, np.array(relevance)[member])


def log_posterior(theta: Floats, distances: Floats, y: Floats) -> tuple[float, Floats]:
    """Log marginal likelihood plus log prior, up to a constant, and its gradient.

    Args:
        theta: logarithms of signal, noise and the relevance of each of G groups.
        distances: (G, N, N), squared distances within each group.
        y: (N,), targets of zero mean.

    Returns:
        -∞ and a gradient of zero where the covariance is not positive definite.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    signal, noise, relevance = np.exp(theta[0]), np.exp(theta[1]), np.exp(theta[2:])
    covariance = signal * np.exp(-0.5 * np.tensordot(relevance, distances, 1))
    try:
        factor = cho_factor(covariance + (noise + JITTER) * np.eye(len(y)), lower=True)
    except LinAlgError:
        return -np.inf, np.zeros_like(theta)
    alpha = cho_solve(factor, y)
    deviation = (theta[2:] - CENTRE) / WIDTH
    density = -0.5 * float(y @ alpha) - float(np.log(np.diag(factor[0])).sum()) - 0.5 * float(deviation @ deviation)
    slope = np.outer(alpha, alpha) - cho_solve(factor, np.eye(len(y)))  # 2 ∂(log likelihood)/∂K
    weighted = slope * covariance
    by_relevance = -0.25 * relevance * np.tensordot(distances, weighted, ((1, 2), (0, 1))) - deviation / WIDTH
    return density, np.array([0.5 * weighted.sum(), 0.5 * noise * np.trace(slope), *by_relevance])


def _squared_distances(x: Floats) -> Floats:
    norms = (x**2).sum(1)
    return np.asarray(np.maximum(norms[:, None] + norms - 2 * x @ x.T, 0.0), np.float64)
