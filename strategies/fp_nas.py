"""FP-NAS: fast probabilistic neural architecture search.

The search learns a distribution P(A|α) over architectures and the weights ω of a supernet together. With K samples A_k
of the distribution the likelihood of a batch is P(y|X,ω,α) ≈ 1/K Σ_k P(y|X,ω,A_k), whose gradients are importance
weighted (PARSEC, Casale et al. 2019):

    w_k  = P(y|X,ω,A_k) / Σ_j P(y|X,ω,A_j)                                                `importance_weights`
    ∇_ω  = -Σ_k w_k ∇_ω log P(y|X,ω,A_k)                              on search-train     `FPNAS._weight_step`
    ∇_α  = -Σ_k m_k ∇_α log P(A_k|α),  m_k = w_k - β C_k/(K + Σ_i C_i)  on search-val       `alpha_loss`
    C(A) = max(0, MACs(A)/target - 1)                                                     `excess`

The cost term is β log(1 + E[C]) (R). FP-NAS has β log E[C], so m_k = w_k - β C_k/Σ_i C_i, an option: a lone sample
barely above the target has the full β then, however small its excess (`cost_shares`).

FP-NAS draws K = λ H(P(A|α)) samples, many while the distribution is flat and few when it is sharp, and goes from coarse
to fine: the variables of a block are independent at first and get a joint distribution, their outer product, at θ.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pvnas_bench import Architecture, BlockSpace, ClipBatch, Info, Strategy
from pvnas_bench.methods import (
    ChanceGuard,
    CostShare,
    FactorisedDistribution,
    GuardConfig,
    JointDistribution,
    SharedWeights,
    WeightsConfig,
    alpha_loss,
    cost_shares,
    excess,
    importance_weights,
    log_held_out_loss,
)


class FPNASConfig(WeightsConfig, GuardConfig):
    """Hyper-parameters of FP-NAS."""

    sampling: Literal["adaptive", "fixed"] = Field("adaptive", description="K = λH, or K_0 throughout (PARSEC)")
    distribution: Literal["coarse_to_fine", "joint", "factorised"] = Field(
        "coarse_to_fine", description="coupling of a block's variables; joint: PARSEC; all but the first are ablations"
    )
    initial_samples: int = Field(14, ge=2, description="K_0: λ = 1/4 gave 14 samples at first (FP-NAS); λ=K_0/H_0")
    least_samples: int = Field(4, ge=2, description="least K: K = 1 would reinforce any sample (R)")
    switch: float = Field(0.75, ge=0, le=1, description="θ: part of the search that is factorised, warm-up too (R)")
    warmup: float = Field(0.7, ge=0, lt=1, description="least part that trains weights only, K = 1 (R, tuned)")
    resampled: int = Field(1, ge=0, description="paths drawn from w per weights step, unbiased; 0: all K (R)")
    temperature: float = Field(1.0, gt=0, description="1: likelihood of the batch; batch size: mean of a clip (R)")
    baseline: bool = Field(True, description="subtract the mean of m, whose expected gradient is zero (R)")
    cost: Literal["log1p", "log", "linear"] = Field(
        "log1p", description="of E[C]: log1p, β log(1 + E[C]) (R); log, β log E[C] (FP-NAS); linear, β E[C] (R)"
    )
    beta: float = Field(0.3, ge=0, description="β of the MACs term, in 0.1-1 (R)")
    target: float = Field(1.0, gt=0, description="target MACs over the cap (R)")
    alpha_rate: float = Field(0.01, gt=0, description="Adam's rate (R, tuned)")


class FPNAS(Strategy[FPNASConfig, BlockSpace]):
    """Probabilistic search with importance-weighted samples, coarse to fine (FP-NAS)."""

    info = Info(
        name="fp_nas",
        title="FP-NAS: probabilistic search with adaptive sampling, coarse to fine",
        paper="Yan et al., FP-NAS: Fast Probabilistic Neural Architecture Search, CVPR 2021, arXiv 2011.10949",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="importance-weighted gradients of weights and distribution, K = λH, factorised then joint "
        "distribution, hinge on MACs, halves of the search data, the most probable architecture at the end",
        reconstructed="β, θ, λ = K_0/H_0, optimiser, rates, temperature of w, warm-up and guard, log(1 + C) in place "
        "of log C; frames, size and depths stay independent; weights train along paths resampled from w, not along all "
        "K; the mean of m is subtracted; the cap is kept by a knapsack",
    )

    def setup(self) -> None:
        """Build the supernet, the distribution and their optimisers."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet)
        self.guard = ChanceGuard(problem, config, config.label_smoothing)
        self.coarse = FactorisedDistribution(problem.space, problem.device, problem.rng("ties"))
        self.fine = JointDistribution(problem.space, problem.device)
        self.fine.ties = self.coarse.ties
        self.alpha_optimisers = [torch.optim.Adam(d.parameters(), config.alpha_rate) for d in (self.coarse, self.fine)]
        self.joint = config.distribution == "joint"
        self.rate_of_samples = config.initial_samples / float(self.coarse.entropy().detach())
        self.fallback = problem.sample(problem.rng("fallback"))
        self.alpha_steps, self.samples = 0, 0

    @property
    def alphas(self) -> FactorisedDistribution | JointDistribution:
        """The distribution being learnt."""
        return self.fine if self.joint else self.coarse

    def _refine(self) -> None:
        """Replace the factorised by the joint distribution; P(A), H and K stay the same."""
        self.fine.take(self.coarse)
        self.joint = True

    def sample_count(self) -> int:
        """Number of samples K."""
        if self.config.sampling == "fixed":
            return self.config.initial_samples
        adaptive = round(self.rate_of_samples * float(self.alphas.entropy().detach()))
        return max(adaptive, self.config.least_samples)

    def step(self) -> None:
        """Run one epoch of search-train."""
        problem, config = self.problem, self.config
        for batch, held_out in problem.search_pairs():
            if config.distribution == "coarse_to_fine" and not self.joint and problem.progress >= config.switch:
                self._refine()
            warm = self.guard.passed and problem.progress >= config.warmup
            self._weight_step(batch, self.sample_count() if warm else 1, config.rate(problem.progress))
            if warm:
                self._alpha_step(held_out)
        entropy = float(self.alphas.entropy().detach())
        problem.log(alpha_entropy=self.alphas.mean_entropy(), entropy=entropy, joint=self.joint)
        problem.log(total_samples=self.samples)

    def _weigh(self, batch: ClipBatch, samples: int, held_out: bool = False) -> tuple[list[Architecture], Tensor]:
        """Draw K samples and weigh them on a batch; forward passes only, one path in memory at a time."""
        rng = self.problem.torch_rng("architectures")
        architectures = [self.alphas.sample(rng) for _ in range(samples)]
        self.samples += samples
        self.problem.note(total_samples=self.samples)
        if samples == 1:
            return architectures, torch.ones(1, device=self.problem.device)
        with torch.no_grad():
            labels = self.supernet.labels(batch)
            log_p = [-F.cross_entropy(self.supernet(batch, a), labels, reduction="sum") for a in architectures]
        log_likelihoods = torch.stack(log_p)
        if held_out:
            log_held_out_loss(self.problem, -float(log_likelihoods.mean()) / len(batch))
        return architectures, importance_weights(log_likelihoods, self.config.temperature)

    def _weight_step(self, batch: ClipBatch, samples: int, rate: float) -> None:
        """Take a step along Σ_k w_k ∇_ω log P(y|X,ω,A_k), or along paths drawn from w."""
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
        self.weights.update(rate)
        self.guard.see(total)
        self.problem.log(train_loss=total)

    def _alpha_step(self, batch: ClipBatch) -> None:
        """Take a step of the distribution; log K and the effective sample size 1/Σ w²."""
        architectures, weights = self._weigh(batch, self.sample_count(), held_out=True)
        loads = [self.problem.caps.load(self.problem.cost(a), self.config.target) for a in architectures]
        costs = weights.new_tensor([excess(load) for load in loads])
        penalties = cost_shares(costs, self.config.beta, self.config.cost)
        log_p = torch.stack([self.alphas.log_prob(a) for a in architectures])
        term = alpha_loss(log_p, torch.zeros_like(weights), penalties, self.config.baseline)
        share = CostShare(term, self.alphas.parameters())
        self.problem.backward(alpha_loss(log_p, weights, penalties, self.config.baseline))
        share.log(self.problem)
        self.problem.update(self.alpha_optimisers[self.joint])
        self.alpha_steps += 1
        self.problem.note(alpha_steps=self.alpha_steps)
        self.problem.log(samples=len(architectures), effective_samples=float(1 / (weights**2).sum()))

    def incumbent(self) -> Architecture:
        """The most probable architecture under the caps; a random one before the first alpha step."""
        return self.alphas.best(self.problem.costs, self.problem.caps) if self.alpha_steps else self.fallback
