"""Categorical distributions over architectures: the learnt state of gradient-based strategies."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pvnas_bench import seeding
from pvnas_bench.methods.knapsack import CandidateScores, Ties, best_under_caps, break_ties, decision_scores
from pvnas_bench.network.cost import Candidate, CostModel, candidates
from pvnas_bench.space import INACTIVE, Architecture, BlockSpace, Caps, SearchSpace


def mean_entropy(probabilities: Mapping[str, Tensor]) -> float:
    """Mean entropy over decisions, as a fraction of the uniform distribution's."""
    shares = [
        float(torch.special.entr(p.detach()).sum()) / float(np.log(len(p)))
        for p in probabilities.values()
        if len(p) > 1
    ]
    return float(np.mean(shares))


def tie_break(space: SearchSpace, rng: np.random.Generator | None) -> Ties:
    """A `break_ties` of a random generator; None: the same in every search of the space."""
    return break_ties(space, seeding.generator(0, "ties", space.name) if rng is None else rng)


class FactorisedDistribution(nn.Module):
    """Independent decisions: P(A) is the product of softmax(logits) over those that exist; initially uniform.

    Attributes:
        ties: random order of the options of each decision, by which `best` decides between equally probable ones.
    """

    def __init__(
        self, space: SearchSpace, device: torch.device | str = "cpu", rng: np.random.Generator | None = None
    ) -> None:
        """Make a uniform distribution.

        Args:
            rng: draws `ties`, as `problem.rng("ties")`; None: a stream of the space, the same in every search.
        """
        super().__init__()
        self.space, self.ties = space, tie_break(space, rng)
        self.logits = nn.ParameterList(
            nn.Parameter(torch.zeros(len(decision.options), device=device)) for decision in space.decisions
        )
        self._rows: tuple[Tensor, ...] = tuple(self.logits)  # iterating over a ParameterList is slow
        counts = np.array([len(row) for row in self._rows])
        columns = np.arange(counts.max())
        self._exists_at = columns < counts[:, None]
        starts = counts.cumsum() - counts
        places = np.where(self._exists_at, starts[:, None] + columns, counts.sum())
        self._places = torch.from_numpy(places).to(device)

    def logit(self, decision: str) -> Tensor:
        """Logits (options,) of one decision."""
        return self._rows[self.space.position(decision)]

    def log_probabilities(self) -> dict[str, Tensor]:
        """Log-probabilities of each decision's options, given that the decision exists."""
        return {d.name: row.log_softmax(0) for d, row in zip(self.space.decisions, self._rows, strict=True)}

    def probabilities(self) -> dict[str, Tensor]:
        """Probabilities of each decision's options, given that the decision exists."""
        return {name: value.exp() for name, value in self.log_probabilities().items()}

    def log_table(self) -> Tensor:
        """`log_probabilities` in one tensor (decisions, most options), -inf beyond a decision's options."""
        return self._table().log_softmax(1)

    def _table(self) -> Tensor:
        return torch.cat([*self._rows, self._rows[0].new_full((1,), -torch.inf)])[self._places]

    @torch.no_grad()
    def sample(self, generator: torch.Generator, added: Tensor | None = None) -> Architecture:
        """Sample an architecture.

        Args:
            added: tensor (decisions, most options) to add to the logits.
        """
        table = self._table().double().cpu()
        logits = (table if added is None else table + added).numpy()
        draws = torch.rand(len(self._rows), generator=generator, dtype=torch.float64).numpy()
        cumulative = np.exp(logits - logits.max(1, keepdims=True)).cumsum(1)
        passed = cumulative <= (draws * cumulative[:, -1])[:, None]
        return self.space.architecture((passed & self._exists_at).sum(1).tolist())

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
        """Mean entropy over decisions, as a fraction of the uniform distribution's: from 1 at the start towards 0."""
        return mean_entropy(self.probabilities())

    @torch.no_grad()
    def best(self, costs: CostModel, caps: Caps) -> Architecture:
        """The most probable options if under the caps, else the architecture under them with the least loss.

        The loss is log p(most probable option) - log p(chosen option), summed over the decisions. Between equals
        `ties` decide, not the costs.
        """
        scores = {name: (lp - lp.max()).double().cpu().numpy() for name, lp in self.log_probabilities().items()}
        mode = self.space.architecture([int((score + self.ties[name]).argmax()) for name, score in scores.items()])
        if caps.allow(costs(mode)):
            return mode
        return best_under_caps(costs, caps, decision_scores(costs, scores), ties=self.ties)

    @torch.no_grad()
    def prune(self, decision: int, options: Sequence[int], optimiser: torch.optim.Optimizer) -> None:
        """Set the probability of options to 0, renormalise the others, and clear their state in an optimiser.

        Args:
            decision: index of the decision in the space.
        """
        logit = self._rows[decision]
        logit[list(options)] = -torch.inf
        for moment in optimiser.state[logit].values():
            if moment.shape == logit.shape:
                moment[list(options)] = 0.0

    def prune_least(self, ratio: float, keep: Architecture, optimiser: torch.optim.Optimizer) -> list[tuple[str, str]]:
        """Prune the ⌊ratio · n⌋ least probable of the n options left of each decision, but none of an architecture's.

        Returns:
            (decision, option) of each, decision by decision, the least probable first.
        """
        pruned = []
        for i, (decision, row) in enumerate(zip(self.space.decisions, self._rows, strict=True)):
            p = row.softmax(0).tolist()
            left = [option for option in range(len(p)) if p[option] > 0]
            count = math.floor(ratio * len(left) + 1e-9)
            least = sorted((o for o in left if o != keep.choices[i]), key=p.__getitem__)[:count]
            self.prune(i, least, optimiser)
            pruned += [(decision.name, decision.options[option]) for option in least]
        return pruned

    def options_left(self) -> int:
        """Number of unpruned options over all decisions."""
        return sum(int(row.isfinite().sum()) for row in self._rows)


