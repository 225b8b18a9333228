"""Searching on a table: evaluations are looked up and charged, and a simulated clock runs instead of time."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pvnas_bench import records, seeding
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.cost import network_layers
from pvnas_bench.problem import Evaluation, Problem
from pvnas_bench.run.meters import Phase
from pvnas_bench.space import Architecture
from pvnas_bench.table import KnownTraining, Table
from pvnas_bench.training.train import clips_per_epoch
from pvnas_bench.training.workbench import Clock

if TYPE_CHECKING:
    from pvnas_bench.run.search import Search
    from pvnas_bench.run.setup import Setup


class TabularProblem(Problem):
    """A problem whose `evaluate` looks up what a training of the table reached; everything else is as without a table.

    A run's answer for an architecture is that of one of its seeds, drawn once by the run's seed. At fewer epochs than
    the table's it is the accuracy after so many epochs of that training, whose learning rate has not come down yet.
    """

    def __init__(self, table: Table, partial: bool, *args: Any) -> None:
        """Make the problem.

        Args:
            partial: an architecture that the table lacks is treated as if it were above the cap.
            args: those of `Problem`.
        """
        super().__init__(*args)
        self._table, self._partial = table, partial

    def feasible(self, architecture: Architecture) -> bool:
        """Whether an architecture is under the cap, and in the table where the search is restricted to it."""
        return super().feasible(architecture) and (not self._partial or str(architecture) in self._table)

    def _evaluate(self, architecture: Architecture, epochs: int) -> Evaluation:
        training = self._drawn(architecture)
        last = len(training.val_top1)
        if epochs > last:
            raise ValueError(f"the table has trainings of {last} epochs, {epochs} were asked for")
        ledger, protocol = self.ledger, self._bench.protocol
        samples = epochs * clips_per_epoch(self.clips_in("train"), protocol) + self.clips_in("val")
        ledger.charge(self._evaluation_macs(architecture, epochs), samples=samples)
        self._bench.clock.simulated += training.seconds * epochs / last
        top1, loss = training.val_top1[epochs - 1], training.val_loss[epochs - 1]
        curve = _curve(training.train_loss[:epochs])
        return Evaluation(architecture, top1, loss, epochs, training.macs, training.parameters, curve)

    def _drawn(self, architecture: Architecture) -> KnownTraining:
        """The training of the table that this run sees of an architecture."""
        trainings = self._table.trainings(str(architecture))
        if len(trainings) == 1:
            return trainings[0]
        return trainings[seeding.derive(self.seed, "table", str(architecture)) % len(trainings)]


@lru_cache(maxsize=8192)
def _curve(losses: tuple[float, ...]) -> tuple[dict[str, float], ...]:
    """The curve of an evaluation; many runs in a process look at the same trainings."""
    return tuple({"epoch": float(e), "train_loss": loss} for e, loss in enumerate(losses, 1))


class TabularFinal:
    """The final phase on a table: every training of the architecture found, as the table has it."""

    def __init__(self, setup: "Setup") -> None:
        self._setup = setup
        self.controls: dict[str, Any] = {}

    def __call__(self, search: "Search", *, retrain: bool, state: object = None) -> records.Outcome:
        """What the table says of what a search found; without retraining, only describe it."""
        setup, found, start = self._setup, search.incumbent, Phase.begin()
        assert setup.table is not None and found is not None
        trainings = setup.table.trainings(str(found))
        used = trainings if retrain else ()
        ledger = Ledger(setup.reference_training, macs=sum(t.training_macs for t in used))
        cost, classes = setup.costs(found), len(setup.data.classes)
        return records.Outcome(
            architecture=str(found),
            macs=cost.macs,
            parameters=cost.parameters,
            latency_ms=sum(t.latency_ms for t in trainings) / len(trainings),
            front=tuple(map(str, search.front)),
            network=tuple(vars(layer) for layer in network_layers(setup.space.spec(found), classes)),
            trained=tuple(map(_trained, used)),
            cost=start.cost(ledger, Clock(simulated=sum(t.seconds for t in used)), setup.device),
        )


def _trained(training: KnownTraining) -> records.Trained:
    rows = zip(training.train_loss, training.val_top1, strict=True)
    return records.Trained(
        seed=training.seed,
        test_top1=training.test_top1,
        test_top5=training.test_top5,
        test_mean_class=training.test_mean_class,
        test_loss=training.test_loss,
        confusion=(),
        curve=tuple({"epoch": float(e), "train_loss": x, "val_top1": y} for e, (x, y) in enumerate(rows, 1)),
    )
