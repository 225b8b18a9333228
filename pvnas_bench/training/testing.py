"""Testing of stand-alone networks: accuracy over a set of clips."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pvnas_bench.network.standalone import Classifier
from pvnas_bench.training.workbench import OutOfMemory, Workbench, out_of_memory
from pvnas_bench.video import FrameOrder


@dataclass(frozen=True)
class Scores:
    """Accuracies over a set of clips, as fractions, and mean cross-entropy."""

    top1: float
    top5: float
    mean_class: float
    loss: float
    confusion: npt.NDArray[np.int64]


def test(
    network: Classifier,
    macs: int,
    bench: Workbench,
    indices: npt.NDArray[np.int64],
    order: FrameOrder = "forward",  # noqa: PT028 (not a pytest function)
    labels: npt.NDArray[np.int64] | None = None,  # noqa: PT028
) -> Scores:
    """Test a network on these clips; predictions are the mean softmax over the protocol's views.

    Args:
        macs: MACs of one clip's forward pass, for the ledger.
        order: frame order of each clip; other orders show how much the network relies on temporal order.
        labels: (N,) labels in place of the clips' own; None: the latter.

    Raises:
        BudgetExhausted: the next batch does not fit into the budget.
        OutOfMemory: one view of a clip does not fit into memory.
    """
    predicted, true = probabilities(network, macs, bench, indices, order)
    return score(predicted, true if labels is None else torch.from_numpy(labels))


@torch.no_grad()
def probabilities(
    network: Classifier,
    macs: int,
    bench: Workbench,
    indices: npt.NDArray[np.int64],
    order: FrameOrder = "forward",
) -> tuple[Tensor, Tensor]:
    """Class probabilities (N, classes) of these clips, and their labels (N,); see `test`."""
    network.eval()
    predicted, labels = [], []
    for batch in bench.batches(indices, train=False, seed=0, order=order):
        bench.ledger.forward(macs * len(batch) * len(batch.views), len(batch), 0)
        share = bench.world.share(batch)
        inputs = bench.inputs(share, network)
        with bench.clock("forward"):
            logits = _logits(network, inputs) if share.part is None else bench.over(network, share)(inputs)
            predicted.append(_mean_over_views(logits, len(batch)))
        labels.append(batch.labels)
    return torch.cat(predicted), torch.cat(labels)


@torch.no_grad()
def classify(network: Classifier, inputs: Tensor, clips: int) -> Tensor:
    """Class probabilities (N, classes) of one batch, by the mean softmax over views, on the CPU.

    Args:
        inputs: (N V, ...) on the network's device.
        clips: N.

    Raises:
        OutOfMemory: one view of a clip does not fit.
    """
    network.eval()
    return _mean_over_views(_logits(network, inputs), clips)


def _mean_over_views(logits: Tensor, clips: int) -> Tensor:
    views: Tensor = logits.softmax(-1).unflatten(0, (clips, -1))
    return views.mean(1).cpu()


def _logits(network: Classifier, inputs: Tensor) -> Tensor:
    """Logits of a batch, computed in as many parts as memory requires."""
    parts = 1
    while True:
        try:
            if parts == 1:
                logits: Tensor = network(inputs)
                return logits
            return torch.cat([network(some) for some in inputs.tensor_split(parts)])
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = str(error)
        if parts >= len(inputs):
            raise OutOfMemory(reason)
        parts = min(2 * parts, len(inputs))


def score(probabilities: Tensor, labels: Tensor) -> Scores:
    """Scores of class probabilities (N, classes) against labels (N,)."""
    classes = probabilities.shape[1]
    ranked = probabilities.argsort(dim=1, descending=True, stable=True)
    hit = ranked == labels[:, None]
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    confusion.index_put_((labels, ranked[:, 0]), torch.ones_like(labels), accumulate=True)
    present = confusion.sum(1) > 0
    per_class = confusion.diagonal()[present] / confusion.sum(1)[present]
    picked = probabilities.gather(1, labels[:, None]).clamp_min(torch.finfo(probabilities.dtype).tiny)
    return Scores(
        top1=float(hit[:, 0].float().mean()),
        top5=float(hit[:, :5].any(1).float().mean()),
        mean_class=float(per_class.mean()),
        loss=float(-picked.log().mean()),
        confusion=confusion.numpy(),
    )
