"""What to run, in the words of the command line, and the observer of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pvnas_bench import records
from pvnas_bench.training.train import Clock


@dataclass(frozen=True)
class Request:
    """What to run, in the words of the command line.

    Attributes:
        strategy, space: a name or a path.
        dataset: a name, a folder or a manifest.
        protocol: None: quick; with a table, the table's.
        cap: the name of one of the space's caps, or a number of MACs; None: the space's first.
        budget: in reference trainings; None: the protocol's.
        settings: hyper-parameters that differ from their defaults.
        threads: None: every usable core.
        tabular: evaluations are looked up in the table of the space and the data set, which is a name then.
        tables: folder of one's own tables, before the published ones; None: the default one.
        partial: restrict the search to the architectures of a table that is not complete.
        precision: of passes through networks.
        resume: go on from the checkpoint of the same request, where there is one.
        checkpoint_seconds: least time between two checkpoints; 0: one at every boundary.
        timeout: seconds after which the run is given up; None: never.
        cached: keep decoded clips; else they are decoded anew in every epoch, to the same pixels.
    """

    strategy: str
    space: str = "st_default"
    dataset: str = "synthetic_motion"
    protocol: str | None = None
    cap: str | None = None
    budget: float | None = None
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    results: Path = Path("results/runs")
    device: str = "auto"
    threads: int | None = None
    deterministic: bool = True
    precision: str = "float32"
    cache: Path | None = None
    tabular: bool = False
    tables: Path | None = None
    partial: bool = False
    resume: bool = True
    checkpoint_seconds: float = 60.0
    timeout: float | None = None
    cached: bool = True


class Observer:
    """Hears what a run does; this one ignores it."""

    def making(self, done: int, total: int) -> None:
        """Clips made so far of a data set that the package makes."""

    def preparing(self, done: int, total: int) -> None:
        """Clips decoded so far."""

    def training_backbone(self, epoch: int, epochs: int) -> None:
        """The space's backbone finished an epoch of its one training."""

    def extracting(self, done: int, total: int) -> None:
        """Clips whose features are computed so far."""

    def timed(self, clock: Clock) -> None:
        """A phase begins, of search or of final training, whose activities this clock counts."""

    def searching(self, budget: float) -> None:
        """The search begins."""

    def stepped(self, step: records.Step, budget: float) -> None:
        """The strategy finished a step."""

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        """A final training, the how-manieth of how many, begins (epoch 0) or finished an epoch."""

    def resuming(self, step: int) -> None:
        """The run goes on from a checkpoint, after so many steps of its search."""

    def warned(self, message: str) -> None:
        """Something a user may want to mend, though the run goes on."""
