"""Importance-weighted gradients of a distribution over architectures, and its cost term (PARSEC, FP-NAS)."""

from typing import Literal

from torch import Tensor

Excess = Literal["log1p", "log", "linear"]


def importance_weights(log_likelihoods: Tensor, temperature: float) -> Tensor:
    """w_k ∝ P(y|X,ω,A_k)^(1/temperature), (K,) (PARSEC).

    Args:
        log_likelihoods: (K,) log P(y|X,ω,A_k) of the whole batch, the sum over its clips.
    """
    return (log_likelihoods / temperature).softmax(0)


def excess(load: float) -> float:
    """C(A): the cost above the target, as a fraction of it (FP-NAS).

    Args:
        load: the cost over the target.
    """
    return max(0.0, load - 1)


def cost_shares(costs: Tensor, beta: float, kind: Excess = "log1p") -> Tensor:
    """Penalties (K,) of samples: Σ_k penalty_k ∇ log P(A_k|α) is the gradient of a cost term.

    With C(α) = E[C(A)] ≈ 1/K Σ_k C_k and its gradient 1/K Σ_k C_k ∇ log P(A_k|α):

    - ``log``: β log C(α), so β C_k/Σ_i C_i (FP-NAS). It depends on the ratios of the C_k only: a lone sample that is
      barely above the target has the full β;
    - ``log1p``: β log(1 + C(α)), so β C_k/(K + Σ_i C_i): in proportion to the excess where that is small, and like
      ``log``, at most β in sum, where it is large;
    - ``linear``: β C(α), so β C_k/K.

    Args:
        costs: (K,) C(A_k).
    """
    total, count = costs.sum(), len(costs)
    if kind == "linear":
        return beta * costs / count
    if kind == "log1p":
        return beta * costs / (count + total)
    return beta * costs / total if total > 0 else costs


def alpha_loss(log_p: Tensor, weights: Tensor, penalties: Tensor, baseline: bool = False) -> Tensor:
    """-Σ_k m_k log P(A_k|α), m_k = w_k - penalty_k, with the gradient of -log P(y|X,ω,α) plus that of the cost term.

    Args:
        log_p: (K,) log P(A_k|α), differentiable.
        weights: (K,) importance weights.
        penalties: (K,) `cost_shares`.
        baseline: subtract the mean of m, as E[∇ log P] = 0.
    """
    m = weights - penalties
    return -((m - m.mean() if baseline else m) * log_p).sum()
