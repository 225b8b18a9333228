"""Gradient search: a supernet's weights and a distribution over its paths, trained in turns (REINFORCE)."""

import torch
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, Strategy
from pvnas_bench.methods import FactorisedDistribution, SharedWeights, WeightsConfig


class Config(WeightsConfig):
    """Hyper-parameters: those of the supernet's weights, and of the distribution."""

    path_rate: float = Field(0.1, gt=0, description="learning rate of Adam on the distribution's logits (R)")
    memory: float = Field(0.9, ge=0, lt=1, description="decay of the baseline, a moving average of the loss (R)")


class PathGradient(Strategy[Config, BlockSpace]):
    """REINFORCE on the paths of a supernet."""

    info = Info(
        name="path_gradient",
        title="REINFORCE on the paths of a supernet",
        paper="Williams, Simple Statistical Gradient-Following Algorithms, Machine Learning 1992",
        year=1992,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="the score-function gradient with a baseline",
        reconstructed="the distribution, one path per batch, all hyper-parameters (R)",
    )

    def setup(self) -> None:
        """Build the supernet, the distribution, and an optimiser for each."""
        problem = self.problem
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, self.config, self.supernet)
        self.paths = FactorisedDistribution(problem.space, problem.device, problem.rng("ties"))
        self.optimiser = torch.optim.Adam(self.paths.parameters(), lr=self.config.path_rate)
        self.baseline: float | None = None

    def step(self) -> None:
        """One epoch: the weights learn on search-train, the distribution on search-val."""
        rng = self.problem.torch_rng("paths")
        for batch, held_out in self.problem.search_pairs():
            self.weights.step(batch, self.paths.sample(rng), self.config.rate(self.problem.progress))
            path = self.paths.sample(rng)
            with torch.no_grad():
                loss = float(self.supernet.loss(held_out, path))
            self.baseline = loss if self.baseline is None else self.baseline
            self.problem.backward((loss - self.baseline) * self.paths.log_prob(path))
            self.problem.update(self.optimiser)
            self.baseline += (1 - self.config.memory) * (loss - self.baseline)
            self.problem.log(path_loss=loss, entropy=self.paths.mean_entropy())

    def incumbent(self) -> Architecture:
        """The most probable architecture under the caps."""
        return self.paths.best(self.problem.costs, self.problem.caps)
