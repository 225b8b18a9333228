"""FP-NAS: fast probabilistic neural architecture search.

The search learns a distribution P(A|α) over architectures and the weights ω of a supernet together. With K samples A_k
of the distribution the likelihood of a batch is P(y|X,ω,α) ≈ 1/K Σ_k P(y|X,ω,A_k), whose gradients are importance
weighted (PARSEC, Casale et al. 2019):

    w_k  = P(y|X,ω,A_k) / Σ_j P(y|X,ω,A_j)                                            `importance_weights`
    ∇_ω  = -Σ_k w_k ∇_ω log P(y|X,ω,A_k)                         on search-train      `FPNAS._weight_step`
    ∇_α  = -Σ_k m_k ∇_α log P(A_k|α),  m_k = w_k - β C_k/Σ_i C_i   on search-val        `alpha_loss`
    C(A) = max(0, MACs(A)/target - 1)                                                 `excess`

FP-NAS draws K = λ H(P(A|α)) samples, many while the distribution is flat and few when it is sharp, and goes from coarse
to fine: the variables of a block are independent at first and get a joint distribution, their outer product, at θ.

What was found on synthetic_motion (protocol quick, cap L; random sampling has a mean test top-1 of 0.46): seeds 0-2
give 0.43, 0.47, 0.58, a mean of 0.49 and no clear gain; SGD at 0.1 in place of AdamW gives 0.58 and 0.48 with seeds 0
and 1. The networks have 2.1 to 3.2 of the 7 MMACs allowed, perhaps because large paths need longer than small ones: the
supernet's loss is still 2.4 where chance is 2.8. An earlier setting (SGD, warm-up of 0.2 along weighted paths, no
baseline, temperature 4) had 0.40: 98 % of the samples were effective, so that the m_k, which sum to one, reinforced
whatever was drawn, and the distribution drifted to 0.7 MMACs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pvnas_bench import Architecture, Info, Problem, Strategy
from pvnas_bench.methods.bilevel import WeightsConfig, make_weight_optimiser, set_rate
from pvnas_bench.methods.distribution import FactorisedDistribution, JointDistribution

Distribution = FactorisedDistribution | JointDistribution


def importance_weights(log_likelihoods: Tensor, temperature: float) -> Tensor:
    """w_k ∝ P(y|X,ω,A_k)^(1/temperature), (K,).

    Args:
        log_likelihoods: (K,) log P(y|X,ω,A_k) of the whole batch, the sum over its clips.
    """
    return (log_likelihoods / temperature).softmax(0)


def excess(macs: float, target: float) -> float:
    """C(A): what an architecture's MACs exceed the target by, as a fraction of it."""
    return max(0.0, macs / target - 1)


def alpha_loss(log_p: Tensor, weights: Tensor, costs: Tensor, beta: float, baseline: bool = False) -> Tensor:
    """-Σ_k m_k log P(A_k|α), whose gradient is that of -log P(y|X,ω,α) + β log C(α), C(α) ≈ 1/K Σ_k C(A_k).

    Args:
        log_p: (K,) differentiable.
        weights: (K,) importance weights.
        costs: (K,) C(A_k).
        baseline: subtract the mean of m, as E[∇ log P] = 0.
    """
    total = costs.sum()
    m = weights - beta * costs / total if total > 0 else weights
    if baseline:
        m = m - m.mean()
    return -(m * log_p).sum()


