"""Single-path one-shot as NNI implements it: uniform paths train a supernet, which then ranks paths.

NNI's `RandomOneShot` trains and leaves the search to its user. Here (R) accuracy on search-val ranks paths, with
batch-norm on the statistics of the batch: first random ones, then mutations of the best.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, Strategy
from pvnas_bench.methods import WeightsConfig
from pvnas_bench.methods.nni_apart import apart
from pvnas_bench.methods.nni_search import PAPER, SPACE, reference_input

if TYPE_CHECKING:
    from pvnas_bench.methods.nni_training import Training

Path = dict[str, str]
"""A candidate's name by slot label."""


class NNISposConfig(WeightsConfig):
    """Hyper-parameters of nni_spos."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    epochs: int = Field(10, ge=1, le=1000, description="epochs of the training's budget (R)")
    training: float = Field(0.6, gt=0, lt=1, description="part of the budget that trains the supernet (R, tuned)")
    random: int = Field(20, ge=1, le=10_000, description="random paths at the start of the search (R, tuned; SPOS: 50)")
    parents: int = Field(5, ge=1, le=1000, description="best paths that are mutated (R; SPOS: 10)")


class NNISpos(Strategy[NNISposConfig, BlockSpace]):
    """NNI's single-path one-shot."""

    info = Info(
        name="nni_spos",
        title="NNI: single-path one-shot",
        paper=f"Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020; {PAPER}",
        year=2020,
        levels=("modular",),
        families=("mbconv",),
        published="NNI's own RandomOneShot strategy: its supernet, its sampling with a filter, its training",
        reconstructed=f"{SPACE}; NNI's draws take seeds; the search on the trained supernet, part of the budget for it",
    )

    def setup(self) -> None:
        """Build NNI's supernet and its training."""
        with apart():
            from pvnas_bench.methods import nni_candidates, nni_training

        problem, config = self.problem, self.config
        self.input = reference_input(problem)
        self.names = nni_candidates.names(problem.space)
        self.training: Training = nni_training.paths(
            problem,
            *self.input,
            config,
            problem.rng("paths"),
            lambda sample: problem.feasible(self.architecture(sample)),
        )
        self._batches = nni_training.Batches
        step = problem.costs(problem.space.reference).macs * 3 * problem.batch_size
        affordable = max(int(config.training * problem.ledger.left * problem.ledger.reference / step), 1)
        self.epochs = min(config.epochs, affordable)
        self.steps = math.ceil(affordable / self.epochs)
        self.done = 0
        self.scores: dict[Architecture, float] = {}
        self.found: dict[Architecture, Path] = {}
        self.first = self.architecture(self._random())

    def architecture(self, path: Mapping[str, str]) -> Architecture:
        """The architecture of a path: reference input, full depth, these candidates."""
        space = self.problem.space
        options = {"frames": str(self.input[0]), "size": str(self.input[1])}
        options |= {f"depth.{s}": str(max(stage.depths)) for s, stage in enumerate(space.stages, 1)}
        for slot, (label, own) in zip(space.slots, self.names.items(), strict=True):
            o, e, a = own[path[label]]
            options[f"operator.{slot.name}"] = slot.operators[o]
            if slot.operators[o] != "skip":
                options |= {f"expansion.{slot.name}": f"e{space.expansions[e]}", f"se.{slot.name}": space.se[a]}
        return space.from_options(options)

    def step(self) -> None:
        """Run one of NNI's epochs; once its part of the budget is spent, score one more path."""
        if self.done < self.epochs and self.problem.progress_to(self.config.training) < 1:
            batches = self._batches(self.problem, "train", self.steps, *self.input)
            loss = self.training.epoch(self.done, self.epochs, batches)
            self.problem.log(train_loss=loss)
            self.done += 1
            self.problem.note(supernet_steps=self.done * self.steps)
            return
        path = self._random() if len(self.scores) < self.config.random else self._mutated()
        architecture = self.architecture(path)
        self.scores[architecture], self.found[architecture] = self._score(path), path
        self.problem.note(paths_scored=len(self.scores))
        self.problem.log(supernet_top1=max(self.scores.values()))

    def _random(self) -> Path:
        """A random path under the cap."""
        rng = self.problem.rng("search")
        return self._under_cap(
            lambda: {label: list(own)[int(rng.integers(len(own)))] for label, own in self.names.items()}
        )

    def _mutated(self) -> Path:
        """One of the best paths with one slot redrawn: a new path under the cap."""
        rng, ranked = self.problem.rng("search"), sorted(self.scores, key=lambda a: -self.scores[a])

        def make() -> Path:
            path = dict(self.found[ranked[int(rng.integers(min(self.config.parents, len(ranked))))]])
            label = list(path)[int(rng.integers(len(path)))]
            path[label] = list(self.names[label])[int(rng.integers(len(self.names[label])))]
            return path

        return self._under_cap(make, self.scores) if ranked else self._random()

    def _under_cap(self, make: Callable[[], Path], known: Collection[Architecture] = ()) -> Path:
        """The first new path whose architecture is under the cap."""
        paths: dict[Architecture, Path] = {}

        def drawn() -> Architecture:
            path = make()
            paths[architecture := self.architecture(path)] = path
            return architecture

        found = self.problem.draw(drawn, known)
        return self._random() if found is None else paths[found]

    @torch.no_grad()
    def _score(self, path: Path) -> float:
        """Top-1 of a path of NNI's supernet on search-val."""
        problem, model = self.problem, self.training.model
        macs = problem.cost(self.architecture(path)).macs
        for module in self.training.module.supernet_modules():
            module.resample(memo=path)
        model.train()
        hits = clips = 0
        for batch in problem.validation_batches():
            views = len(batch.views)
            problem.ledger.require(macs * views * len(batch))
            probabilities = (
                model(problem.metered.clips(batch, *self.input)).softmax(-1).unflatten(0, (len(batch), views))
            )
            hits += int((probabilities.mean(1).argmax(1).cpu() == batch.labels).sum())
            clips += len(batch)
        problem.ledger.charge(0, evaluations=1)
        return hits / clips

    def incumbent(self) -> Architecture:
        """The best scored path; before the first, a random one."""
        return max(self.scores, key=lambda a: self.scores[a]) if self.scores else self.first
