"""DrNAS: Dirichlet neural architecture search.

The mixture weights of each decision are a sample of a Dirichlet distribution with concentration ELU(β) + 1 (section 3),
and β descends the gradient through the sample (pathwise: implicit reparameterisation). Sampling explores; a penalty
pulls the concentration towards 1, the uniform distribution over the simplex. The option of the largest mean is chosen.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from pvnas_bench import ClipBatch, Info, torch_seeded
from pvnas_bench.methods import FactorisedDistribution, FixedInputConfig, MixtureSearch, fix_input


def concentration(beta: Tensor) -> Tensor:
    """ELU(β) + 1: positive, and 1 at β = 0."""
    return F.elu(beta) + 1


def sample_simplex(concentrations: Sequence[Tensor], rng: np.random.Generator) -> list[Tensor]:
    """A sample of each Dirichlet distribution, differentiable in its concentration."""
    with torch_seeded(int(rng.integers(2**62)), "dirichlet"):
        return [Dirichlet(c).rsample() for c in concentrations]


class DrNASConfig(FixedInputConfig):
    """Hyper-parameters of DrNAS."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    alpha_rate: float = Field(0.1, gt=0, description="Adam's rate of β (R, tuned)")
    warmup: float = Field(0.3, ge=0, lt=1, description="part that trains weights only (R, tuned)")
    alpha_decay: float = Field(0.0, ge=0, description="weight decay of β: 0 beside the KL penalty (DrNAS' code)")
    penalty: float = Field(1e-3, ge=0, description="λ of KL(Dirichlet(ELU(β)+1) ‖ Dirichlet(1)) (DrNAS' code)")
    initial_scale: float = Field(1e-3, ge=0, description="standard deviation of the first β (DARTS)")


class DrNAS(MixtureSearch[DrNASConfig]):
    """Differentiable search with Dirichlet mixture weights (DrNAS)."""

    info = Info(
        name="drnas",
        title="DrNAS: Dirichlet neural architecture search",
        paper="Chen, Wang, Cheng, Tang & Hsieh, DrNAS: Dirichlet Neural Architecture Search, ICLR 2021",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="mixture weights sampled from Dirichlet(ELU(β) + 1), pathwise gradients, KL penalty towards "
        "Dirichlet(1), first-order alternation; the largest mean is kept",
        reconstructed="chain of blocks in place of cells, factors of a block mixed separately, depths by a weighted "
        "sum; frames and size stay at the reference's; no progressive stages (partial channels, pruning); learning "
        "rates for a hundredth of the steps; the MACs cap",
    )

    def prepare(self) -> None:
        """Initialise β in `alphas`; `means` holds the Dirichlet means."""
        rng = self.problem.torch_rng("beta")
        with torch.no_grad():
            for beta in self.alphas.logits:
                beta.copy_(self.config.initial_scale * torch.randn(beta.shape, generator=rng))
        super().prepare()
        self.means = FactorisedDistribution(self.problem.space, self.problem.device, self.problem.rng("ties"))
        fix_input(self.means, self.problem.space.reference)

    def mixed(self) -> dict[str, Tensor]:
        """A sample of the mixture weights of every decision that is mixed, differentiable in β."""
        names = [d.name for d in self.problem.space.decisions]
        free = {n: beta for n, beta in zip(names, self.alphas.logits, strict=True) if beta.requires_grad}
        sampled = sample_simplex([concentration(beta) for beta in free.values()], self.problem.rng("dirichlet"))
        return dict(zip(free, sampled, strict=True))

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Take a first-order step on the sampled mixture's loss and the penalty."""
        loss = self.alpha_loss(held_out, self.plan(self.mixed()))
        value = float(loss.detach())
        if self.config.penalty:
            loss = loss + self.config.penalty * self.divergence()
        self.descend(loss)
        return value

    def divergence(self) -> Tensor:
        """Σ over decisions of KL(Dirichlet(ELU(β)+1) ‖ Dirichlet(1))."""
        total: Tensor = torch.zeros((), device=self.problem.device)
        for beta in self.alphas.logits:
            if beta.requires_grad:
                c = concentration(beta)
                total = total + kl_divergence(Dirichlet(c), Dirichlet(torch.ones_like(c)))
        return total

    def distribution(self) -> FactorisedDistribution:
        """The Dirichlet means."""
        with torch.no_grad():
            for mean, beta in zip(self.means.logits, self.alphas.logits, strict=True):
                if beta.requires_grad:
                    mean.copy_(concentration(beta).log())
        return self.means
