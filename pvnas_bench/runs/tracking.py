"""Runs as TensorBoard and MLflow show them: one observer, which writes to either or both.

Series of the search have its steps, series of the final training its epochs, counted over retrainings. A resumed run
goes on in the same TensorBoard folder and the same MLflow run. A tracker that fails is said once and never costs a run.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pvnas_bench import records, release
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system import machine
from pvnas_bench.system.masking import masked, masked_values

if TYPE_CHECKING:
    from pvnas_bench.training.workbench import Clock

EXPERIMENT = "pvnas_bench"
RUN_TAG, STATUS_TAG = "pvnas_bench.runs", "pvnas_bench.status"
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""MLflow's own patience is minutes for each request; what the user sets counts."""
EVERY, AGAIN = 2.0, 60.0
"""Seconds between two requests to MLflow, and after one that failed."""
LONGEST = 500
"""Characters of a parameter's value: what MLflow's databases hold."""


class Sink(Protocol):
    """A tracker of one run."""

    name: str

    def resuming(self, step: int) -> None:
        """The search goes on after this step."""

    def searched(self, step: int, values: Mapping[str, float], incumbent: str | None) -> None:
        """A step of the search; the incumbent if it is new."""

    def trained(self, epoch: int, values: Mapping[str, float]) -> None:
        """An epoch of the final training, counted over retrainings."""

    def ended(self, status: str, values: Mapping[str, float], error: str | None) -> None:
        """The end of the run, with its scores and costs."""


class Tracked(Observer):
    """Passes a run's events on to another observer and to trackers."""

    def __init__(self, observer: Observer, setup: Setup) -> None:
        self._observer, self._setup = observer, setup
        self._sinks: list[Sink] = []
        self._failed: set[str] = set()
        self._incumbent = ""
        self._epochs = setup.protocol.epochs

    def opened(self) -> None:
        """Open the trackers of the request."""
        self._observer.opened()
        setup, request = self._setup, self._setup.request
        if request.tensorboard is not None:
            folder = request.tensorboard / setup.path.parent.name
            self._try("TensorBoard", lambda: self._sinks.append(TensorBoard(folder, parameters(setup))))
        if request.mlflow is not None:
            uri = request.mlflow
            self._sinks.append(MLflow(uri, setup.path.parent.name, parameters(setup), tags(setup), request.resume))

    def _try(self, name: str, action: Callable[[], None]) -> None:
        """Do what may fail outside this program; say so the first time."""
        try:
            action()
        except Exception as error:  # whatever a tracker's library raises: the run is worth more
            if name not in self._failed:
                self._failed.add(name)
                reason = " ".join(masked(str(error)).split())[:200] or type(error).__name__
                self._observer.warned(f"{name} cannot be written ({reason}): the run goes on without it")

    def _tell(self, event: Callable[[Sink], None]) -> None:
        for sink in self._sinks:
            self._try(sink.name, lambda sink=sink: event(sink))  # type: ignore[misc]

    # --- a run's events -----------------------------------------------------------------------------------------------

    def making(self, done: int, total: int) -> None:
        self._observer.making(done, total)

    def preparing(self, done: int, total: int) -> None:
        self._observer.preparing(done, total)

    def training_backbone(self, epoch: int, epochs: int) -> None:
        self._observer.training_backbone(epoch, epochs)

    def extracting(self, done: int, total: int) -> None:
        self._observer.extracting(done, total)

    def timing(self, done: int, total: int) -> None:
        self._observer.timing(done, total)

    def timed(self, clock: "Clock") -> None:
        self._observer.timed(clock)

    def searching(self, budget: float) -> None:
        self._observer.searching(budget)

    def warned(self, message: str) -> None:
        self._observer.warned(message)

    def resuming(self, step: int) -> None:
        self._observer.resuming(step)
        self._tell(lambda sink: sink.resuming(step))

    def stepped(self, step: records.Step, budget: float) -> None:
        self._observer.stepped(step, budget)
        values = {
            "spent": step.cost,
            "spent_share": step.cost / budget if budget else math.nan,
            "seconds": step.wall,
            "incumbent_macs": float(step.macs),
            **step.metrics,
        }
        new = step.incumbent if step.incumbent != self._incumbent else None
        self._incumbent = step.incumbent
        self._tell(lambda sink: sink.searched(step.step, values, new))

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        self._observer.training(architecture, retraining, retrainings, epoch, epochs)

    def trained(self, retraining: int, row: Mapping[str, float]) -> None:
        self._observer.trained(retraining, row)
        epoch = (retraining - 1) * self._epochs + int(row["epoch"])
        values = {name: value for name, value in row.items() if name != "epoch"}
        self._tell(lambda sink: sink.trained(epoch, values))

    def recorded(self, record: records.Record) -> None:
        self._observer.recorded(record)
        self._tell(lambda sink: sink.ended(record.status, scores(record), record.error))


