"""The supernet of a search, with metered passes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.ledger import BACKWARD
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Plan, Supernet, path_plan
from pvnas_bench.space import Architecture
from pvnas_bench.training.synchronised import Part, Synchronised
from pvnas_bench.training.workbench import Workbench
from pvnas_bench.video import ClipBatch


class SearchSupernet(nn.Module):
    """A supernet that charges its passes to the ledger."""

    def __init__(self, network: Supernet, costs: CostModel, bench: Workbench) -> None:
        super().__init__()
        self.network = network
        self._costs, self._bench = costs, bench
        self._ledger, self._clock = bench.ledger, bench.clock

    def forward(self, batch: ClipBatch, path: Architecture | Plan, train_weights: bool = True) -> Tensor:
        """Logits (N, classes) of a batch through one path or a plan.

        A backward pass costs `BACKWARD` forward passes, or one if it computes no gradient of a kernel: where
        `train_weights` is False, or all kernels are frozen (`requires_grad`), as when only batch-norm trains.

        Args:
            train_weights: False: only the plan's tensors get gradients, not the weights.

        Raises:
            BudgetExhausted: the forward pass or its backward pass does not fit into the budget.
        """
        plan = path_plan(self.network.space, path) if isinstance(path, Architecture) else path
        macs = plan_macs(self._costs, plan) * len(batch)
        trains = train_weights and any(kernel.requires_grad for kernel in self._kernels)
        backward = (BACKWARD if trains else 1) if torch.is_grad_enabled() else 0
        self._ledger.forward(macs, len(batch), backward)
        share = self._bench.world.share(batch)
        clips = self._bench.clips(share, plan.frames, plan.size)
        run = self._bench.over(self.network, share, None if train_weights else self._frozen)
        with self._clock("forward"):
            logits = run(clips, plan)
        if logits.requires_grad:
            logits.register_hook(lambda _: self._ledger.backward(macs * backward))
        return logits

    @cached_property
    def _kernels(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.network.kernels())

    @cached_property
    def _frozen(self) -> dict[str, Tensor]:
        """Detached parameters, which share memory with the originals."""
        return {name: parameter.detach() for name, parameter in self.network.named_parameters()}

    def labels(self, batch: ClipBatch) -> Tensor:
        """Labels (N,) of the batch on the device."""
        return batch.labels.to(self._bench.device)

    def loss(
        self,
        batch: ClipBatch,
        path: Architecture | Plan,
        label_smoothing: float = 0.0,
        *,
        train_weights: bool = True,
        classes: Sequence[int] | None = None,
    ) -> Tensor:
        """Mean cross-entropy of a batch through one path or a plan; see `forward`.

        Args:
            classes: classes that the batch may contain, ascending; the logits of other classes are removed. None: all.
        """
        logits, labels = self(batch, path, train_weights), self.labels(batch)
        with self._clock("forward"):
            if classes is not None:
                present = torch.tensor(classes, device=labels.device)
                logits, labels = logits[:, present], torch.searchsorted(present, labels)
            return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    @torch.no_grad()
    def validate(
        self, architecture: Architecture, batches: Iterable[ClipBatch], recalibration: Iterable[ClipBatch] | None = None
    ) -> tuple[float, float]:
        """Top-1 and mean cross-entropy of one path over these batches; it counts as one evaluated architecture.

        Args:
            recalibration: batches to estimate the path's batch-norm statistics on (SPOS), also charged; None: use the
                statistics of each batch.

        Raises:
            BudgetExhausted: the next batch does not fit into the budget.
        """
        self._ledger.charge(0, evaluations=1)
        if recalibration is None:
            return self._measure(architecture, batches)
        with self.network.recalibrated(architecture, self._charged_clips(architecture, recalibration)):
            return self._measure(architecture, batches)

    def _charged_clips(self, architecture: Architecture, batches: Iterable[ClipBatch]) -> Iterator[Tensor]:
        spec, macs = self.network.space.spec(architecture), self._costs(architecture).macs
        for batch in batches:
            self._ledger.forward(macs * len(batch), len(batch), 0)
            share = self._bench.world.share(batch)
            clips = self._bench.clips(share, spec.frames, spec.size)
            with nullcontext() if share.part is None else Synchronised(Part.of(share)):
                yield clips  # the context stays open while the supernet uses the clips

    def _measure(self, architecture: Architecture, batches: Iterable[ClipBatch]) -> tuple[float, float]:
        hits, loss, count = 0, 0.0, 0
        for batch in batches:
            logits, labels = self(batch, architecture), self.labels(batch)
            hits += int((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            count += len(batch)
        return hits / count, loss / count
