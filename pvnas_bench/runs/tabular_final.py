"""The final phase of a run on a table, whose trainings are looked up."""

from typing import Any

from pvnas_bench import records
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.cost import network_layers
from pvnas_bench.runs.meters import Phase
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.table import KnownTraining
from pvnas_bench.training.workbench import Clock


class TabularFinal:
    """The final phase on a table: looks up the trainings by which the final architecture is judged."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.controls: dict[str, Any] = {}
        self.model: None = None
        """A table has no weights."""

    def __call__(self, search: Search, *, retrain: bool, state: object = None) -> records.Outcome:
        """Look up the result of a search; with `retrain` False, only describe it."""
        setup, architecture, start = self._setup, search.incumbent, Phase.begin()
        assert setup.table is not None and architecture is not None
        trainings = setup.table.scoring(str(architecture))
        used = trainings if retrain else ()
        ledger = Ledger(setup.reference_training, macs=sum(t.training_macs for t in used))
        cost, classes = setup.costs(architecture), len(setup.data.classes)
        return records.Outcome(
            architecture=str(architecture),
            macs=cost.macs,
            parameters=cost.parameters,
            latency_ms=sum(t.latency_ms for t in trainings) / len(trainings),
            predicted_latency_ms=cost.latency_ms if setup.costs.latencies is not None else None,
            front=tuple(map(str, search.front)),
            network=tuple(vars(layer) for layer in network_layers(setup.space.spec(architecture), classes)),
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
