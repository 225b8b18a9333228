"""DA-NAS: data-adapted pruning for efficient search.

Dai et al. observe that classes are learnt at different speeds, in the same order by different architectures. The search
begins on a few easy classes, where bad candidates show early, and drops them before it sees all classes: data grows in
steps (`CLASSES` of the classes) while candidates shrink (a ratio of 0.4 of each layer's is pruned after each step).

Easy and hard: a short baseline run gives a matrix of the accuracy of each class in each epoch, whose rows are sorted
by their variance. In a run that starts from chance, accuracy varies most for the classes that are learnt fast.
The search itself is by gradients on gated candidates (ProxylessNAS, as in `pvnas`), with a MACs term.
A pruning waits until the supernet is better than chance on search-val and the alphas are not a random walk's (R).
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, SearchFinished, Strategy
from pvnas_bench.methods import BinaryGates, GatesConfig, SharedWeights, WeightsConfig

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


def phase_ends(classes: Sequence[float]) -> list[float]:
    """Progress at the end of the warm-up and of each step, which cost their epochs times their share of the classes."""
    costs = np.multiply(classes, EPOCHS)
    return [float(end) for end in costs.cumsum() / costs.sum()]


class DANASConfig(WeightsConfig, GatesConfig):
    """Hyper-parameters of DA-NAS."""

    alpha_rate: float = Field(0.05, gt=0, description="peak rate of Adam, β=(0, 0.999) (R, tuned)")
    order: Order = Field("easy_first", description="order of the classes (DA-NAS); others are controls")
    schedule: Literal["both", "data", "pruning"] = Field(
        "both", description="data: nothing is pruned; pruning: all classes from the start; both: DA-NAS"
    )
    ratio: float = Field(0.4, ge=0, lt=0.5, description="part of a layer's candidates pruned per step (DA-NAS)")
    baseline_epochs: int = Field(5, ge=2, description="epochs of the run that ranks the classes (R)")
    baseline_share: float = Field(0.1, gt=0, lt=0.5, description="most of the budget that it may take (R)")
    audit_share: float = Field(0.02, ge=0, lt=0.5, description="part of the budget for the audit (R)")
    sharpness: float = Field(2.0, ge=0, description="least `BinaryGates.sharpness` for pruning; noise has 1 (R)")


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
        "two-path gates; alphas and pruning wait for a signal; the incumbent's options are never pruned; MACs in place "
        "of latency; all rates",
    )

    def setup(self) -> None:
        """Build the supernet, the baseline, the distribution and their optimisers."""
        problem, config = self.problem, self.config
        self.supernet, self.baseline = problem.supernet(), problem.supernet("baseline")
        self.weights = SharedWeights(problem, config, self.supernet)
        self.baseline_weights = SharedWeights(problem, config, self.baseline)
        self.gates = BinaryGates(problem, config, smoothing=config.label_smoothing)
        self.accuracies: list[list[float]] = []  # of the baseline, by epoch and class
        self.order: list[int] = []  # the classes as they join; empty until the baseline has ended
        self.started = 0.0  # progress at which the baseline ended
        self.classes = (1.0,) * len(CLASSES) if config.schedule == "pruning" else CLASSES
        self.phase, self.due = 0, 0  # the step, and the number of prunings that wait
        self.pruned: list[list[tuple[str, str]]] = []  # (decision, option) of all that each step dropped
        self.audited = False
        self.fallback = problem.sample(problem.rng("fallback"))

    def step(self) -> None:
        """Run one epoch of the baseline, then one on the classes of this step; finally the audit."""
        if not self.order:
            self._baseline_epoch()
        elif self.phase < len(EPOCHS):
            self._epoch()
        elif self.config.audit_share and not self.audited:
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
        if epochs == config.baseline_epochs or (progress + (progress - before) > config.baseline_share and epochs >= 2):
            self.order = class_order(np.array(self.accuracies).T, config.order, problem.rng("class order"))
            self.started = progress
            self.gates.start(self.present)
        problem.note(class_accuracies=self.accuracies, class_order=self.order)

    @property
    def present(self) -> list[int]:
        """The classes of this step, two at least."""
        share = self.classes[min(self.phase, len(self.classes) - 1)]
        return sorted(self.order[: max(math.ceil(share * len(self.order) - 1e-9), 2)])

    @property
    def progress(self) -> float:
        """Fraction of the search completed, without baseline and audit."""
        whole = 1 - self.config.audit_share - self.started
        return min((self.problem.progress - self.started) / whole, 1.0) if whole > 0 else 1.0

    def _epoch(self) -> None:
        """Train weights on search-train and, after the warm-up, alphas on search-val; prune at the end of a step."""
        problem, config = self.problem, self.config
        present, end = self.present, phase_ends(self.classes)[self.phase]
        for batch, held_out in problem.search_pairs(classes=present):
            if self.progress >= end - 1e-9:
                self._next_phase()
                break
            loss = self.supernet.loss(batch, self.gates.sample(), config.label_smoothing, classes=present)
            self.gates.guard.see(self.weights.descend(loss, config.rate(self.progress)))
            if self.phase > 0 and self.gates.guard.passed:
                loss_at = functools.partial(self.supernet.loss, held_out, classes=present, train_weights=False)
                self.gates.step(loss_at, classes=len(present))
        self._prune()
        alphas = self.gates.alphas
        problem.log(alpha_entropy=alphas.mean_entropy(), classes=len(present), candidates=alphas.options_left())

    def _next_phase(self) -> None:
        """End the step; a pruning is due, but not after the warm-up and after the last step."""
        self.due += 0 < self.phase < len(EPOCHS) - 1 and self.config.schedule != "data"
        self._prune()
        self.phase += 1
        self.gates.start(self.present)

    def _prune(self) -> None:
        """Drop the worst options of each decision, if that is due and losses and alphas have a signal."""
        if self.due and self.gates.signal.passed and self.gates.sharpness() >= self.config.sharpness:
            self.pruned.append(self.gates.prune_least(self.config.ratio))
            self.due -= 1
            self.problem.note(pruned=[["=".join(pair) for pair in step] for step in self.pruned])
        self.problem.note(prunings_due=self.due)

    @torch.no_grad()
    def _audit(self) -> None:
        """Measure how the result's loss changes when a pruned operator replaces the chosen one; see `pruned_early`."""
        problem, options = self.problem, self.problem.space.options(self.incumbent())
        batch, rises = next(problem.validation_batches()), dict[str, float]()
        loss = float(self.supernet.loss(batch, self.incumbent()))
        self.audited = True
        for decision, option in itertools.chain.from_iterable(self.pruned):
            if decision.startswith("operator.") and "skip" not in (options.get(decision, "skip"), option):
                swapped = problem.space.from_options(options | {decision: option})
                rises[f"{decision}={option}"] = float(self.supernet.loss(batch, swapped)) - loss
                problem.note(audit=rises, pruned_early=sorted(name for name in rises if rises[name] < 0))

    def incumbent(self) -> Architecture:
        """The most probable architecture under the cap; a random one before the first alpha step."""
        return self.gates.best() if self.gates.steps else self.fallback
