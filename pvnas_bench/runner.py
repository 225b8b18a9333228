"""The runner: one search, one final training, one record."""

import hashlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

import pvnas_bench
from pvnas_bench import records, registry, runtime, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import BudgetExhausted, Ledger
from pvnas_bench.network.cost import CostModel, network_layers
from pvnas_bench.network.standalone import Network
from pvnas_bench.problem import Problem, SearchSplit
from pvnas_bench.protocol import Protocol, get_protocol
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.strategy import SearchFinished, Strategy, StrategyConfig
from pvnas_bench.training import Clock, TrainingDiverged, Workbench, test, train, training_macs
from pvnas_bench.video import CacheSpec, ClipStore, open_dataset, prepare, split_by_subject

LATENCY_PASSES, LATENCY_WARMUP = 20, 5


@dataclass(frozen=True)
class Request:
    """What to run, in the words of the command line.

    Attributes:
        strategy, space: a name or a path.
        dataset: a name, a folder or a manifest.
        cap: the name of one of the space's caps, or a number of MACs; None: the space's first.
        budget: in reference trainings; None: the protocol's.
        settings: hyper-parameters that differ from their defaults.
        threads: None: every usable core.
    """

    strategy: str
    space: str = "st_default"
    dataset: str = "synthetic_motion"
    protocol: str = "quick"
    cap: str | None = None
    budget: float | None = None
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    results: Path = Path("results/runs")
    device: str = "auto"
    threads: int | None = None
    deterministic: bool = True
    cache: Path | None = None


class Observer:
    """Hears what a run does; this one ignores it."""

    def preparing(self, done: int, total: int) -> None:
        """Clips made or decoded so far."""

    def searching(self, budget: float) -> None:
        """The search begins."""

    def stepped(self, step: records.Step, budget: float) -> None:
        """The strategy finished a step."""

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        """A final training, the how-manieth of how many, begins (epoch 0) or finished an epoch."""