class JointDistribution(nn.Module):
    """Joint choices per slot: P(A) is the product of softmax(logits) over the input's decisions and existing slots.

    A slot has one probability per candidate (operator, expansion, SE), so these decisions may depend on each other
    (PARSEC; the fine phase of FP-NAS). Frames, size and depths stay independent. It is initially uniform per decision,
    hence not over candidates: skip is one candidate, any other operator several.

    Attributes:
        ties: as of `FactorisedDistribution`.
    """

    def __init__(
        self, space: BlockSpace, device: torch.device | str = "cpu", rng: np.random.Generator | None = None
    ) -> None:
        """Make a distribution that is uniform per decision.

        Args:
            rng: as of `FactorisedDistribution`.
        """
        super().__init__()
        self.space, self.ties = space, tie_break(space, rng)
        self.input = list(space.groups["input"])
        self.candidates: list[list[Candidate]] = [
            [choice for choice, _ in candidates(space, slot) if choice[0] != INACTIVE] for slot in space.slots
        ]
        self.input_logits = nn.ParameterList(
            nn.Parameter(torch.zeros(len(space.decisions[i].options), device=device)) for i in self.input
        )
        self.slot_logits = nn.ParameterList(
            nn.Parameter(torch.zeros(len(choices), device=device)) for choices in self.candidates
        )
        self.take(FactorisedDistribution(space, device))

    @torch.no_grad()
    def take(self, factorised: FactorisedDistribution) -> None:
        """Copy a factorised distribution: the outer product over each slot's decisions (FP-NAS, coarse to fine)."""
        log_p = factorised.log_probabilities()
        for i, logit in zip(self.input, self.input_logits, strict=True):
            logit.copy_(log_p[self.space.decisions[i].name])
        for slot, choices, logit in zip(self.space.slots, self.candidates, self.slot_logits, strict=True):
            parts = [log_p[f"{kind}.{slot.name}"] for kind in ("operator", "expansion", "se")]
            for c, choice in enumerate(choices):
                logit[c] = sum(float(part[o]) for part, o in zip(parts, choice, strict=True) if o != INACTIVE)

    @torch.no_grad()
    def sample(self, generator: torch.Generator) -> Architecture:
        """Sample an architecture."""
        drawn = [
            int(torch.multinomial(logit.softmax(0).cpu(), 1, generator=generator))
            for logit in [*self.input_logits, *self.slot_logits]
        ]
        choices = drawn[: len(self.input)]
        for options, picked in zip(self.candidates, drawn[len(self.input) :], strict=True):
            choices += [max(choice, 0) for choice in options[picked]]
        return self.space.architecture(choices)

    def log_prob(self, architecture: Architecture) -> Tensor:
        """log P(A), differentiable."""
        terms = [
            logit.log_softmax(0)[architecture.choices[i]]
            for i, logit in zip(self.input, self.input_logits, strict=True)
        ]
        for slot, options, logit in zip(self.space.slots, self.candidates, self.slot_logits, strict=True):
            o, e, a = (architecture.choices[i] for i in self.space.groups[slot.name])
            if o != INACTIVE:
                terms.append(logit.log_softmax(0)[options.index((o, e, a))])
        return torch.stack(terms).sum()

    def entropy(self) -> Tensor:
        """H(A) in nats, exact: the input's entropies plus each slot's entropy times the probability that it exists."""
        inputs = {self.space.decisions[i].name: p for i, p in zip(self.input, self._softmax(), strict=True)}
        total = torch.stack([torch.special.entr(p).sum() for p in inputs.values()]).sum()
        for slot, logit in zip(self.space.slots, self.slot_logits, strict=True):
            depths = self.space.stages[slot.stage - 1].depths
            deep = [i for i, depth in enumerate(depths) if depth >= slot.index]
            total = total + inputs[f"depth.{slot.stage}"][deep].sum() * torch.special.entr(logit.softmax(0)).sum()
        return total

    def _softmax(self) -> list[Tensor]:
        return [logit.softmax(0) for logit in self.input_logits]

    @torch.no_grad()
    def probabilities(self) -> dict[str, Tensor]:
        """Marginal probabilities of each decision's options, given that the decision exists."""
        marginals = {self.space.decisions[i].name: p for i, p in zip(self.input, self._softmax(), strict=True)}
        for slot, options, logit in zip(self.space.slots, self.candidates, self.slot_logits, strict=True):
            p = logit.softmax(0)
            for kind, i in zip(range(3), self.space.groups[slot.name], strict=True):
                marginal = p.new_zeros(len(self.space.decisions[i].options))
                for choice, share in zip(options, p, strict=True):
                    if choice[kind] != INACTIVE:
                        marginal[choice[kind]] += share
                marginals[self.space.decisions[i].name] = marginal / marginal.sum().clamp_min(torch.finfo(p.dtype).tiny)
        return marginals

    def mean_entropy(self) -> float:
        """Mean entropy of the decisions' marginals, as a fraction of the uniform distribution's."""
        return mean_entropy(self.probabilities())

    @torch.no_grad()
    def best(self, costs: CostModel, caps: Caps) -> Architecture:
        """The most probable architecture under the caps, as in `FactorisedDistribution.best`.

        For each slot it chooses the operator first, by marginal probability, then expansion and SE. Otherwise skip, a
        single candidate, would beat operators whose probability is spread over several candidates.
        """
        inputs = {
            self.space.decisions[i].name: (logit - logit.max()).double().cpu().numpy()
            for i, logit in zip(self.input, self.input_logits, strict=True)
        }
        slots = []
        for options, logit in zip(self.candidates, self.slot_logits, strict=True):
            log_p = logit.double().log_softmax(0)
            operators = [choice[0] for choice in options]
            members = {o: log_p[[i for i, other in enumerate(operators) if other == o]] for o in set(operators)}
            top = max(float(member.logsumexp(0)) for member in members.values())
            slots.append(
                {
                    choice: float(members[choice[0]].logsumexp(0)) - top + float(lp - members[choice[0]].max())
                    for choice, lp in zip(options, log_p, strict=True)
                }
            )
        depths = tuple(inputs[f"depth.{s}"] for s in range(1, len(self.space.stages) + 1))
        scores = CandidateScores(inputs["frames"], inputs["size"], depths, tuple(slots))
        return best_under_caps(costs, caps, scores, ties=self.ties)
