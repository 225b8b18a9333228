"""Training of one architecture: any data set, protocol and number of epochs, from random or trained weights."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pvnas_bench import release, seeding
from pvnas_bench.deploy.architectures import named
from pvnas_bench.deploy.model import model_path
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.backbone import FrozenBackbone
from pvnas_bench.network.families import cost_model
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.protocol import Protocol
from pvnas_bench.runs.checkpoints import Checkpoints, State
from pvnas_bench.runs.clips import open_clips, search_splits
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.words import check_writable
from pvnas_bench.system import files, machine, signals
from pvnas_bench.system.leases import claimed
from pvnas_bench.training import process
from pvnas_bench.training.backbone_features import features_of, prepare_features
from pvnas_bench.training.distributed import ALONE, World
from pvnas_bench.training.model_file import (
    FILE_NAME,
    ModelInfo,
    ModelScores,
    ModelTraining,
    TrainedNetwork,
    all_weights,
    describe,
    encode,
    load,
)
from pvnas_bench.training.testing import Scores, test
from pvnas_bench.training.train import Training, untrained
from pvnas_bench.training.workbench import Clock, TrainingDiverged, Workbench
from pvnas_bench.video import ClipStore

RESULT = "training.json"
MODELS = Path("results/models")
MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class FitRequest:
    """A requested training, as on the command line.

    Attributes:
        architecture: see `architectures.named`.
        space, dataset, protocol: None: those of the record or model, else the package's defaults.
        epochs: None: the protocol's.
        init: a model whose weights the training begins with; None: random weights.
        output: folder of the model and its result; None: one below `MODELS`, named after the training.
        cache: folder of decoded clips; None: the user's.
        checkpoint_seconds: least seconds between two checkpoints; 0: after every epoch.
    """

    architecture: str
    space: str | None = None
    dataset: str | None = None
    protocol: str | None = None
    epochs: int | None = None
    seed: int = 0
    init: Path | None = None
    output: Path | None = None
    tables: Path | None = None
    precision: str = "float32"
    deterministic: bool = True
    device: str = "auto"
    threads: int | None = None
    resume: bool = True
    checkpoint_seconds: float = 60.0
    cached: bool = True
    cache: Path | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A finished training: the model's file, its metadata, and the curve by epoch."""

    path: Path
    info: ModelInfo
    curve: tuple[Mapping[str, float], ...]


