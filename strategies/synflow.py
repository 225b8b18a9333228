"""SynFlow: the synaptic flow of an untrained network as a data-free score.

With all weights replaced by their magnitudes and an input of ones, R = Σ logits; the score is Σ_θ θ · ∂R/∂θ (Tanaka et
al. 2020, eq. 5, summed over the network: Abdelfattah et al. 2021).
"""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench import Architecture, Info
from pvnas_bench.methods import ZeroCost, ZeroCostConfig


def synaptic_flow(network: nn.Module, ones: Tensor) -> float:
    """Σ |θ · ∂R/∂θ| over weights (parameters of two and more dimensions); the network's parameters become positive.

    Batch-norm in evaluation mode with its initial statistics is the identity, as the score requires.
    """
    network.eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    flows = torch.autograd.grad(network(ones).sum(), weights)
    return float(sum((w * g).detach().abs().sum() for w, g in zip(weights, flows, strict=True)))


class SynFlowConfig(ZeroCostConfig):
    """Hyper-parameters of SynFlow."""

    samples: int = Field(100, ge=1, description="random architectures scored (R, tuned)")


class SynFlow(ZeroCost[SynFlowConfig]):
    """Zero-cost search by synaptic flow (SynFlow)."""

    info = Info(
        name="synflow",
        title="SynFlow: synaptic flow at initialisation",
        paper="Tanaka et al., Pruning neural networks without any data, NeurIPS 2020; as a score for architecture "
        "search: Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021",
        year=2021,
        levels=("structural", "modular"),
        published="the score: weights in magnitude, input of ones, batch-norm as the identity, double precision",
        reconstructed="its logarithm (the same order); the highest of random samples under the cap",
    )

    def score(self, architecture: Architecture) -> float:
        """The logarithm of the synaptic flow."""
        network = self.problem.metered.network(architecture).double()
        ones = torch.ones_like(network.blank(self.problem.device), dtype=torch.float64)
        return math.log(synaptic_flow(network, ones))
