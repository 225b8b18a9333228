"""DA-NAS: data-adapted pruning for efficient search.

Dai et al. observe that classes are learnt at different speeds, in the same order by different architectures. The search
begins on a few easy classes, where bad candidates show early, and drops them before it sees all classes: data grows in
steps (`CLASSES` of the classes) while candidates shrink (a ratio of 0.4 of each layer's is pruned after each step).

Easy and hard: a short baseline run gives a matrix of the accuracy of each class in each epoch, whose rows are sorted
by their variance. In a run that starts from chance, accuracy varies most for the classes that are learnt fast.
The search itself is by gradients on two sampled candidates per block (ProxylessNAS, as in `pvnas`), with a MACs term.
"""

import functools
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, ClipBatch, Info, Json, SearchFinished, Strategy
from pvnas_bench.methods import (
    CostShare,
    FactorisedDistribution,
    SharedWeights,
    WeightsConfig,
    log_held_out_loss,
    recorded,
    two_path_loss,
)

CLASSES = (0.1, 0.3, 0.6, 1.0)
"""Shares of the classes in the warm-up and in each step (DA-NAS: 100, 300, 600 and 1000 of ImageNet)."""

EPOCHS = (10, 20, 20, 20)
"""Epochs of the warm-up and of each step (DA-NAS); used as proportions, weighted by clips."""

Order = Literal["easy_first", "hard_first", "random"]


def class_order(accuracies: npt.NDArray[np.float64], order: Order, rng: np.random.Generator) -> list[int]:
    """Classes in the order in which they join the search.

    Args:
        accuracies: (classes, epochs) of a baseline run.
    """
    if order == "random":
        return [int(c) for c in rng.permutation(len(accuracies))]
    easy_first = [int(c) for c in np.argsort(-accuracies.var(axis=1), kind="stable")]
    return easy_first if order == "easy_first" else easy_first[::-1]


def lowest(probabilities: list[float], ratio: float, kept: int) -> list[int]:
    """The ⌊ratio · n⌋ least probable of the n options left (p > 0), never `kept`."""
    left = [o for o, p in enumerate(probabilities) if p > 0]
    count = math.floor(ratio * len(left) + 1e-9)
    return sorted((o for o in left if o != kept), key=lambda o: probabilities[o])[:count]


class DANASConfig(WeightsConfig):
    """Hyper-parameters of DA-NAS."""

    order: Order = Field("easy_first", description="order of the classes (DA-NAS); others are controls")
    schedule: Literal["both", "data", "pruning"] = Field(
        "both", description="data: nothing is pruned; pruning: all classes from the start; both: DA-NAS"
    )
    ratio: float = Field(0.4, ge=0, lt=0.5, description="part of a layer's candidates pruned per step (DA-NAS)")
    baseline_epochs: int = Field(5, ge=2, description="epochs of the run that ranks the classes (R)")
    baseline_share: float = Field(0.1, gt=0, lt=0.5, description="most of the budget that it may take (R)")
    audit_share: float = Field(0.02, ge=0, lt=0.5, description="part of the budget for the audit (R)")
    alpha_rate: float = Field(0.03, gt=0, description="Adam's rate, β=(0, 0.999) (R; β: ProxylessNAS)")
    macs_weight: float = Field(0.5, ge=0, description="λ of |E[MACs]/target - 1| (R)")
    target: float = Field(0.9, gt=0, description="target MACs over the cap (R)")


