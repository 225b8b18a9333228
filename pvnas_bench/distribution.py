"""Categorical distributions over architectures: the learnt state of gradient-based strategies."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pvnas_bench.knapsack import best_under_cap, decision_scores
from pvnas_bench.network.cost import CostModel
from pvnas_bench.space import INACTIVE, Architecture, SearchSpace


class FactorisedDistribution(nn.Module):
    """P(A) = product over the decisions that exist of softmax(logits); uniform per decision at the start."""

    def __init__(self, space: SearchSpace, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.space = space
        self.logits = nn.ParameterList(
            nn.Parameter(torch.zeros(len(decision.options), device=device)) for decision in space.decisions
        )

    def log_probabilities(self) -> dict[str, Tensor]:
        """By decision, the log-probability of each option given that the decision exists."""
        return {d.name: logit.log_softmax(0) for d, logit in zip(self.space.decisions, self.logits, strict=True)}

    def probabilities(self) -> dict[str, Tensor]:
        """By decision, the probability of each option given that the decision exists."""
        return {name: value.exp() for name, value in self.log_probabilities().items()}

    @torch.no_grad()
    def sample(self, generator: torch.Generator) -> Architecture:
        """A random architecture."""
        choices = [int(torch.multinomial(logit.softmax(0).cpu(), 1, generator=generator)) for logit in self.logits]
        return self.space.architecture(choices)

    def log_prob(self, architecture: Architecture) -> Tensor:
        """log P(A), differentiable."""
        terms = [
            logit.log_softmax(0)[choice]
            for logit, choice in zip(self.logits, architecture.choices, strict=True)
            if choice != INACTIVE
        ]
        return torch.stack(terms).sum()

    def entropy(self) -> Tensor:
        """H(A) in nats, exact: the sum over decisions of P(decision exists) times its entropy."""
        probabilities = [logit.softmax(0) for logit in self.logits]
        exists: list[Tensor] = []
        total: Tensor = probabilities[0].new_zeros(())
        for i, p in enumerate(probabilities):
            exists.append(self._exists(i, exists, probabilities))
            total = total + exists[i] * torch.special.entr(p).sum()
        return total

    def _exists(self, i: int, exists: Sequence[Tensor], probabilities: Sequence[Tensor]) -> Tensor:
        parent, options = self.space.condition(i)
        if parent == INACTIVE:
            return probabilities[i].new_ones(())
        return exists[parent] * probabilities[parent][sorted(options)].sum()

    @torch.no_grad()
    def mean_entropy(self) -> float:
        """Mean over decisions of the entropy as a fraction of the uniform one's: 1 at the start, 0 at the end."""
        shares = [
            float(torch.special.entr(logit.softmax(0)).sum()) / float(np.log(len(logit)))
            for logit in self.logits
            if len(logit) > 1
        ]
        return float(np.mean(shares))

    @torch.no_grad()
    def best(self, costs: CostModel, cap: int) -> Architecture:
        """Each decision's most probable option; if that is above the cap, what is under it and gives up least.

        What a choice gives up is log p(most probable option) - log p(its option), summed over its decisions.
        """
        mode = self.space.architecture([int(logit.argmax()) for logit in self.logits])
        if costs(mode).macs <= cap:
            return mode
        scores = {name: (lp - lp.max()).double().cpu().numpy() for name, lp in self.log_probabilities().items()}
        return best_under_cap(costs, cap, decision_scores(costs, scores))
