"""ENAS: efficient architecture search by parameter sharing, with a policy gradient.

An LSTM controller emits one decision after the other, each conditioned on those before (section 2.2). Shared weights
train along paths that it samples (one per batch), then the controller trains by REINFORCE on the paths' accuracy on
search-val with a moving-average baseline and an entropy bonus. At the end several samples are compared on search-val
with the shared weights, and the best is returned (section 2.4).
"""

import itertools
import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pvnas_bench import INACTIVE, Architecture, BlockSpace, Info, SearchFinished, SearchSpace, Strategy
from pvnas_bench.methods import SharedWeights, WeightsConfig, log_held_out_loss


class Controller(nn.Module):
    """LSTM controller: P(A) = Π_i P(choice_i | choices before), over the decisions that exist."""

    def __init__(
        self, space: SearchSpace, hidden: int, temperature: float, tanh: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.space, self.temperature, self.tanh = space, temperature, tanh
        self.cell = nn.LSTMCell(hidden, hidden)
        self.start = nn.Parameter(torch.empty(hidden))
        self.embeddings = nn.ParameterList(torch.empty(len(d.options), hidden) for d in space.decisions[:-1])
        self.heads = nn.ParameterList(torch.empty(len(d.options), hidden) for d in space.decisions)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)

    def walk(self, pick: Callable[[int, Tensor], int]) -> tuple[Architecture, Tensor, Tensor]:
        """Decide by `pick(decision, log-probabilities)`; return the architecture, log P(A) and Σ of the entropies."""
        choices: list[int] = []
        x, state = self.start[None], None
        log_p, entropy = self.start.new_zeros(()), self.start.new_zeros(())
        for i in range(len(self.space.decisions)):
            parent, enabled = self.space.condition(i)
            if parent != INACTIVE and choices[parent] not in enabled:
                choices.append(INACTIVE)
                continue
            state = self.cell(x, state)
            logits = (self.heads[i] @ state[0][0]) / self.temperature
            options = (self.tanh * torch.tanh(logits)).log_softmax(0)
            choices.append(pick(i, options))
            log_p = log_p + options[choices[i]]
            entropy = entropy - (options.exp() * options).sum()
            if i < len(self.embeddings):  # nothing follows the last decision
                x = self.embeddings[i][choices[i]][None]
        return self.space.architecture(choices), log_p, entropy

    def sample(self, generator: torch.Generator) -> tuple[Architecture, Tensor, Tensor]:
        """A random architecture with its log-probability and entropy, both differentiable."""
        return self.walk(lambda _, options: int(torch.multinomial(options.detach().exp(), 1, generator=generator)))


def decided(space: SearchSpace, architecture: Architecture) -> list[int]:
    """Numbers of options of the decisions that exist in an architecture."""
    pairs = zip(space.decisions, architecture.choices, strict=True)
    return [len(decision.options) for decision, choice in pairs if choice != INACTIVE]


def policy_loss(log_p: Tensor, reward: float, baseline: float, entropy: Tensor, bonus: float) -> Tensor:
    """REINFORCE loss; its expected gradient is that of −E[R] − bonus·E[Σ of the entropies met]."""
    loss: Tensor = -(reward + bonus * float(entropy.detach()) - baseline) * log_p - bonus * entropy
    return loss


class ENASConfig(WeightsConfig):
    """Hyper-parameters of ENAS."""

    hidden: int = Field(64, ge=4, description="units of the LSTM (ENAS: 100)")
    temperature: float = Field(5.0, gt=0, description="divisor of the logits (ENAS)")
    tanh: float = Field(2.5, gt=0, description="bound of the logits (ENAS)")
    controller_rate: float = Field(0.01, gt=0, description="Adam's rate (R, tuned; ENAS: 3.5e-4, 100 times the steps)")
    controller_steps: int = Field(40, ge=1, description="rewards per epoch of the weights (R; ENAS: 2,000)")
    samples: int = Field(4, ge=1, description="rewards per controller update (R; ENAS: 10-20)")
    baseline_decay: float = Field(0.95, ge=0, lt=1, description="decay of the moving average (R)")
    entropy_bonus: float = Field(1e-3, ge=0, description="weight of the entropy in the reward (ENAS: 1e-4)")
    warmup: float = Field(0.3, ge=0, lt=1, description="part of the search that trains weights only (R, tuned)")
    candidates: int = Field(10, ge=1, description="samples compared at the end (ENAS)")


