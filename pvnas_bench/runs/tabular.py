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
    one permutation of the architectures under the cap gives each the accuracies of another, at its own price; on a
    surrogate, an architecture that was not trained has those of a random one that was.
    """

    def __init__(self, table: Table, partial: bool, *args: Any, null: bool = False) -> None:
        """Set up the problem.

        Args:
            partial: treat architectures missing from the table as above the caps.
            args: arguments of `Problem`.
        """
        super().__init__(*args, null=null)
        self._table, self._partial = table, partial
        self._names: list[str] = []
        """In a null search, the architectures of the table under the caps."""
        self._accuracy_of: dict[str, str] = {}
        """In a null search, the architecture whose accuracies each architecture has."""
        if null:
            self._names = [name for name in table.architectures if self.feasible(self.space.parse(name))]
            order = seeding.generator(self.seed, "null", "table").permutation(len(self._names))
            self._accuracy_of = {name: self._names[i] for name, i in zip(self._names, order, strict=True)}

    def feasible(self, architecture: Architecture) -> bool:
        """Return True if an architecture is under the caps, and in the table if the search is partial."""
        return super().feasible(architecture) and (not self._partial or str(architecture) in self._table)

    def _evaluate(self, architecture: Architecture, epochs: int) -> Evaluation:
        training = self._drawn(str(architecture))
        measured = self._drawn(self._in_null(str(architecture))) if self.null else training
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
        return self._table.drawn(name, seeding.derive(self.seed, "table", name))

    def _in_null(self, architecture: str) -> str:
        """The architecture whose accuracies this one has in a null search; of one that is not in the table, any."""
        name = self._table.network(architecture)
        any_one = seeding.derive(self.seed, "null", "surrogate", name) % len(self._names)
        return self._accuracy_of.get(name) or self._names[any_one]


@lru_cache(maxsize=8192)
def _curve(losses: tuple[float, ...]) -> tuple[dict[str, float], ...]:
    """Curve of an evaluation, cached: many runs in a process look up the same trainings."""
    return tuple({"epoch": float(e), "train_loss": loss} for e, loss in enumerate(losses, 1))