class Run:
    """One run, from request to record. Everything that a user can get wrong is found out by the constructor."""

    def __init__(self, request: Request, observer: Observer | None = None) -> None:
        """Resolve every name, prepare the clips, and check that a search is possible.

        Raises:
            UsageError: something asked for does not exist or cannot work; nothing was written to the results.
        """
        self.request, self.observer = request, observer or Observer()
        self.kind = registry.get_strategy(request.strategy)
        self.config = parse_config(self.kind, request.settings)
        self.space = registry.get_space(request.space)
        self.protocol = get_protocol(request.protocol)
        if request.budget is not None:
            self.protocol = self.protocol.with_budget(request.budget)
        self.cap_name, self.cap = parse_cap(self.space, request.cap)
        self.device = runtime.choose_device(request.device)
        self.threads = request.threads or runtime.usable_cores()
        check_writable(request.results)
        self.store = self._prepare()
        self.costs = CostModel(self.space, len(self.store.classes))
        cheapest = self.costs.cheapest().macs
        if cheapest > self.cap:
            raise UsageError(
                f"no architecture of {self.space.name} is under the cap of {self.cap:,} MACs: "
                f"the cheapest has {cheapest:,}, raise --cap"
            )
        self.splits = search_splits(self.store, self.protocol)
        self.ledger = Ledger(
            training_macs(
                self.costs(self.space.reference).macs,
                len(self.store.indices("train")),
                self.protocol.epochs,
                self.protocol,
            ),
            self.protocol.budget,
        )

    def _prepare(self) -> ClipStore:
        dataset = open_dataset(self.request.dataset, cache_dir=self.request.cache, progress=self.observer.preparing)
        spec = CacheSpec(self.protocol.cache_size, self.protocol.cache_frames, self.protocol.fit)
        return prepare(dataset, spec, cache_dir=self.request.cache, progress=self.observer.preparing)

    # --- the run ------------------------------------------------------------------------------------------------------

    def __call__(self) -> tuple[records.Record, Path]:
        """Search, train and test what was found, and write the record.

        A strategy that raises, an incumbent that is invalid, and an interruption end in a record that says so.

        Raises:
            UsageError: the budget is too small for one step of the strategy; nothing was written.
        """
        with runtime.configured(self.threads, self.request.deterministic):
            search = Search(self)
            status, error = search.run()
            outcome = None
            if search.incumbent is not None and status != "failed":
                try:
                    outcome = self._final(search, retrain=status == "ok")
                except KeyboardInterrupt:
                    status, error = "interrupted", "interrupted during the final training"
                    outcome = self._final(search, retrain=False)
                except TrainingDiverged as diverged:
                    status, error = "failed", f"final training diverged: {diverged}"
        record = self._record(search, status, error, outcome)
        path = self.path(record)
        records.save(record, path)
        return record, path

    def _final(self, search: "Search", retrain: bool) -> records.Outcome:
        architecture = search.incumbent
        assert architecture is not None
        cost = self.costs(architecture)
        ledger, clock, start = Ledger(self.ledger.reference), Clock(), _Start.now()
        full = Workbench(self.store, self.protocol, self.device, ledger, clock)
        spec = self.space.spec(architecture)
        trained = []
        for retraining in range(self.protocol.retrainings if retrain else 0):
            trained.append(self._retrain(full, architecture, retraining))
        network = Network(spec, len(self.store.classes)).to(self.device)
        return records.Outcome(
            architecture=str(architecture),
            macs=cost.macs,
            parameters=cost.parameters,
            latency_ms=latency(network, self.device) * 1e3,
            front=tuple(map(str, search.front)),
            network=tuple(vars(layer) for layer in network_layers(spec, len(self.store.classes))),
            trained=tuple(trained),
            cost=start.cost(ledger, clock, self.device),
        )

    def _retrain(self, bench: Workbench, architecture: Architecture, retraining: int) -> records.Trained:
        """Train on the whole train split with a seed of its own, and touch the test split, once."""
        cost = self.costs(architecture)
        seed = seeding.derive(self.request.seed, "retraining", retraining)

        def progress(epoch: int) -> None:
            protocol = self.protocol
            self.observer.training(str(architecture), retraining + 1, protocol.retrainings, epoch, protocol.epochs)

        progress(0)
        with seeding.torch_seeded(seed, "init"):
            network = Network(self.space.spec(architecture), len(self.store.classes)).to(self.device)
        curve = train(
            network,
            cost.macs,
            bench,
            self.store.indices("train"),
            epochs=self.protocol.epochs,
            seed=seed,
            validation=self.store.indices("val"),
            progress=progress,
        )
        scores = test(network, cost.macs, bench, self.store.indices("test"))
        return records.Trained(
            seed=retraining,
            test_top1=scores.top1,
            test_top5=scores.top5,
            test_mean_class=scores.mean_class,
            test_loss=scores.loss,
            confusion=tuple(tuple(int(n) for n in row) for row in scores.confusion),
            curve=tuple(curve),
        )

    # --- the record ---------------------------------------------------------------------------------------------------

    @property
    def entry(self) -> str:
        """The leaderboard row: the strategy's name and the hyper-parameters that are not its defaults."""
        changed = {
            key: value
            for key, value in self.config.model_dump(mode="json").items()
            if value != self.kind.Config().model_dump(mode="json")[key]
        }
        settings = ", ".join(f"{key}={value}" for key, value in changed.items())
        return f"{self.kind.info.name}[{settings}]" if settings else self.kind.info.name

    @property
    def space_fingerprint(self) -> str:
        return f"{self.space.fingerprint}:{self.cap_name}"

    @property
    def id(self) -> str:
        """The same for the same request: a run that is repeated replaces its record."""
        parts = [
            self.space_fingerprint,
            self.store.dataset.fingerprint,
            self.protocol.fingerprint,
            self.entry,
            self.request.seed,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def path(self, record: records.Record) -> Path:
        """Where the record goes."""
        words = (self.entry, self.space.name, record.data.name, self.protocol.name, f"s{self.request.seed}")
        readable = "-".join(re.sub(r"[^A-Za-z0-9_.=]+", "_", word).strip("_") for word in words)
        return self.request.results / f"{readable[:120]}-{self.id[:8]}" / records.FILE_NAME

    def _record(
        self, search: "Search", status: records.Status, error: str | None, outcome: records.Outcome | None
    ) -> records.Record:
        info, dataset = self.kind.info, self.store.dataset
        settings = json.loads(json.dumps(vars(self.protocol)))
        return records.Record(
            id=self.id,
            status=status,
            error=error,
            strategy=records.StrategyEntry(
                name=info.name,
                entry=self.entry,
                title=info.title,
                levels=info.levels,
                role=info.role,
                config=self.config.model_dump(mode="json"),
            ),
            space=records.SpaceEntry(
                name=self.space.name,
                version=self.space.version,
                fingerprint=self.space_fingerprint,
                cap=self.cap_name,
                cap_macs=self.cap,
                reference_macs=self.costs(self.space.reference).macs,
            ),
            data=records.DataEntry(
                name=dataset.name,
                fingerprint=dataset.fingerprint,
                classes=dataset.classes,
                clips={s: len(self.store.indices(s)) for s in ("train", "val", "test")},
                skipped=self.store.skipped,
            ),
            protocol=records.ProtocolEntry(
                name=self.protocol.name,
                version=self.protocol.version,
                fingerprint=self.protocol.fingerprint,
                budget=self.protocol.budget,
                settings=settings,
            ),
            seed=self.request.seed,
            device=str(self.device),
            search=search.cost,
            trajectory=tuple(search.trajectory),
            diagnostics=dict(search.diagnostics),
            outcome=outcome,
            provenance=records.Provenance(
                created=datetime.now(UTC),
                command=runtime.command(),
                pvnas_bench=pvnas_bench.__version__,
                commit=runtime.commit(),
                python=sys.version.split()[0],
                libraries=runtime.libraries(),
                hardware=runtime.hardware(self.device),
                threads=self.threads,
                deterministic=self.request.deterministic,
            ),
        )


class Search:
    """The search phase: drives the strategy through its steps and keeps the trajectory."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._clock = Clock()
        visible = np.concatenate([run.splits["train"], run.splits["val"]])
        bench = Workbench(run.store.subset(visible), run.protocol, run.device, run.ledger, self._clock)
        cut = len(run.splits["train"])
        splits: dict[SearchSplit, Any] = {"train": np.arange(cut), "val": np.arange(cut, len(visible))}
        self.problem = Problem(run.space, run.costs, bench, splits, run.cap, run.request.seed)
        self.strategy = run.kind(run.config)
        self.incumbent: Architecture | None = None
        self.front: tuple[Architecture, ...] = ()
        self.trajectory: list[records.Step] = []
        self.diagnostics: Mapping[str, Any] = {}
        self._start = _Start.now()

    def run(self) -> tuple[records.Status, str | None]:
        """Search until the budget is spent.

        Raises:
            UsageError: not one step fits into the budget.
        """
        self._start = _Start.now()
        run = self._run
        status: records.Status = "ok"
        error: str | None = None
        run.observer.searching(run.protocol.budget)
        try:
            self._steps()
        except UsageError:
            raise
        except KeyboardInterrupt:
            status, error = "interrupted", "interrupted during the search"
        except Exception as failure:
            reason = "".join(traceback.format_exception_only(failure)).strip()
            status, error = "failed", f"{reason} ({_innermost(failure)})"
        self.cost = self._start.cost(run.ledger, self._clock, run.device)
        return status, error

    def _steps(self) -> None:
        run, seed = self._run, self._run.request.seed
        step = 0
        while True:
            try:
                if step == 0:
                    with seeding.torch_seeded(seed, "setup"):
                        self.strategy.setup(self.problem)
                with seeding.torch_seeded(seed, "step", step):
                    self.strategy.step()
            except SearchFinished:
                finished = True
            except BudgetExhausted as exhausted:
                if step == 0:
                    raise UsageError(
                        f"a budget of {run.protocol.budget:g} reference trainings is too small for one step of "
                        f"{run.kind.info.name} ({exhausted}): raise --budget"
                    ) from exhausted
                finished = True
            else:
                finished = False
            step += 1
            self._note(step)
            if finished:
                return

    def _note(self, step: int) -> None:
        """Ask for the incumbent, check it, and put the step on the trajectory."""
        run = self._run
        incumbent = self.strategy.incumbent()
        valid(run.space, incumbent)
        macs = run.costs(incumbent).macs
        if macs > run.cap:
            raise ValueError(f"the incumbent {incumbent} has {macs:,} MACs, above the cap of {run.cap:,}")
        self.incumbent, self.front = incumbent, tuple(self.strategy.front())
        self.diagnostics = json.loads(json.dumps(self.strategy.diagnostics(), allow_nan=False))
        noted = records.Step(
            step=step,
            cost=run.ledger.spent,
            wall=time.perf_counter() - self._start.wall,
            incumbent=str(incumbent),
            macs=macs,
            metrics=dict(self.problem.metrics),
        )
        self.problem.metrics.clear()
        self.trajectory.append(noted)
        run.observer.stepped(noted, run.protocol.budget)


@dataclass(frozen=True)
class _Start:
    """The clocks at the start of a phase."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "_Start":
        return cls(time.perf_counter(), _cpu_seconds())

    def cost(self, ledger: Ledger, clock: Clock, device: torch.device) -> records.Cost:
        wall = time.perf_counter() - self.wall
        other = wall - sum(clock.seconds.values())
        return records.Cost(
            reference_trainings=ledger.spent,
            macs=ledger.macs,
            wall_seconds=wall,
            cpu_seconds=_cpu_seconds() - self.cpu,
            seconds=clock.seconds | {"harness": other},
            peak_memory_bytes=runtime.peak_memory(device),
            samples=ledger.samples,
            architectures_evaluated=ledger.evaluations,
            overshoot=ledger.overshoot,
        )


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _innermost(failure: BaseException) -> str:
    frame = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def valid(space: BlockSpace, architecture: Architecture) -> None:
    """Check that an architecture is one of the space's.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(architecture, Architecture) or space.architecture(architecture.choices) != architecture:
        raise ValueError(f"{architecture!r} is no architecture of {space.name}")


def search_splits(store: ClipStore, protocol: Protocol) -> dict[SearchSplit, Any]:
    """Divide the train split into search-train and search-val, by subject: the same for every seed and strategy."""
    indices = store.indices("train")
    held_out = split_by_subject(store.labels[indices], store.subjects[indices], protocol.search_val_fraction, seed=0)
    return {"train": indices[~held_out], "val": indices[held_out]}


def parse_config(kind: type[Strategy], settings: Mapping[str, str]) -> StrategyConfig:
    """The strategy's hyper-parameters from ``key=value`` settings.

    Raises:
        UsageError: an unknown key or a value that is out of range; the message says what is valid.
    """
    for key in settings:
        if key not in kind.Config.model_fields:
            known = ", ".join(kind.Config.model_fields) or "none"
            raise UsageError(f"{kind.info.name} has no hyper-parameter {key!r}: it has {known}")
    try:
        return kind.Config.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f" {key}={settings.get(key)}:" if (key := ".".join(map(str, first["loc"]))) else ""
        raise UsageError(f"{kind.info.name}:{where} {first['msg']}: change --set") from None


def parse_cap(space: BlockSpace, cap: str | None) -> tuple[str, int]:
    """A cap's name and MACs from a name of the space or a number, such as ``L``, ``2.5e7``.

    Raises:
        UsageError: neither.
    """
    if cap is None:
        return next(iter(space.caps.items()))
    if cap in space.caps:
        return cap, space.caps[cap]
    try:
        macs = int(float(cap))
    except (ValueError, OverflowError):
        macs = 0
    if macs <= 0:
        raise UsageError(f"unknown cap {cap!r}: {space.name} has {', '.join(space.caps)}, or give a number of MACs")
    return f"{macs}", macs


def check_writable(folder: Path) -> None:
    """Make sure that records can be written to a folder, without leaving anything there.

    Raises:
        UsageError: they cannot.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"results folder {folder} cannot be written: choose another with --results")


def latency(network: Network, device: torch.device) -> float:
    """Median seconds of one clip's forward pass."""
    network.eval()
    spec = network.spec
    clip = torch.zeros(1, spec.frames, spec.size, spec.size, 3, device=device).permute(0, 1, 4, 2, 3)
    times = []
    with torch.no_grad():
        for _ in range(LATENCY_WARMUP + LATENCY_PASSES):
            start = time.perf_counter()
            network(clip)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    return median(times[LATENCY_WARMUP:])


def run(request: Request, observer: Observer | None = None) -> tuple[records.Record, Path]:
    """Run a request; see `Run`."""
    return Run(request, observer)()
