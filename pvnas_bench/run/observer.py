"""The observer of a run: hears how far it is."""

from typing import TYPE_CHECKING

from pvnas_bench import records

if TYPE_CHECKING:
    from pvnas_bench.training.workbench import Clock


class Observer:
    """Hears what a run does. This one ignores it; subclasses override what they need."""

    def making(self, done: int, total: int) -> None:
        """Clips made so far, of a data set that the package makes."""

    def preparing(self, done: int, total: int) -> None:
        """Clips decoded so far."""

    def training_backbone(self, epoch: int, epochs: int) -> None:
        """The space's backbone finished an epoch of its one training."""

    def extracting(self, done: int, total: int) -> None:
        """Clips whose features are computed so far."""

    def timed(self, clock: "Clock") -> None:
        """A phase begins, the search or the final training; this clock counts the seconds of its activities."""

    def searching(self, budget: float) -> None:
        """The search begins."""

    def stepped(self, step: records.Step, budget: float) -> None:
        """The strategy finished a step."""

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        """Retraining i of n begins (epoch 0) or finished an epoch."""

    def resuming(self, step: int) -> None:
        """The run resumes from a checkpoint, after so many steps of its search."""

    def warned(self, message: str) -> None:
        """Something a user may want to fix, though the run goes on."""
