"""DA-NAS: data-adapted pruning for efficient search.

Dai et al. observe that classes are learnt at different speeds, in the same order by different architectures. The search
begins on a few easy classes, where bad candidates show early, and drops them before it sees all classes: data grows in
steps (`CLASSES` of the classes) while candidates shrink (a ratio of 0.4 of each layer's is pruned after each step).

Easy and hard: the accuracy of each class in each epoch of a short baseline run is a matrix, whose rows are sorted by
their variance. In a run that starts from chance it is the classes that are learnt fast whose accuracy varies most.
The search itself is by gradients on two sampled candidates per block (ProxylessNAS, as in `pvnas`), with a MACs term.

What was found under quick with seeds 0-2: 0.43, 0.16 and 0.62 on synthetic_motion, and 0.41, 0.63 and 0.48 on words,
where random search has 0.53 on both; with other random draws it had been 0.57, 0.58, 0.64 and 0.39, 0.59, 0.50, which
is how far chance goes. Two classes for the warm-up are few: the loss stays at chance, ln 2, there. Of 15 pruned
operators that could be put into the result, 4 would have lowered its loss in the supernet, by 0.014 at most.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pvnas_bench import Architecture, Info, Plan, Problem, SearchFinished, Strategy
from pvnas_bench.methods.bilevel import WeightsConfig, make_weight_optimiser, set_rate
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.gates import input_loss, sample_input, two_path_plan

CLASSES = (0.1, 0.3, 0.6, 1.0)
"""Shares of the classes: of the warm-up, then of each step (DA-NAS: 100, 300, 600 and 1000 of ImageNet)."""

EPOCHS = (10, 20, 20, 20)
"""Epochs of the warm-up and of each step (DA-NAS); here their proportions, by the clips that they see."""

Order = Literal["easy_first", "hard_first", "random"]


def class_order(accuracies: np.ndarray[Any, Any], order: Order, rng: np.random.Generator) -> list[int]:
    """Classes in the order in which they join the search.

    Args:
        accuracies: (classes, epochs) of a baseline run.
    """
    if order == "random":
        return [int(c) for c in rng.permutation(len(accuracies))]
    easy_first = [int(c) for c in np.argsort(-accuracies.var(axis=1), kind="stable")]
    return easy_first if order == "easy_first" else easy_first[::-1]


def lowest(probabilities: list[float], ratio: float, kept: int) -> list[int]:
    """The ⌊ratio · n⌋ options of the lowest probability among the n that are left (p > 0), but never `kept`."""
    left = [o for o, p in enumerate(probabilities) if p > 0]
    count = math.floor(ratio * len(left) + 1e-9)
    return sorted((o for o in left if o != kept), key=lambda o: probabilities[o])[:count]


class DANAS(Strategy):
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

    class Config(WeightsConfig):
        order: Order = Field("easy_first", description="of the classes (DA-NAS); the others are controls")
        schedule: Literal["both", "data", "pruning"] = Field(
            "both", description="data: nothing is pruned; pruning: all classes from the start; both: DA-NAS"
        )
        ratio: float = Field(0.4, ge=0, lt=0.5, description="part of a layer's candidates pruned per step (DA-NAS)")
        baseline_epochs: int = Field(5, ge=2, description="of the run that tells easy from hard (R)")
        baseline_share: float = Field(0.1, gt=0, lt=0.5, description="most of the budget that it may take (R)")
        audit_share: float = Field(
            0.02, ge=0, lt=0.5, description="of the budget to measure pruned candidates with (R)"
        )
        alpha_rate: float = Field(0.03, gt=0, description="of Adam, β=(0, 0.999) (R; β: ProxylessNAS)")
        macs_weight: float = Field(0.5, ge=0, description="λ of |E[MACs]/target - 1| (R)")
        target: float = Field(0.9, gt=0, description="target MACs over the cap (R)")

    def setup(self, problem: Problem) -> None:
        self.problem, config = problem, self.config
        self.supernet, self.baseline = problem.supernet(), problem.supernet("baseline")
        self.alphas = FactorisedDistribution(problem.space, problem.device)
        self.expected_macs = problem.expected_macs()
        self.weight_optimiser, self.baseline_optimiser = (
            make_weight_optimiser(network.parameters(), config) for network in (self.supernet, self.baseline)
        )
        self.alpha_optimiser = torch.optim.Adam(self.alphas.parameters(), lr=config.alpha_rate, betas=(0.0, 0.999))
        self.labels = {split: problem.labels_in(split) for split in ("train", "val")}
        self.accuracies: list[list[float]] = []
        self.order: list[int] = []
        self.phase = 0
        self.started = 0.0
        self.alpha_steps = 0
        self.pruned: list[list[str]] = []
        self.audit: dict[str, float] = {}
        self.history: dict[str, list[float]] = {"alpha_entropy": [], "classes": [], "candidates": []}
        self.fallback = problem.sample(problem.rng("fallback"))

    def step(self) -> None:
        """One epoch of the baseline; then one of the classes of this step; in the end the audit."""
        if not self.order:
            self._baseline_epoch()
        elif self.phase < len(EPOCHS):
            self._epoch()
        elif self.config.audit_share and not self.audit:
            self._audit()
        else:
            raise SearchFinished

    # --- classes ------------------------------------------------------------------------------------------------------

    def _baseline_epoch(self) -> None:
        """The reference architecture on all classes: accuracy by class on the batches that it trains on."""
        reference, classes = self.problem.space.reference, self.problem.classes
        hits, counts = np.zeros(classes), np.zeros(classes)
        before = self.problem.ledger.spent
        for batch in self.problem.search_batches("train"):
            logits, labels = self.baseline(batch, reference), self.baseline.labels(batch)
            self.problem.backward(F.cross_entropy(logits, labels))
            self.problem.update(self.baseline_optimiser, clip=self.config.gradient_clip)
            np.add.at(hits, labels.cpu().numpy(), (logits.argmax(1) == labels).cpu().numpy())
            np.add.at(counts, labels.cpu().numpy(), 1)
        self.accuracies.append((hits / np.maximum(counts, 1)).tolist())
        spent = self.problem.ledger.spent
        over = spent + (spent - before) > self.config.baseline_share * self.problem.ledger.budget
        epochs = len(self.accuracies)
        if epochs == self.config.baseline_epochs or (over and epochs >= 2):
            matrix = np.array(self.accuracies).T
            self.order = class_order(matrix, self.config.order, self.problem.rng("class order"))
            self.started = spent

    @property
    def present(self) -> list[int]:
        """The classes of this step, two at least."""
        share = 1.0 if self.config.schedule == "pruning" else CLASSES[min(self.phase, len(CLASSES) - 1)]
        return sorted(self.order[: max(math.ceil(share * len(self.order) - 1e-9), 2)])

    def _batches(self, split: Literal["train", "val"]) -> Iterator[Any]:
        subset = np.flatnonzero(np.isin(self.labels[split], self.present))
        return self.problem.search_batches(split, subset=subset)

    def _loss(self, batch: Any, path: Architecture | Plan, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy over the classes that are present: the head is whole, absent logits are masked."""
        present = torch.tensor(self.present, device=self.problem.device)
        labels = torch.searchsorted(present, self.supernet.labels(batch))
        return F.cross_entropy(self.supernet(batch, path)[:, present], labels, label_smoothing=label_smoothing)

    # --- the search ---------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """The part of the search's budget that is spent, baseline and audit aside."""
        ledger = self.problem.ledger
        whole = ledger.budget * (1 - self.config.audit_share) - self.started
        return min((ledger.spent - self.started) / whole, 1.0) if whole > 0 else 1.0

    def _end_of_phase(self) -> float:
        """The progress at which this phase ends: phases cost what their epochs and clips do."""
        shares = (1.0,) * len(CLASSES) if self.config.schedule == "pruning" else CLASSES
        costs = np.array([share * epochs for share, epochs in zip(shares, EPOCHS, strict=True)])
        return float(costs[: self.phase + 1].sum() / costs.sum())

    def _epoch(self) -> None:
        """Weights on search-train, alphas on search-val after the warm-up; the end of a step prunes."""
        validation: Iterator[Any] = iter(())
        rng = self.problem.torch_rng("paths")
        losses = []
        for batch in self._batches("train"):
            if self.progress >= self._end_of_phase() - 1e-9:
                self._next_phase()
                break
            set_rate(self.weight_optimiser, self.config, self.progress)
            loss = self._loss(batch, self.alphas.sample(rng), self.config.label_smoothing)
            self.problem.backward(loss)
            self.problem.update(self.weight_optimiser, clip=self.config.gradient_clip)
            losses.append(float(loss.detach()))
            if self.phase > 0:
                held_out = next(validation, None)
                if held_out is None:
                    validation = self._batches("val")
                    held_out = next(validation)
                self._alpha_step(held_out, rng)
        self.history["alpha_entropy"].append(self.alphas.mean_entropy())
        self.history["classes"].append(len(self.present))
        self.history["candidates"].append(float(sum(int(logit.isfinite().sum()) for logit in self.alphas.logits)))
        if losses:
            self.problem.log(train_loss=float(np.mean(losses)))
        self.problem.log(alpha_entropy=self.history["alpha_entropy"][-1])

    def _alpha_step(self, batch: Any, rng: torch.Generator) -> None:
        """Cross-entropy through two gated candidates per block, and the MACs term."""
        space, log_p = self.problem.space, self.alphas.log_table()
        frames, size = sample_input(space, log_p, rng)
        plan = two_path_plan(space, log_p, frames, size, rng)
        cross_entropy = self._loss(batch, plan)
        loss = cross_entropy + input_loss(
            space, log_p, (frames, size), cross_entropy.detach(), lambda f, s: self._loss(batch, plan.at(f, s)), rng
        )
        macs = self.expected_macs(log_p.exp())
        loss = loss + self.config.macs_weight * (macs / (self.config.target * self.problem.cap) - 1).abs().float()
        self.problem.backward(loss)
        self.supernet.zero_grad(set_to_none=True)
        self.problem.update(self.alpha_optimiser)
        self.alpha_steps += 1

    def _next_phase(self) -> None:
        """The step is over: prune, unless it was the warm-up or the last one, after which nothing is trained."""
        if 0 < self.phase < len(EPOCHS) - 1 and self.config.schedule != "data":
            self._prune()
        self.phase += 1

    @torch.no_grad()
    def _prune(self) -> None:
        """Drop the worst options of each decision: logit -∞, which renormalises the rest, and no memory in Adam."""
        incumbent = self.alphas.best(self.problem.costs, self.problem.cap)
        gone = []
        for i, (decision, logit) in enumerate(zip(self.problem.space.decisions, self.alphas.logits, strict=True)):
            options = lowest(logit.softmax(0).tolist(), self.config.ratio, incumbent.choices[i])
            logit[options] = -math.inf
            for moment in self.alpha_optimiser.state[logit].values():
                if moment.shape == logit.shape:
                    moment[options] = 0.0
            gone += [f"{decision.name}={decision.options[option]}" for option in options]
        self.pruned.append(gone)

    def _audit(self) -> None:
        """Supernet loss of the result with each pruned operator in place of its own, less the loss of the result."""
        space, chosen = self.problem.space, self.incumbent()
        batch = next(self.problem.validation_batches())
        with torch.no_grad():
            own = float(self._loss(batch, chosen))
            self.audit["own"] = 0.0
            for name in (name for gone in self.pruned for name in gone if name.startswith("operator.")):
                decision, option = name.split("=")
                options = space.options(chosen)
                if options.get(decision, "skip") not in ("skip", option) and option != "skip":
                    swapped = space.from_options(options | {decision: option})
                    self.audit[name] = float(self._loss(batch, swapped)) - own

    # --- what it found ------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The most probable architecture under the cap; a random one before the alphas have learnt anything."""
        return self.alphas.best(self.problem.costs, self.problem.cap) if self.alpha_steps else self.fallback

    def score(self, architecture: Architecture) -> float:
        """Top-1 on search-val with the supernet's weights."""
        return self.supernet.validate(architecture, self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Any]:
        """`audit`: loss that a pruned operator would add; below 0, the better one was pruned early."""
        audit = {name: value for name, value in self.audit.items() if name != "own"}
        return self.history | {
            "class_order": list(self.order),
            "class_accuracies": [list(row) for row in self.accuracies],
            "pruned": [list(names) for names in self.pruned],
            "audit": audit,
            "pruned_early": sorted(name for name, value in audit.items() if value < 0),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "baseline": self.baseline.state_dict(),
            "alphas": self.alphas.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "baseline_optimiser": self.baseline_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "accuracies": [list(row) for row in self.accuracies],
            "order": list(self.order),
            "phase": self.phase,
            "started": self.started,
            "alpha_steps": self.alpha_steps,
            "pruned": [list(names) for names in self.pruned],
            "audit": dict(self.audit),
            "history": {name: list(values) for name, values in self.history.items()},
            "fallback": str(self.fallback),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in ("supernet", "baseline", "alphas", "weight_optimiser", "baseline_optimiser", "alpha_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.accuracies = [list(row) for row in state["accuracies"]]
        self.order, self.phase, self.started = list(state["order"]), state["phase"], state["started"]
        self.alpha_steps = state["alpha_steps"]
        self.pruned = [list(names) for names in state["pruned"]]
        self.audit = dict(state["audit"])
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.fallback = self.problem.space.parse(state["fallback"])