class DANAS(Strategy[DANASConfig, BlockSpace]):
    """Data-adapted pruning of candidates on growing sets of classes (DA-NAS)."""

    info = Info(
        name="da_nas",
        title="DA-NAS: more classes, fewer candidates, step by step",
        paper="Dai et al., DA-NAS: Data Adapted Pruning for Efficient Neural Architecture Search, ECCV 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="class subsets from easy to hard by the variance of accuracy, warm-up and three steps of growing "
        "data, 0.4 of a layer's candidates pruned after each step, gradient-based search with a cost term",
        reconstructed="which end of the variance is easy; softmax(α) as a candidate's score; each decision is a layer; "
        "two-path gates; the incumbent's options are never pruned; MACs in place of latency; all rates",
    )

    def setup(self) -> None:
        """Build the supernet, the baseline, the distribution and their optimisers."""
        problem, config = self.problem, self.config
        self.supernet, self.baseline = problem.supernet(), problem.supernet("baseline")
        self.weights = SharedWeights(problem, config, self.supernet)
        self.baseline_weights = SharedWeights(problem, config, self.baseline)
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.alpha_optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.expected_macs = problem.expected_macs()
        self.accuracies: list[list[float]] = []
        self.order: list[int] = []
        self.phase, self.alpha_steps = 0, 0
        self.started = 0.0
        """Progress at which the baseline ended."""
        self.pruned: list[list[str]] = []
        self.audit: dict[str, float] = {}
        self.fallback = problem.sample(problem.rng("fallback"))

    def step(self) -> None:
        """Run one epoch of the baseline, then one on the classes of this step; finally the audit."""
        if not self.order:
            self._baseline_epoch()
        elif self.phase < len(EPOCHS):
            self._epoch()
        elif self.config.audit_share and not self.audit:
            self._audit()
        else:
            raise SearchFinished

    def _baseline_epoch(self) -> None:
        """Train the reference architecture on all classes; record accuracy by class on the training batches."""
        problem, config = self.problem, self.config
        hits, counts, before = np.zeros(problem.classes), np.zeros(problem.classes), problem.progress
        for batch in problem.search_batches("train"):
            logits, labels = self.baseline(batch, problem.space.reference), self.baseline.labels(batch)
            self.baseline_weights.descend(F.cross_entropy(logits, labels), config.weight_rate)
            np.add.at(hits, labels.cpu().numpy(), (logits.argmax(1) == labels).cpu().numpy())
            np.add.at(counts, labels.cpu().numpy(), 1)
        self.accuracies.append((hits / np.maximum(counts, 1)).tolist())
        epochs, progress = len(self.accuracies), problem.progress
        over = progress + (progress - before) > config.baseline_share
        if epochs == config.baseline_epochs or (over and epochs >= 2):
            self.order = class_order(np.array(self.accuracies).T, config.order, problem.rng("class order"))
            self.started = progress

    @property
    def present(self) -> list[int]:
        """The classes of this step, two at least."""
        share = 1.0 if self.config.schedule == "pruning" else CLASSES[min(self.phase, len(CLASSES) - 1)]
        return sorted(self.order[: max(math.ceil(share * len(self.order) - 1e-9), 2)])

    @property
    def progress(self) -> float:
        """Fraction of the search completed, without baseline and audit."""
        whole = 1 - self.config.audit_share - self.started
        return min((self.problem.progress - self.started) / whole, 1.0) if whole > 0 else 1.0

    def _end_of_phase(self) -> float:
        """Progress at the end of this phase: a phase costs its epochs times clips."""
        shares = (1.0,) * len(CLASSES) if self.config.schedule == "pruning" else CLASSES
        costs = np.array([share * epochs for share, epochs in zip(shares, EPOCHS, strict=True)])
        return float(costs[: self.phase + 1].sum() / costs.sum())

    def _epoch(self) -> None:
        """Train weights on search-train and, after the warm-up, alphas on search-val; prune at the end of a step."""
        problem, config = self.problem, self.config
        present = self.present
        for batch, held_out in problem.search_pairs(classes=present):
            if self.progress >= self._end_of_phase() - 1e-9:
                self._next_phase()
                break
            path = self.alphas.sample(problem.torch_rng("paths"))
            loss = self.supernet.loss(batch, path, config.label_smoothing, classes=present)
            self.weights.descend(loss, config.rate(self.progress))
            if self.phase > 0:
                self._alpha_step(held_out)
        left = self.alphas.options_left()
        problem.log(alpha_entropy=self.alphas.mean_entropy(), classes=len(present), candidates=left)

    def _alpha_step(self, batch: ClipBatch) -> None:
        """Take an alpha step: cross-entropy through two gated candidates per block, plus the MACs term."""
        problem, config, log_p, present = self.problem, self.config, self.alphas.log_table(), self.present
        losses: list[float] = []
        loss_at = recorded(functools.partial(self.supernet.loss, batch, classes=present), losses)
        loss = two_path_loss(problem.space, log_p, log_p, loss_at, problem.torch_rng("paths"))
        macs = config.macs_weight * self.expected_macs.penalty(log_p.exp(), config.target * problem.cap)
        share = CostShare(macs, self.alphas.parameters())
        problem.backward(loss + macs)
        share.log(problem)
        log_held_out_loss(problem, losses[0], len(present))
        self.supernet.zero_grad(set_to_none=True)
        problem.update(self.alpha_optimiser)
        self.alpha_steps += 1

    def _next_phase(self) -> None:
        """End the step: prune, except after the warm-up and after the last step."""
        if 0 < self.phase < len(EPOCHS) - 1 and self.config.schedule != "data":
            self._prune()
        self.phase += 1

    def _prune(self) -> None:
        """Drop the worst options of each decision."""
        incumbent = self.alphas.best(self.problem.costs, self.problem.cap)
        gone = []
        for i, (decision, logit) in enumerate(zip(self.problem.space.decisions, self.alphas.logits, strict=True)):
            options = lowest(logit.softmax(0).tolist(), self.config.ratio, incumbent.choices[i])
            self.alphas.prune(i, options, self.alpha_optimiser)
            gone += [f"{decision.name}={decision.options[option]}" for option in options]
        self.pruned.append(gone)

    def _audit(self) -> None:
        """Measure the rise of the result's supernet loss when a pruned operator replaces the chosen one."""
        space, chosen = self.problem.space, self.incumbent()
        batch = next(self.problem.validation_batches())
        with torch.no_grad():
            own = float(self.supernet.loss(batch, chosen))
            self.audit["own"] = 0.0
            for name in (name for gone in self.pruned for name in gone if name.startswith("operator.")):
                decision, option = name.split("=")
                options = space.options(chosen)
                if options.get(decision, "skip") not in ("skip", option) and option != "skip":
                    swapped = space.from_options(options | {decision: option})
                    self.audit[name] = float(self.supernet.loss(batch, swapped)) - own

    def incumbent(self) -> Architecture:
        """The most probable architecture under the cap; a random one before the first alpha step."""
        return self.alphas.best(self.problem.costs, self.problem.cap) if self.alpha_steps else self.fallback

    def diagnostics(self) -> Mapping[str, Json]:
        """`audit`: loss added by a pruned operator; below 0, the better one was pruned early."""
        audit = {name: value for name, value in self.audit.items() if name != "own"}
        return {
            "class_order": self.order,
            "class_accuracies": self.accuracies,
            "pruned": self.pruned,
            "audit": audit,
            "pruned_early": sorted(name for name, value in audit.items() if value < 0),
        }
