"""Search on a table: evaluations are looked up and charged; a simulated clock replaces time."""

from functools import lru_cache
from typing import Any

from pvnas_bench import seeding
from pvnas_bench.problem import Evaluation, Problem
from pvnas_bench.space import Architecture
from pvnas_bench.table import KnownTraining, Table
from pvnas_bench.training.train import clips_per_epoch


class TabularProblem(Problem):
    """A problem whose `evaluate` looks up a training in the table; everything else is as without a table.

    A run sees one training of each architecture; the run's seed selects it. An evaluation of fewer epochs than the
    table's gives that training's accuracy after these epochs, before the learning rate has decayed. In a null search,
    one permutation of the architectures under the cap gives each the accuracies of another, at its own price.
    """

    def __init__(self, table: Table, partial: bool, *args: Any, null: bool = False) -> None:
        """Set up the problem.

        Args:
            partial: treat architectures missing from the table as above the caps.
            args: arguments of `Problem`.
        """
        super().__init__(*args, null=null)
        self._table, self._partial = table, partial
        self._accuracy_of: dict[str, str] = {}
        """In a null search, the architecture whose accuracies each architecture has."""
        if null:
            names = [name for name in table.architectures if self.feasible(self.space.parse(name))]
            order = seeding.generator(self.seed, "null", "table").permutation(len(names))
            self._accuracy_of = {name: names[i] for name, i in zip(names, order, strict=True)}

    def feasible(self, architecture: Architecture) -> bool:
        """Return True if an architecture is under the caps, and in the table if the search is partial."""
        return super().feasible(architecture) and (not self._partial or str(architecture) in self._table)

    def _evaluate(self, architecture: Architecture, epochs: int) -> Evaluation:
        training = self._drawn(str(architecture))
        name = self._table.network(str(architecture))
        measured = self._drawn(self._accuracy_of[name]) if self.null else training
        last = len(training.val_top1)
        if epochs > last:
            raise ValueError(f"epochs is {epochs}, but the table has trainings of {last} epochs only")
        ledger, protocol = self.ledger, self._bench.protocol
        samples = epochs * clips_per_epoch(self.clips_in("train"), protocol) + self.clips_in("val")
        ledger.charge(self._evaluation_macs(architecture, epochs), samples=samples)
        self._bench.clock.simulated += training.seconds * epochs / last
        top1, loss = measured.val_top1[epochs - 1], measured.val_loss[epochs - 1]
        curve = _curve(measured.train_loss[:epochs])
        return Evaluation(architecture, top1, loss, epochs, training.macs, training.parameters, curve)

    def _drawn(self, architecture: str) -> KnownTraining:
        """The training of an architecture that this run sees."""
        name = self._table.network(architecture)
        trainings = self._table.trainings(name)
        if len(trainings) == 1:
            return trainings[0]
        return trainings[seeding.derive(self.seed, "table", name) % len(trainings)]


@lru_cache(maxsize=8192)
def _curve(losses: tuple[float, ...]) -> tuple[dict[str, float], ...]:
    """Curve of an evaluation, cached: many runs in a process look up the same trainings."""
    return tuple({"epoch": float(e), "train_loss": loss} for e, loss in enumerate(losses, 1))