class FPNAS(Strategy):
    info = Info(
        name="fp_nas",
        title="FP-NAS: probabilistic search with adaptive sampling, coarse to fine",
        paper="Yan et al., FP-NAS: Fast Probabilistic Neural Architecture Search, CVPR 2021, arXiv 2011.10949",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="importance-weighted gradients of weights and distribution, K = λH, factorised then joint "
        "distribution, hinge on MACs, halves of the search data, the most probable architecture at the end",
        reconstructed="β, θ, λ = K_0/H_0, optimiser, rates, temperature of w, warm-up; frames, size and depths "
        "stay independent; weights train along paths resampled from w, not along all K; the mean of m is subtracted; "
        "the cap is kept by a knapsack",
    )

    class Config(WeightsConfig):
        sampling: Literal["adaptive", "fixed"] = Field("adaptive", description="K = λH, or K_0 throughout (PARSEC)")
        distribution: Literal["coarse_to_fine", "joint", "factorised"] = Field(
            "coarse_to_fine", description="of the variables of a block; joint: PARSEC; all but the first are ablations"
        )
        initial_samples: int = Field(14, ge=2, description="K_0: λ = 1/4 gave 14 samples at first (FP-NAS); λ=K_0/H_0")
        least_samples: int = Field(4, ge=2, description="K is not less: K = 1 would reinforce whatever is drawn (R)")
        switch: float = Field(0.75, ge=0, le=1, description="θ: part of the search that is factorised, warm-up too (R)")
        warmup: float = Field(0.5, ge=0, lt=1, description="part of the search that trains weights only, K = 1 (R)")
        resampled: int = Field(
            1, ge=0, description="paths drawn from w per weights step, an unbiased estimate of the sum; 0: all K (R)"
        )
        temperature: float = Field(1.0, gt=0, description="1: likelihood of the batch; batch size: mean of a clip (R)")
        baseline: bool = Field(
            True, description="subtract the mean of m, whose expected gradient is zero: chance alone moves nothing (R)"
        )
        beta: float = Field(0.3, ge=0, description="β of the MACs term, in 0.1-1 (R)")
        target: float = Field(1.0, gt=0, description="target MACs over the cap (R)")
        alpha_rate: float = Field(0.03, gt=0, description="of Adam; 0.01 for longer searches (R)")

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet = problem.supernet()
        self.alphas: Distribution = FactorisedDistribution(problem.space, problem.device)
        self.rate_of_samples = config.initial_samples / float(self.alphas.entropy().detach())
        self.weight_optimiser = make_weight_optimiser(self.supernet.parameters(), config)
        self.alpha_optimiser = self._alpha_optimiser()
        if config.distribution == "joint":
            self._refine()
        self.fallback = problem.sample(problem.rng("fallback"))
        self.alpha_steps, self.samples = 0, 0
        self.history: dict[str, list[float]] = {
            name: [] for name in ("alpha_entropy", "entropy", "samples", "effective_samples", "joint")
        }

    def _alpha_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.alphas.parameters(), lr=self.config.alpha_rate)

    def _refine(self) -> None:
        """From the factorised to the joint distribution: P(A), and so H and K, stay as they are."""
        assert isinstance(self.alphas, FactorisedDistribution)
        joint = JointDistribution(self.problem.space, self.problem.device)
        joint.take(self.alphas)
        self.alphas = joint
        self.alpha_optimiser = self._alpha_optimiser()

    @property
    def progress(self) -> float:
        return min(self.problem.ledger.spent / self.problem.ledger.budget, 1.0)

    def sample_count(self) -> int:
        """K."""
        if self.config.sampling == "fixed":
            return int(self.config.initial_samples)
        adaptive = round(self.rate_of_samples * float(self.alphas.entropy().detach()))
        return int(max(adaptive, self.config.least_samples))

    def step(self) -> None:
        """One epoch of search-train."""
        validation: Iterator[Any] = iter(())
        losses, effective, counts = [], [], []
        for batch in self.problem.search_batches("train"):
            fine = isinstance(self.alphas, JointDistribution)
            if self.config.distribution == "coarse_to_fine" and not fine and self.progress >= self.config.switch:
                self._refine()
            set_rate(self.weight_optimiser, self.config, self.progress)
            warm = self.progress >= self.config.warmup
            losses.append(self._weight_step(batch, self.sample_count() if warm else 1))
            if warm:
                counts.append(self.sample_count())
                held_out = next(validation, None)
                if held_out is None:
                    validation = self.problem.search_batches("val")
                    held_out = next(validation)
                effective.append(self._alpha_step(held_out))
        self._note(losses, effective, counts)

    def _note(self, losses: Sequence[float], effective: Sequence[float], counts: Sequence[int]) -> None:
        self.history["alpha_entropy"].append(self.alphas.mean_entropy())
        self.history["entropy"].append(float(self.alphas.entropy().detach()))
        self.history["samples"].append(float(np.mean(counts)) if counts else 1.0)
        self.history["effective_samples"].append(float(np.mean(effective)) if effective else 0.0)
        self.history["joint"].append(float(isinstance(self.alphas, JointDistribution)))
        self.problem.log(train_loss=float(np.mean(losses)), alpha_entropy=self.history["alpha_entropy"][-1])

    def _weigh(self, batch: Any, samples: int) -> tuple[list[Architecture], Tensor]:
        """K samples and their importance weights on a batch; forward passes only, one path in memory at a time."""
        rng = self.problem.torch_rng("architectures")
        architectures = [self.alphas.sample(rng) for _ in range(samples)]
        self.samples += samples
        if samples == 1:
            return architectures, torch.ones(1, device=self.problem.device)
        with torch.no_grad():
            labels = self.supernet.labels(batch)
            log_likelihoods = [
                -F.cross_entropy(self.supernet(batch, a), labels, reduction="sum") for a in architectures
            ]
        return architectures, importance_weights(torch.stack(log_likelihoods), self.config.temperature)

    def _weight_step(self, batch: Any, samples: int) -> float:
        """One step along Σ_k w_k ∇_ω log P(y|X,ω,A_k), or along paths drawn from w."""
        architectures, weights = self._weigh(batch, samples)
        shares = weights.tolist()
        if drawn := self.config.resampled:
            picks = torch.multinomial(weights.cpu(), drawn, replacement=True, generator=self.problem.torch_rng("paths"))
            shares = (torch.bincount(picks, minlength=len(architectures)) / drawn).tolist()
        total = 0.0
        for architecture, share in zip(architectures, shares, strict=True):
            if share > 0:
                loss = share * self.supernet.loss(batch, architecture, self.config.label_smoothing)
                self.problem.backward(loss)
                total += float(loss.detach())
        self.problem.update(self.weight_optimiser, clip=self.config.gradient_clip)
        return total

    def _alpha_step(self, batch: Any) -> float:
        """One step of the distribution; returns the effective sample size 1/Σ w²."""
        architectures, weights = self._weigh(batch, self.sample_count())
        target = self.config.target * self.problem.cap
        costs = weights.new_tensor([excess(self.problem.cost(a).macs, target) for a in architectures])
        log_p = torch.stack([self.alphas.log_prob(a) for a in architectures])
        self.problem.backward(alpha_loss(log_p, weights, costs, self.config.beta, self.config.baseline))
        self.problem.update(self.alpha_optimiser)
        self.alpha_steps += 1
        return float(1 / (weights**2).sum())

    def incumbent(self) -> Architecture:
        """The most probable architecture under the cap; a random one before the distribution has learnt anything."""
        return self.alphas.best(self.problem.costs, self.problem.cap) if self.alpha_steps else self.fallback

    def score(self, architecture: Architecture) -> float:
        """Top-1 on search-val with the supernet's weights."""
        return self.supernet.validate(architecture, self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Any]:
        return self.history | {"total_samples": self.samples, "alpha_steps": self.alpha_steps}

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "joint": isinstance(self.alphas, JointDistribution),
            "alphas": self.alphas.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "fallback": str(self.fallback),
            "alpha_steps": self.alpha_steps,
            "samples": self.samples,
            "history": {name: list(values) for name, values in self.history.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["joint"] and not isinstance(self.alphas, JointDistribution):
            self._refine()
        self.supernet.load_state_dict(state["supernet"])
        self.alphas.load_state_dict(state["alphas"])
        self.weight_optimiser.load_state_dict(state["weight_optimiser"])
        self.alpha_optimiser.load_state_dict(state["alpha_optimiser"])
        self.fallback = self.problem.space.parse(state["fallback"])
        self.alpha_steps, self.samples = state["alpha_steps"], state["samples"]
        self.history = {name: list(values) for name, values in state["history"].items()}