def parameters(setup: Setup) -> dict[str, str]:
    """What was asked for, and the hyper-parameters, with secrets masked."""
    request = setup.request
    asked = {
        "strategy": setup.entry,
        "space": setup.space.name,
        "cap": setup.caps.name,
        "dataset": setup.data.name,
        "protocol": setup.protocol.name,
        "budget": f"{setup.protocol.budget:g}",
        "seed": f"{request.seed}",
        "precision": request.precision,
        "tabular": f"{request.tabular}",
        "device": f"{setup.device}",
        "threads": f"{setup.threads}",
    }
    config = masked_values(setup.config.model_dump(mode="json"))
    return asked | {f"config.{name}": masked(f"{value}")[:LONGEST] for name, value in config.items()}


def tags(setup: Setup) -> dict[str, str]:
    """What identifies a run among others."""
    return {
        RUN_TAG: setup.id,
        "pvnas_bench.version": release.VERSION,
        "pvnas_bench.commit": machine.commit() or "",
        "pvnas_bench.role": setup.kind.info.role,
        "pvnas_bench.command": " ".join(setup.command),
        "pvnas_bench.space": setup.space_fingerprint,
        "pvnas_bench.data": setup.data.fingerprint,
        "pvnas_bench.protocol": setup.protocol_fingerprint,
    }


def scores(record: records.Record) -> dict[str, float]:
    """The scores and costs of a finished run, those that it has."""
    values: dict[str, float] = {
        "search_reference_trainings": record.search.reference_trainings,
        "search_seconds": record.search.wall_seconds,
        "search_cpu_seconds": record.search.cpu_seconds,
        "search_peak_memory_bytes": float(record.search.peak_memory_bytes),
        "architectures_evaluated": float(record.search.architectures_evaluated),
    }
    if record.search.energy_joules is not None:
        values["search_energy_joules"] = record.search.energy_joules
    outcome = record.outcome
    if outcome is not None:
        values |= {"macs": float(outcome.macs), "parameters": float(outcome.parameters)}
        values["latency_ms"] = outcome.latency_ms
        for name in ("test_top1", "test_top5", "test_mean_class", "test_loss"):
            if outcome.trained:
                values[name] = math.fsum(getattr(one, name) for one in outcome.trained) / len(outcome.trained)
    return values


class TensorBoard:
    """Event files in two folders, `search` and `final`, for their steps differ."""

    name = "TensorBoard"

    def __init__(self, folder: Path, asked: Mapping[str, str]) -> None:
        self._folder, self._asked = folder, asked
        self._writers: dict[str, Any] = {}
        self._resumed: int | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def _writer(self, phase: str, first: int) -> Any:
        """The writer of a phase; what an earlier process wrote from its first step on is left out."""
        if phase not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            writer: Any = SummaryWriter(str(self._folder / phase), purge_step=first)
            self._writers[phase] = writer
            table = "\n".join(f"| {name} | {value} |" for name, value in self._asked.items())
            writer.add_text("run", f"| option | value |\n|---|---|\n{table}", first)
        return self._writers[phase]

    def resuming(self, step: int) -> None:
        self._resumed = step

    def searched(self, step: int, values: Mapping[str, float], incumbent: str | None) -> None:
        writer = self._writer("search", step if self._resumed is not None else 0)
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        if incumbent is not None:
            writer.add_text("incumbent", f"`{incumbent}`", step)
        writer.flush()

    def trained(self, epoch: int, values: Mapping[str, float]) -> None:
        writer = self._writer("final", epoch)
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def ended(self, status: str, values: Mapping[str, float], error: str | None) -> None:
        if status == "ok":
            writer = self._writer("final", 0)
            for name, value in values.items():
                writer.add_scalar(f"result/{name}", value, 0)
        for writer in self._writers.values():
            writer.close()


