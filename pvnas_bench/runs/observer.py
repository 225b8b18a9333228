"""The observer of a run, which receives its progress."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pvnas_bench import records

if TYPE_CHECKING:
    from pvnas_bench.training.workbench import Clock


class Observer:
    """Receives a run's events. The base class ignores them; subclasses override methods."""

    def opened(self) -> None:
        """Report that the run begins or goes on: every name is resolved."""

    def making(self, done: int, total: int) -> None:
        """Report the number of generated clips of a synthetic data set."""

    def preparing(self, done: int, total: int) -> None:
        """Report the number of decoded clips."""

    def training_backbone(self, epoch: int, epochs: int) -> None:
        """Report an epoch of the backbone's training."""

    def extracting(self, done: int, total: int) -> None:
        """Report the number of clips whose features are computed."""

    def timing(self, done: int, total: int) -> None:
        """Report the number of layers and networks timed for a latency table."""

    def timed(self, clock: "Clock") -> None:
        """Report the start of a phase (search or final training), with its clock."""

    def searching(self, budget: float) -> None:
        """Report the start of the search."""

    def stepped(self, step: records.Step, budget: float) -> None:
        """Report a completed step."""

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        """Report the start (epoch 0) or an epoch of retraining i of n."""

    def trained(self, retraining: int, row: Mapping[str, float]) -> None:
        """Report a measured epoch of retraining i: `epoch`, `train_loss`, `val_top1` where there is a val split."""

    def recorded(self, record: records.Record) -> None:
        """Report the record of a run that ended, however it did."""

    def resuming(self, step: int) -> None:
        """Report that the run resumes from a checkpoint written after this step."""

    def warned(self, message: str) -> None:
        """Report a problem that does not stop the run."""
