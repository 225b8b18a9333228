"""Metering of networks other than the supernet, which a strategy builds."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

from pvnas_bench import seeding
from pvnas_bench.ledger import BACKWARD
from pvnas_bench.network.families import Costs, build
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.training.workbench import Workbench
from pvnas_bench.video import ClipBatch


class Metered:
    """Metered passes of networks other than the supernet.

    `network` returns a network that charges its passes. For any other network, charge each pass with `forward` or
    `backward` before it runs. In a run with several processes, each computes these networks on the whole batch.
    """

    def __init__(self, space: SearchSpace, costs: Costs, bench: Workbench, seed: int) -> None:
        self._space, self._costs, self._bench, self._seed = space, costs, bench, seed

    def network(self, architecture: Architecture, name: str = "network") -> Classifier:
        """Build a stand-alone network that charges its passes, initialised from the random stream `name`.

        Calling the network raises BudgetExhausted if the forward pass or its backward pass does not fit into the
        budget, and ValueError if the input's shape differs from the architecture's.
        """
        macs, ledger = self._costs(architecture).macs, self._bench.ledger
        with seeding.torch_seeded(self._seed, "init", name, str(architecture)):
            network = build(self._space, architecture, self._costs.classes).to(self._bench.device)
        expected = tuple(network.blank().shape[1:])

        def charge(_: nn.Module, inputs: tuple[Tensor]) -> None:
            shape = tuple(inputs[0].shape)
            if shape[1:] != expected:
                raise ValueError(f"{architecture} takes clips of shape (N, {expected}), got {shape}")
            ledger.forward(macs * shape[0], shape[0], BACKWARD if torch.is_grad_enabled() else 0)

        def owe(_: nn.Module, inputs: tuple[Tensor], logits: Tensor) -> None:
            clips = len(inputs[0])
            if logits.requires_grad:
                logits.register_hook(lambda _: ledger.backward(BACKWARD * macs * clips))

        network.register_forward_pre_hook(charge)
        network.register_forward_hook(owe)
        return network

    def forward(self, macs: int, clips: int, backward: int = 0) -> None:
        """Charge a forward pass before it runs; see `Ledger.forward`.

        Raises:
            BudgetExhausted: the forward pass or its backward pass does not fit into the budget.
        """
        self._bench.ledger.forward(macs, clips, backward)

    def backward(self, macs: int) -> None:
        """Charge a backward pass."""
        self._bench.ledger.backward(macs)

    def charge(self, macs: int, clips: int = 0) -> None:
        """Charge passes that are known to fit into the budget."""
        self._bench.ledger.charge(macs, samples=clips)

    def clips(self, batch: ClipBatch, frames: int, size: int) -> Tensor:
        """The batch's clips on the device, (N, T, 3, S, S)."""
        return self._bench.clips(batch, frames, size)

    def inputs(self, batch: ClipBatch, network: Classifier) -> Tensor:
        """Inputs of a `network` from a batch, on the device."""
        return self._bench.inputs(batch, network)

    def logits(self, network: Classifier, batch: ClipBatch) -> Tensor:
        """Logits (N, classes) of a batch by a `network`.

        Raises:
            BudgetExhausted: the pass, or the backward pass to follow, does not fit.
        """
        inputs = self.inputs(batch, network)
        with self.clock("forward"):
            logits: Tensor = network(inputs)
        return logits

    @torch.no_grad()
    def validate(self, network: Classifier, batches: Iterable[ClipBatch]) -> float:
        """Top-1 of a `network` in its current mode on these batches; counts as one architecture evaluated.

        Raises:
            BudgetExhausted: the next batch does not fit.
        """
        self._bench.ledger.charge(0, evaluations=1)
        hits = count = 0
        for batch in batches:
            hits += int((self.logits(network, batch).argmax(1).cpu() == batch.labels).sum())
            count += len(batch)
        return hits / count

    def clock(self, activity: Literal["forward", "backward", "optimiser"]) -> AbstractContextManager[None]:
        """Context whose wall time counts towards this activity."""
        return self._bench.clock(activity)