class MLflow:
    """A run of MLflow, found by its tag when this run is resumed. Series wait until the server answers."""

    name = "MLflow"

    def __init__(self, uri: str, name: str, asked: Mapping[str, str], tags: Mapping[str, str], resume: bool) -> None:
        self._uri, self._name, self._asked, self._tags, self._resume = uri, name, asked, dict(tags), resume
        self._client: Any = None
        self._run = ""
        self._waiting: list[tuple[str, float, int, int]] = []
        self._changed: dict[str, str] = {}
        self._next = 0.0

    def _open(self) -> None:
        """Find or create the run."""
        for variable, value in PATIENCE.items():
            os.environ.setdefault(variable, value)
        from mlflow.entities import ViewType
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        known = client.search_runs(
            [number],
            f"tags.`{RUN_TAG}` = '{self._tags[RUN_TAG]}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        if self._resume and known and known[0].data.tags.get(STATUS_TAG) in (None, "interrupted", "timeout"):
            self._run = known[0].info.run_id
            client.update_run(self._run, status="RUNNING")
        else:
            self._run = client.create_run(number, tags=self._tags, run_name=self._name).info.run_id
            from mlflow.entities import Param

            client.log_batch(self._run, params=[Param(key, value) for key, value in self._asked.items()])
        self._client = client

    def resuming(self, step: int) -> None:
        """Steps that were logged before are logged again, to the same values."""

    def searched(self, step: int, values: Mapping[str, float], incumbent: str | None) -> None:
        self._add(values, "", step)
        if incumbent is not None:
            self._changed["incumbent"] = incumbent
        self._send()

    def trained(self, epoch: int, values: Mapping[str, float]) -> None:
        self._add(values, "final.", epoch)
        self._send()

    def ended(self, status: str, values: Mapping[str, float], error: str | None) -> None:
        self._add(values, "result.", 0)
        self._changed |= {STATUS_TAG: status} | ({"pvnas_bench.error": error[:LONGEST]} if error else {})
        self._send(last=True)
        ends = {"ok": "FINISHED", "interrupted": "KILLED", "timeout": "KILLED"}
        self._client.set_terminated(self._run, status=ends.get(status, "FAILED"))

    def _add(self, values: Mapping[str, float], prefix: str, step: int) -> None:
        now = int(time.time() * 1000)
        self._waiting += [(f"{prefix}{name}", v, now, step) for name, v in values.items() if math.isfinite(v)]

    def _send(self, last: bool = False) -> None:
        """Send what waits, unless the last request was a moment ago, or failed a minute ago."""
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + AGAIN
        if self._client is None:
            self._open()
        from mlflow.entities import Metric, RunTag

        while self._waiting or self._changed:
            some = self._waiting[:LONGEST]
            self._client.log_batch(
                self._run,
                metrics=[Metric(*one) for one in some],
                tags=[RunTag(key, value) for key, value in self._changed.items()],
            )
            self._waiting, self._changed = self._waiting[len(some) :], {}
        self._next = time.monotonic() + EVERY


def tracked(observer: Observer, setup: Setup) -> Observer:
    """The observer, with the trackers of the request if it names any."""
    request = setup.request
    if (request.tensorboard is None and request.mlflow is None) or not setup.world.first:
        return observer
    return Tracked(observer, setup)
