"""NNI's one-shot strategies on a problem, trained by Lightning an epoch at a time.

Imported when a strategy is set up, as NNI and Lightning take seconds to import.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import nni.nas.strategy
import numpy as np
import torch
from nni.nas.evaluator.pytorch import ClassificationModule
from nni.nas.oneshot.pytorch.supermodule.differentiable import GumbelSoftmax
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from torch import Tensor, nn

from pvnas_bench.methods.nni_apart import apart
from pvnas_bench.methods.nni_candidates import Candidates
from pvnas_bench.methods.shared_weights import WeightsConfig, make_weight_optimiser, set_rate
from pvnas_bench.methods.signals import log_held_out_loss
from pvnas_bench.problem import Problem
from pvnas_bench.space import BlockSpace


class Batches:
    """A fixed number of batches of a search split in NNI's form; each iteration gets new ones."""

    def __init__(self, problem: Problem[BlockSpace], split: Any, count: int, frames: int, size: int) -> None:
        self._problem, self._split, self._count = problem, split, count
        self._input = frames, size

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        left = self._count
        while left:
            for batch in self._problem.search_batches(self._split):
                yield self._problem.metered.clips(batch, *self._input), batch.labels.to(self._problem.device)
                left -= 1
                if not left:
                    break


class ClassificationRecipe(ClassificationModule):  # type: ignore[misc]
    """NNI's classification recipe with the weights' optimiser and rate of the config, asking the ledger first."""

    def __init__(self, problem: Problem[BlockSpace], step_macs: int, config: WeightsConfig, bilevel: bool) -> None:
        criterion = partial(nn.CrossEntropyLoss, label_smoothing=config.label_smoothing)
        super().__init__(criterion, num_classes=problem.classes)
        self._problem, self._step_macs, self._config = problem, step_macs, config
        self._bilevel = bilevel
        self._timed = ExitStack()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_weight_optimiser(self.parameters(), self._config)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return NNI's loss; that of an alpha step, which has an even number in a differentiable search, is logged."""
        loss = super().training_step(batch, batch_idx)
        if self._bilevel and batch_idx % 2 == 0:
            log_held_out_loss(self._problem, float(loss.detach()))
        return loss

    def on_train_epoch_end(self) -> None:
        self.trainer.should_stop = True  # one epoch a fit

    def on_train_batch_start(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        clips = max(len(labels) for _, labels in batch.values()) if isinstance(batch, Mapping) else len(batch[1])
        self._problem.ledger.require(self._step_macs * clips)
        epochs = self.trainer.current_epoch + batch_idx / self.trainer.num_training_batches
        set_rate(self.trainer.optimizers[0], self._config.rate(epochs / self.trainer.max_epochs))

    def on_before_backward(self, loss: Tensor) -> None:
        self._timed.enter_context(self._problem.metered.clock("backward"))

    def on_after_backward(self) -> None:
        self._timed.close()

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        with self._problem.metered.clock("optimiser"):
            super().optimizer_step(*arguments, **named)


class Training:
    """One of NNI's one-shot strategies on a problem, trained an epoch at a time.

    Args:
        strategy: NNI's, unused.
        step_macs: MACs of one clip in one step, forward and backward.
        bilevel: True if each step has an alpha step.
    """

    def __init__(
        self,
        problem: Problem[BlockSpace],
        strategy: Any,
        model: Candidates,
        step_macs: int,
        config: WeightsConfig,
        bilevel: bool = False,
    ) -> None:
        self._problem, self.model, self.step_macs = problem, model, step_macs
        recipe = ClassificationRecipe(problem, step_macs, config, bilevel)
        recipe.set_model(strategy.mutate_model(model))
        self.module = strategy.configure_oneshot_module(recipe)
        self.module.to(problem.device)
        # Where NNI leaves the weights' step to Lightning, Lightning clips; else NNI does both.
        self._clip = config.gradient_clip if self.module.automatic_optimization else None
        optimisers = self.module.configure_optimizers()
        self.optimisers: list[torch.optim.Optimizer] = optimisers if isinstance(optimisers, list) else [optimisers]
        for optimiser in self.optimisers[1:]:  # NNI's order is a set's; a fixed order makes the state reproducible
            alphas = {id(alpha): i for i, alpha in enumerate(self.alphas())}
            optimiser.param_groups[0]["params"].sort(key=lambda alpha, order=alphas: order[id(alpha)])
        self.module.configure_optimizers = lambda: optimisers  # each fit would make new ones

    def alphas(self) -> list[Tensor]:
        """NNI's architecture parameters, by slot; may be empty."""
        return [choice._arch_alpha for choice in self.model.layer_choices() if hasattr(choice, "_arch_alpha")]

    def epoch(self, number: int, epochs: int, loaders: Any) -> float:
        """Train epoch `number` of `epochs`; return the loss of its last batch.

        Raises:
            BudgetExhausted: the next batch does not fit.
        """
        device = self._problem.device
        main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT)
        with apart():
            trainer = Trainer(
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=[device.index or 0] if device.type == "cuda" else 1,
                max_epochs=epochs,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                gradient_clip_val=self._clip,
            )
            done: Any = trainer.fit_loop.epoch_progress.current
            done.ready = done.started = done.processed = done.completed = number
            try:
                trainer.fit(self.module, loaders)
            except SystemExit as stopped:  # Lightning turns an interruption into this, then ignores it
                if not isinstance(stopped.__context__, KeyboardInterrupt):
                    raise
                if main:
                    signal.signal(signal.SIGINT, handler)
                raise KeyboardInterrupt from stopped
            return float(trainer.callback_metrics["train_loss"])

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Probability of each candidate by label: NNI's export, or its softmax where the export is a random sample."""
        found: dict[str, dict[str, float]] = {}
        for choice in self.model.layer_choices():
            if isinstance(choice._softmax, GumbelSoftmax):
                found[choice.label] = dict(zip(choice.names, choice._arch_alpha.softmax(0).tolist(), strict=True))
        return found or dict(self.module.export_probs())

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimiser, own in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(own)