class ENAS(Strategy[ENASConfig, BlockSpace]):
    """Shared weights and an LSTM controller in alternation (ENAS)."""

    info = Info(
        name="enas",
        title="ENAS: efficient architecture search by parameter sharing",
        paper="Pham et al., Efficient Neural Architecture Search via Parameter Sharing, ICML 2018",
        year=2018,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="shared weights and an LSTM controller in alternation, REINFORCE with a moving-average baseline, "
        "entropy in the reward, temperature and tanh constant of the logits; samples compared at the end",
        reconstructed="all decisions of the space, frames and size included, in its order; a path above the MACs cap "
        "has reward 0 and is not run; the entropy bonus has a gradient of its own; rates and numbers of steps for a "
        "hundredth of the budget; final samples compared on all of search-val",
    )

    def setup(self) -> None:
        """Build the supernet, the controller and their optimisers; reserve budget for the final comparison."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet)
        rng = problem.torch_rng("controller")
        self.controller = Controller(problem.space, config.hidden, config.temperature, config.tanh, rng)
        self.controller_optimiser = torch.optim.Adam(self.controller.parameters(), lr=config.controller_rate)
        self.baseline: float | None = None
        self.compared: dict[Architecture, float] = {}
        self.fallback = problem.sample(problem.rng("fallback"))
        problem.set_aside(validations=config.candidates)

    def step(self) -> None:
        """Train the weights, then the controller, for one epoch; finally compare samples."""
        problem, config = self.problem, self.config
        if self.compared:
            raise SearchFinished
        rng = problem.torch_rng("paths")
        for batch in problem.search_batches("train"):
            if problem.progress >= 1:
                break
            self.weights.step(batch, self._path(rng), config.rate(problem.progress))
        if config.warmup <= problem.progress < 1:
            self._train_controller()
        if problem.progress >= 1:
            self._compare()

    def _sample(self, rng: torch.Generator) -> tuple[Architecture, Tensor, Tensor]:
        """A sample of the controller, whose passes are charged."""
        sample, hidden = self.controller.sample(rng), self.config.hidden
        macs = sum(hidden * (8 * hidden + options) for options in decided(self.problem.space, sample[0]))
        self.problem.metered.forward(macs, 0, 2 if sample[1].requires_grad else 0)
        if sample[1].requires_grad:
            sample[1].register_hook(lambda _: self.problem.metered.backward(2 * macs))
        return sample

    def _path(self, rng: torch.Generator) -> Architecture:
        """A sample of the controller under the cap."""
        with torch.no_grad():
            return self.problem.draw(lambda: self._sample(rng)[0]) or self.fallback

    def _train_controller(self) -> None:
        problem, config, rng = self.problem, self.config, self.problem.torch_rng("policy")
        batches = itertools.chain.from_iterable(problem.validation_batches() for _ in itertools.count())
        for step, batch in zip(range(1, config.controller_steps + 1), batches, strict=False):
            if problem.progress >= 1:
                break
            architecture, log_p, entropy = self._sample(rng)
            reward = 0.0
            if problem.feasible(architecture):
                with torch.no_grad():
                    logits, labels = self.supernet(batch, architecture), self.supernet.labels(batch)
                reward = float((logits.argmax(1) == labels).float().mean())
                log_held_out_loss(problem, float(F.cross_entropy(logits, labels)))
            total = reward + config.entropy_bonus * float(entropy.detach())
            baseline = total if self.baseline is None else self.baseline
            problem.backward(policy_loss(log_p, reward, baseline, entropy, config.entropy_bonus) / config.samples)
            self.baseline = config.baseline_decay * baseline + (1 - config.baseline_decay) * total
            if step % config.samples == 0:
                problem.update(self.controller_optimiser)
            most = sum(map(math.log, decided(problem.space, architecture)))
            problem.log(reward=reward, alpha_entropy=float(entropy.detach()) / most)
        self.controller_optimiser.zero_grad(set_to_none=True)

    def _compare(self) -> None:
        """Measure samples on search-val with the shared weights."""
        rng = self.problem.torch_rng("final")
        for _ in range(self.config.candidates):
            architecture = self._path(rng)
            self.compared[architecture], _ = self.supernet.validate(architecture, self.problem.validation_batches())
            self.problem.note(compared=[[str(sample), top1] for sample, top1 in self.compared.items()])
        self.problem.log(val_top1=max(self.compared.values()))

    def incumbent(self) -> Architecture:
        """The best compared sample; before that the greedy path, or the likeliest of some samples under the cap."""
        if self.compared:
            return max(self.compared, key=lambda architecture: self.compared[architecture])
        rng = torch.Generator().manual_seed(0)  # a separate generator: asking must not change the search
        with torch.no_grad():
            greedy = self.controller.walk(lambda _, options: int(options.argmax()))
            drawn = [greedy] if self.problem.feasible(greedy[0]) else [self.controller.sample(rng) for _ in range(64)]
        allowed = [(float(log_p), a) for a, log_p, _ in drawn if self.problem.feasible(a)]
        return max(allowed, key=lambda pair: pair[0])[1] if allowed else self.fallback