class Fit:
    """One training, from request to model. The constructor detects all user errors.

    Attributes:
        notes: sentences for the user, such as that the classifier begins anew.
    """

    world: World = ALONE

    def __init__(self, request: FitRequest, observer: Observer | None = None) -> None:
        """Resolve every name, prepare the clips, and read the initial weights.

        Raises:
            UsageError: the request cannot work; nothing was written.
        """
        if not 0 <= request.seed < 2**64:
            raise UsageError(f"a seed is a whole number from 0 to 2**64 - 1, got {request.seed}: change --seed")
        if request.epochs is not None and not 1 <= request.epochs <= MOST_EPOCHS:
            raise UsageError(f"--epochs is a number from 1 to {MOST_EPOCHS:,}, got {request.epochs}")
        self.request, self.observer = request, observer or Observer()
        self.notes: list[str] = []
        found = named(
            request.architecture,
            space=request.space,
            dataset=request.dataset,
            protocol=request.protocol,
            tables=request.tables,
        )
        self.space, self.architecture = found.space, found.architecture
        self.protocol = _recipe(found.protocol, request)
        self.device = process.choose_device(request.device)
        self.threads = request.threads or machine.usable_cores()
        check_writable(request.output or MODELS, "folder", "--output")
        self._init = None if request.init is None else self._initial(request.init)
        store = open_clips(found.dataset, self.protocol, request.cache, self.observer, cached=request.cached)
        self.frozen: FrozenBackbone | None = None
        self.store = store if self.space.backbone is None else self._with_features(store)
        self.costs = cost_model(self.space, len(store.classes))(self.architecture)
        if self._init is not None and self._init.info.classes != store.classes:
            self.notes.append(
                f"the classifier begins anew: the model of --init knows {len(self._init.info.classes)} other classes, "
                f"{store.dataset.name} has {len(store.classes)}"
            )

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._folder / FILE_NAME

    @property
    def _folder(self) -> Path:
        if self.request.output is not None:
            return self.request.output
        words = (self.space.name, self.store.dataset.name, self.protocol.name, f"s{self.request.seed}")
        readable = "-".join(re.sub(r"[^A-Za-z0-9_.=]+", "_", word).strip("_") for word in words)
        return MODELS / f"{readable[:120]}-{self._digest[:8]}"

    @property
    def checkpoint_seconds(self) -> float | None:
        """Least seconds between two checkpoints."""
        return self.request.checkpoint_seconds

    @property
    def identity(self) -> dict[str, str]:
        """What must match to resume: the training and the code."""
        return {"training": self._digest, "pvnas_bench": release.VERSION, "torch": str(torch.__version__)}

    @property
    def _begun_with(self) -> str | None:
        """SHA-256 of the weights of --init."""
        return None if self._init is None else self._init.info.weights_sha256

    @property
    def _digest(self) -> str:
        parts = [
            *(self.space.fingerprint, str(self.architecture), self.store.dataset.fingerprint),
            *(self.protocol.fingerprint, self.request.seed, self._begun_with),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def __call__(self) -> Fitted:
        """Train, test once, and write the model and its result.

        Raises:
            KeyboardInterrupt: a stop was asked for; the same request resumes from the checkpoint.
            TrainingFailed: the training diverged or ran out of memory; nothing was written.
            UsageError: another process has the same training, or the model cannot be written.
        """
        with claimed(self.path) as claim, signals.heeded() as stop:
            checkpoints = Checkpoints(self, claim, stop, self.observer)
            with self._configured():
                network, curve, scores = self._train(checkpoints)
            claim.check()
            fitted = self._write(network, curve, scores)
            checkpoints.clear()
            for path in (self.path, self.path.with_name(RESULT)):
                files.remove_leftovers(path)
        return fitted

    def _configured(self) -> AbstractContextManager[None]:
        mixed = self.device.type if self.protocol.precision == "bfloat16" else None
        return process.configured(self.threads, self.request.deterministic, mixed)

    def _initial(self, path: Path) -> TrainedNetwork:
        """The model of --init.

        Raises:
            UsageError: it is none, or of another architecture.
        """
        trained = load(model_path(path))
        info = trained.info
        if (info.space.fingerprint, info.architecture) != (self.space.fingerprint, str(self.architecture)):
            raise UsageError(
                f"--init {str(path)!r} has weights of {info.architecture} of {info.space.fingerprint}, the network is "
                f"{self.architecture} of {self.space.fingerprint}: train that architecture"
            )
        return trained

    def _with_features(self, store: ClipStore) -> ClipStore:
        """The clips with features: of the backbone of the initial weights, else of one trained on these clips."""
        backbone, cache = self.space.backbone, self.request.cache
        assert backbone is not None
        if self._init is not None and self._init.backbone is not None:
            self.frozen = self._init.backbone.to(self.device)
            with process.configured(threads=1, deterministic=True):
                return features_of(
                    store, self.frozen, backbone, self.device, cache_dir=cache, progress=self.observer.extracting
                )
        features = prepare_features(
            backbone,
            store,
            search_splits(store, self.protocol)["train"],
            self.protocol,
            self.device,
            cache_dir=cache,
            training=self.observer.training_backbone,
            extracting=self.observer.extracting,
        )
        self.frozen = features.network
        return features.store

    def _train(self, checkpoints: Checkpoints) -> tuple[Classifier, list[dict[str, float]], Scores]:
        bench = Workbench(self.store, self.protocol, self.device, Ledger(1), Clock())
        seed, epochs = seeding.derive(self.request.seed, "fit"), self.protocol.epochs
        network = untrained(self.space, self.architecture, len(self.store.classes), self.protocol, seed)
        if self._init is not None:
            _begin_with(network, self._init.network, same=self._init.info.classes == self.store.classes)
        network = network.to(self.device)
        training = Training(
            network,
            self.costs.macs,
            bench,
            self.store.indices("train"),
            epochs=epochs,
            seed=seed,
            validation=self.store.indices("val"),
        )
        if self.request.resume and (state := checkpoints.load()) is not None:
            training.load_state_dict(state["training"])
            self.observer.resuming(len(training.curve))

        def state_now() -> State:
            return {"training": training.state_dict()}

        self._progress(training, epochs)
        while not training.finished:
            training.epoch()
            self._progress(training, epochs)
            checkpoints.boundary(state_now)
        scores = test(network, self.costs.macs, bench, self.store.indices("test"))
        if not math.isfinite(scores.loss):
            raise TrainingDiverged(f"the loss on the test split is {scores.loss:g}")
        return network, training.curve, scores

    def _progress(self, training: Training, epochs: int) -> None:
        self.observer.training(str(self.architecture), 1, 1, len(training.curve), epochs)

    def _write(self, network: Classifier, curve: list[dict[str, float]], scores: Scores) -> Fitted:
        weights = all_weights(network, self.frozen)
        training = ModelTraining(
            seed=self.request.seed,
            epochs=self.protocol.epochs,
            initial=self._begun_with,
            device=self.device.type,
            threads=self.threads,
            deterministic=self.request.deterministic,
        )
        stated = ModelScores(
            val_top1=curve[-1].get("val_top1"),
            test_top1=scores.top1,
            test_top5=scores.top5,
            test_mean_class=scores.mean_class,
            test_loss=scores.loss,
        )
        info = describe(
            self.space,
            self.architecture,
            self.store,
            self.protocol,
            training,
            stated,
            weights,
            release.VERSION,
        )
        result = {
            **info.model_dump(mode="json", include={"architecture", "space", "data", "training", "scores"}),
            "protocol": info.protocol.name,
            "weights_sha256": info.weights_sha256,
            "confusion": scores.confusion.tolist(),
            "curve": [{name: _plain(value) for name, value in row.items()} for row in curve],
            "skipped": list(self.store.skipped),
        }
        try:
            files.write_atomically(self.path, encode(info, weights))
            files.write_atomically(self.path.with_name(RESULT), json.dumps(result, indent=1).encode() + b"\n")
        except OSError as error:
            raise UsageError(
                f"the model cannot be written to {self._folder} ({error.strerror}): make room, and repeat the command "
                "to resume from its last checkpoint"
            ) from None
        return Fitted(self.path, info, tuple(curve))


def _recipe(named: Protocol, request: FitRequest) -> Protocol:
    protocol = named.with_precision(request.precision)
    return protocol if request.epochs is None else replace(protocol, epochs=request.epochs)


def _begin_with(network: nn.Module, trained: nn.Module, *, same: bool) -> None:
    """Copy trained weights into a network; the classifier keeps its random ones unless the classes are the same."""
    with torch.no_grad():
        given = trained.state_dict()
        for name, tensor in network.state_dict().items():
            if same or ".classifier." not in f".{name}":
                tensor.copy_(given[name])


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