def differentiable(
    problem: Problem[BlockSpace], model: Candidates, kind: str, config: WeightsConfig, settings: Mapping[str, Any]
) -> Training:
    """NNI's ``DARTS``, ``GumbelDARTS`` or ``Proxyless``, with its settings."""
    with apart():
        strategy = getattr(nni.nas.strategy, kind)(**settings)
        # Proxyless runs one path; its backward pass runs all others forward, for weights as well as alphas.
        once = 3 * model.mixture if kind != "Proxyless" else 3 * model.largest + model.mixture
        return Training(problem, strategy, model, 2 * once, config, bilevel=True)


def paths(
    problem: Problem[BlockSpace], frames: int, size: int, config: WeightsConfig, rng: np.random.Generator, fits: Any
) -> Training:
    """NNI's ``RandomOneShot``: paths drawn uniformly among those that fit.

    NNI seeds each draw from the operating system's entropy; here `rng` seeds it.
    """
    with apart():
        model = Candidates(problem, frames, size)
        strategy = nni.nas.strategy.RandomOneShot(filter=fits)
        training = Training(problem, strategy, model, 3 * min(model.largest, problem.cap), config)
    for choice in model.layer_choices():
        draw = choice.choice.random
        choice.choice.random = partial(_seeded, draw, rng)
    return training


def _seeded(draw: Any, rng: np.random.Generator) -> Any:
    return draw(random_state=np.random.RandomState(int(rng.integers(2**32))))


def pairs(problem: Problem[BlockSpace], count: int, frames: int, size: int) -> CombinedLoader:
    """`count` batches of search-train, each with one of search-val."""
    both = {split: Batches(problem, split, count, frames, size) for split in ("train", "val")}
    with apart():
        return CombinedLoader(both, "max_size_cycle")
