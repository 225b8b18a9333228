"""The final phase of a run: retrain, test once and measure the final architecture."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from pvnas_bench import records, seeding
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.backbone import frame_cost
from pvnas_bench.network.cost import Cost
from pvnas_bench.network.families import build, layers
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.run.checkpoints import Checkpoints, State
from pvnas_bench.run.meters import Phase
from pvnas_bench.run.observer import Observer
from pvnas_bench.run.search import Search
from pvnas_bench.run.setup import Setup
from pvnas_bench.run.time_controls import time_controls
from pvnas_bench.space import Architecture, Backbone
from pvnas_bench.training.model_file import all_weights
from pvnas_bench.training.testing import test
from pvnas_bench.training.train import Training, untrained
from pvnas_bench.training.workbench import Clock, TrainingDiverged, Workbench

LATENCY_PASSES, LATENCY_WARMUP = 20, 5


@dataclass(frozen=True)
class Kept:
    """A retraining whose weights are kept.

    Attributes:
        weights: as in the model's file.
    """

    retraining: int
    weights: Mapping[str, Tensor]


class Final:
    """The final phase: retraining on the whole train split, and the single test."""

    def __init__(self, setup: Setup, observer: Observer, checkpoints: Checkpoints) -> None:
        self._setup, self._observer, self._checkpoints = setup, observer, checkpoints
        self.controls: dict[str, Any] = {}
        """Control measurements of the first trained network, for the record."""
        self.model: Kept | None = None
        """The best retraining so far, if weights are asked for."""

    def __call__(self, search: Search, *, retrain: bool, state: State | None = None) -> records.Outcome:
        """Train and test the result of a search; with `retrain` False, only describe it.

        Args:
            state: state of this phase in a checkpoint, to resume from.

        Raises:
            TrainingFailed: a final training diverged or ran out of memory.
        """
        setup = self._setup
        architecture = search.incumbent
        assert architecture is not None
        cost = setup.costs(architecture)
        ledger, clock, start = Ledger(setup.reference_training), Clock(), Phase.begin(setup.device)
        self._observer.timed(clock)
        full = Workbench(setup.store, setup.protocol, setup.device, ledger, clock, setup.world)
        trained: list[records.Trained] = []
        under_way: State | None = None
        if state is not None:
            trained = [records.Trained.model_validate(one) for one in state["trained"]]
            spent, samples = state["ledger"]
            ledger.resume(spent, samples, 0)
            clock.seconds.update(state["clock"])
            start, self.controls, under_way = (
                Phase.resumed(state["phase"], setup.device),
                state["controls"],
                state["under_way"],
            )
            if (best := state.get("best")) is not None:
                self.model = Kept(best["retraining"], best["weights"])
        searched = search.ended()

        def boundary(training: Callable[[], State]) -> None:
            start.tick()
            self._checkpoints.boundary(
                lambda: {
                    "search": searched,
                    "final": {
                        "trained": [one.model_dump(mode="json") for one in trained],
                        "ledger": [ledger.macs, ledger.samples],
                        "clock": dict(clock.seconds),
                        "phase": start.state(setup.device),
                        "controls": self.controls,
                        "best": self.model and vars(self.model),
                        "under_way": training(),
                    },
                }
            )

        for retraining in range(len(trained), setup.protocol.retrainings if retrain else 0):
            one, network = self._retrain(full, architecture, retraining, under_way, boundary)
            trained.append(one)
            under_way = None
            if setup.request.weights and setup.world.first and best_of(trained) == retraining:
                self.model = Kept(retraining, all_weights(network, setup.frozen))
        network = build(setup.space, architecture, len(setup.store.classes)).to(setup.device)
        return records.Outcome(
            architecture=str(architecture),
            macs=cost.macs,
            parameters=cost.parameters,
            latency_ms=latency(network, setup.device) * 1e3 if setup.world.first else 0.0,
            predicted_latency_ms=cost.latency_ms if setup.costs.latencies is not None else None,
            front=tuple(map(str, search.front)),
            network=tuple(vars(layer) for layer in layers(setup.space, architecture, len(setup.store.classes))),
            trained=tuple(trained),
            cost=start.cost(ledger, clock, setup.device),
        )

    def _retrain(
        self,
        bench: Workbench,
        architecture: Architecture,
        retraining: int,
        state: State | None,
        boundary: Callable[[Callable[[], State]], None],
    ) -> tuple[records.Trained, Classifier]:
        """Train on the whole train split with a separate seed, and test once."""
        setup = self._setup
        cost = setup.costs(architecture)
        seed = seeding.derive(setup.request.seed, "retraining", retraining)

        def progress(epoch: int) -> None:
            protocol = setup.protocol
            self._observer.training(str(architecture), retraining + 1, protocol.retrainings, epoch, protocol.epochs)

        progress(0 if state is None else len(state["curve"]))
        classes = len(setup.store.classes)
        network = untrained(setup.space, architecture, classes, setup.protocol, seed).to(setup.device)
        training = Training(
            network,
            cost.macs,
            bench,
            setup.store.indices("train"),
            epochs=setup.protocol.epochs,
            seed=seed,
            validation=setup.store.indices("val"),
        )
        if state is not None:
            training.load_state_dict(state)
        while not training.finished:
            training.epoch()
            progress(len(training.curve))
            self._observer.trained(retraining + 1, training.curve[-1])
            boundary(training.state_dict)
        scores = test(network, cost.macs, bench, setup.store.indices("test"))
        if not math.isfinite(scores.loss):
            raise TrainingDiverged(f"the loss on the test split is {scores.loss:g}")
        if setup.space.backbone is not None and retraining == 0:
            shares = parameter_shares(setup.space.backbone, cost)
            self.controls = {**shares, **time_controls(network, cost.macs, bench, setup.store.indices("test"))}
        trained = records.Trained(
            seed=retraining,
            test_top1=scores.top1,
            test_top5=scores.top5,
            test_mean_class=scores.mean_class,
            test_loss=scores.loss,
            confusion=tuple(tuple(int(n) for n in row) for row in scores.confusion),
            curve=tuple(training.curve),
        )
        return trained, network


def best_of(trained: Sequence[records.Trained]) -> int:
    """Position of the retraining with the highest accuracy on the val split after its last epoch.

    The first of equals, and of all where the data set has no val split: the test selects nothing.
    """
    return max(range(len(trained)), key=lambda i: (trained[i].curve[-1].get("val_top1", 0.0), -i))


def parameter_shares(backbone: Backbone, temporal: Cost) -> dict[str, Any]:
    """Parameters of the frozen backbone and of the temporal network, and the latter's share."""
    frozen = frame_cost(backbone).parameters
    share = temporal.parameters / (frozen + temporal.parameters)
    return {"parameters": {"backbone": frozen, "temporal": temporal.parameters, "temporal_share": share}}


def latency(network: Classifier, device: torch.device) -> float:
    """Median seconds of one clip's forward pass through a stand-alone network."""
    network.eval()
    clip = network.blank(device)
    times = []
    with torch.no_grad():
        for _ in range(LATENCY_WARMUP + LATENCY_PASSES):
            start = time.perf_counter()
            network(clip)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    return median(times[LATENCY_WARMUP:])
