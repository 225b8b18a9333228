"""The latency table of this machine: measured once for a space, kept in the cache folder, and checked on networks."""

import hashlib
import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from pvnas_bench import seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.network.families import Costs, build, cost_model, timed_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.runs.observer import Observer
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.system.files import read_whole, write_atomically
from pvnas_bench.training import process
from pvnas_bench.video import cache_root

VERSION = 1
"""Version of the measurement: another one is a separate table."""
TOGETHER = 64
"""Layers in memory at a time, which are timed in turns."""
SWEEPS, ROUNDS = 4, 3
"""Passes over all layers, and rounds of each pass, a minute and a moment apart: the least counts."""
NETWORK_ROUNDS = 24
LARGEST_GROUP = 2**26
"""Parameters of the networks that are in memory at a time and take turns."""
SECONDS, PASSES, PATIENCE = 0.001, 3, 0.02
"""Least time and number of undisturbed passes in a round, and the seconds after which the round ends anyway."""
FITTED = 64
"""Networks that the line from the sum of layers to a latency is fitted on."""
FITS, SMALLEST = 50, 1e-4
"""Reweightings of the fit, and the relative error below which a network's weight no longer grows."""
LARGEST_FILE = 64 * 2**20

Pass = Callable[[], Tensor]


@dataclass(frozen=True)
class Place:
    """Where passes are timed: what a latency depends on besides the network.

    Attributes:
        mixed: True if passes use bfloat16.
    """

    device: torch.device
    threads: int
    deterministic: bool
    mixed: bool

    @property
    def identity(self) -> dict[str, Any]:
        """The facts that must agree for a table to be used, JSON values; the clip's shape is in its rows."""
        return {
            "version": VERSION,
            "torch": torch.__version__,
            "device": self.device.type,
            "threads": self.threads,
            "deterministic": self.deterministic,
            "precision": "bfloat16" if self.mixed else "float32",
            "clips": 1,
            **process.hardware(self.device),
        }


class _File(BaseModel):
    """A table's file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    identity: dict[str, Any]
    milliseconds: dict[str, float] = Field(min_length=1)
    overhead_ms: float = Field(ge=0)
    layer_ms: float = Field(ge=0)
    scale: float = Field(gt=0)


def table_path(space: SearchSpace, classes: int, place: Place, cache: Path | None) -> Path:
    """Path of a table in the cache folder."""
    content = json.dumps([space.fingerprint, classes, place.identity], sort_keys=True)
    return cache_root(cache) / "latency" / f"{space.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"


def open_table(
    space: SearchSpace, classes: int, place: Place, cache: Path | None, observer: Observer, *, again: bool = False
) -> LatencyTable:
    """The table of a space's layers on this machine, measured now if there is none.

    Args:
        again: measure even if there is one.

    Raises:
        UsageError: the table cannot be written.
    """
    path = table_path(space, classes, place, cache)
    layers = timed_layers(space, classes)
    if not again and (known := _read(path)) is not None and known.milliseconds.keys() == layers.keys():
        return LatencyTable(known.milliseconds, known.overhead_ms, known.layer_ms, known.scale)
    with _writing(path):  # before a measurement that takes minutes
        path.parent.mkdir(parents=True, exist_ok=True)
    mixed = place.device.type if place.mixed else None
    with process.configured(place.threads, place.deterministic, mixed):
        table = _measured(space, classes, place, observer)
    content = _File(
        identity=place.identity,
        milliseconds=dict(table.milliseconds),
        overhead_ms=table.overhead_ms,
        layer_ms=table.layer_ms,
        scale=table.scale,
    )
    with _writing(path):
        write_atomically(path, content.model_dump_json(indent=1).encode())
    return table


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the latency table cannot be written to {path.parent} ({error.strerror}): make room or permit writing"
        ) from None


def _read(path: Path) -> _File | None:
    """A table's file; None: there is none, or it is damaged and measured again."""
    try:
        return _File.model_validate_json(read_whole(path, LARGEST_FILE))
    except (OSError, ValueError, ValidationError):
        return None


def _measured(space: SearchSpace, classes: int, place: Place, observer: Observer) -> LatencyTable:
    layers = timed_layers(space, classes)
    names, total = list(layers), SWEEPS * len(layers) + FITTED
    least = dict.fromkeys(names, math.inf)
    done = 0
    for _ in range(SWEEPS):
        for start in range(0, len(names), TOGETHER):
            some = names[start : start + TOGETHER]
            observer.timing(done, total)
            for name, times in timed({name: layers[name].on(place.device) for name in some}, place.device).items():
                least[name] = min(least[name], *times)
            done += len(some)
    milliseconds = {name: 1e3 * seconds for name, seconds in least.items()}
    counts, sums = (
        cost_model(space, classes, LatencyTable(rows)) for rows in (dict.fromkeys(names, 1.0), milliseconds)
    )
    architectures = sample(space, FITTED, "latency table")
    measured = [
        1e3 * min(times) for times in time_networks(space, classes, architectures, place.device, observer, done, total)
    ]
    line = fitted([counts(a).latency_ms for a in architectures], [sums(a).latency_ms for a in architectures], measured)
    observer.timing(total, total)
    return LatencyTable(milliseconds, *line)


def timed(passes: Mapping[str, Pass], device: torch.device, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of a pass in each round: the least of those that the system did not interrupt.

    All passes take turns, after one untimed pass of each. A round in which every pass was interrupted has no value,
    unless all have: then the least of all passes is the only one.
    """
    clean: dict[str, list[float]] = {name: [] for name in passes}
    least = dict.fromkeys(passes, math.inf)
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, run in passes.items():
                undisturbed: list[float] = []
                spent = 0.0
                run()
                while (sum(undisturbed) < SECONDS or len(undisturbed) < PASSES) and spent < PATIENCE:
                    interrupted, start = _interruptions(), time.perf_counter()
                    run()
                    if device.type == "cuda":
                        torch.cuda.synchronize(device)
                    passed = time.perf_counter() - start
                    spent += passed
                    if number:
                        least[name] = min(least[name], passed)
                    if _interruptions() == interrupted:
                        undisturbed.append(passed)
                if number and undisturbed:
                    clean[name].append(min(undisturbed))
    return {name: rounds or [least[name]] for name, rounds in clean.items()}


def _interruptions() -> int:
    """How often the system took a core from this process to give it to another."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def time_networks(
    space: SearchSpace,
    classes: int,
    architectures: Sequence[Architecture],
    device: torch.device,
    observer: Observer,
    done: int = 0,
    total: int = 0,
) -> Iterator[list[float]]:
    """Seconds of one clip's forward pass through each network, per round; the networks take turns.

    Args:
        done, total: what the observer is told besides these networks.
    """
    total, costs = total or len(architectures), cost_model(space, classes)
    left = list(architectures)
    while left:
        observer.timing(done + len(architectures) - len(left), total)
        group = [left.pop(0)]
        parameters = costs(group[0]).parameters
        while left and len(group) < TOGETHER and parameters + costs(left[0]).parameters <= LARGEST_GROUP:
            group.append(left.pop(0))
            parameters += costs(group[-1]).parameters
        passes = {f"{i}": _network_pass(space, classes, a, device) for i, a in enumerate(group)}
        yield from timed(passes, device, NETWORK_ROUNDS).values()


def _network_pass(space: SearchSpace, classes: int, architecture: Architecture, device: torch.device) -> Pass:
    with seeding.torch_seeded(0, "latency"):
        network = build(space, architecture, classes).to(device).eval()
    clip = network.blank(device)

    def run() -> Tensor:
        out: Tensor = network(clip)
        return out

    return run


def sample(space: SearchSpace, count: int, stream: str) -> list[Architecture]:
    """Random architectures, the same on every machine, and the hand-designed ones."""
    rng = seeding.generator(0, stream, space.fingerprint)
    return [*space.experts.values(), *(space.sample(rng) for _ in range(count - len(space.experts)))]


def fitted(layers: Sequence[float], sums: Sequence[float], measured: Sequence[float]) -> tuple[float, float, float]:
    """Overhead, time per layer, and scale of the sum over layers, of the least absolute relative errors.

    Iteratively reweighted non-negative least squares; none is negative, and the scale is positive.

    Args:
        layers: number of layers of each network.
        sums: milliseconds of the layers of each network, measured alone.
        measured: milliseconds of each network.
    """
    from scipy.optimize import nnls

    y = np.array(measured)
    columns = np.column_stack([np.ones(len(y)), layers, sums])
    weights = 1 / y
    line = np.zeros(3)
    for _ in range(FITS):
        line, _ = nnls(columns * weights[:, None], y * weights)
        errors = np.abs(columns @ line - y) / y
        weights = 1 / (y * np.sqrt(np.maximum(errors, SMALLEST)))
    if line[2] <= 0:
        return 0.0, 0.0, float(np.median(y / columns[:, 2]))
    return float(line[0]), float(line[1]), float(line[2])


@dataclass(frozen=True)
class Prediction:
    """A network's latency as predicted and as measured, in milliseconds.

    Attributes:
        spread: the median of the measurement's rounds over their least, minus 1.
    """

    architecture: str
    predicted_ms: float
    measured_ms: float
    spread: float

    @property
    def error(self) -> float:
        """The prediction's relative error."""
        return self.predicted_ms / self.measured_ms - 1


def check(space: SearchSpace, costs: Costs, place: Place, networks: int, observer: Observer) -> list[Prediction]:
    """Predict and measure random networks that the table was not fitted on."""
    rng = seeding.generator(0, "latency check", space.fingerprint)
    architectures = [space.sample(rng) for _ in range(networks)]
    return measured_predictions(space, costs, place, architectures, observer)


def measured_predictions(
    space: SearchSpace, costs: Costs, place: Place, architectures: Sequence[Architecture], observer: Observer
) -> list[Prediction]:
    """Predict and measure these networks."""
    mixed = place.device.type if place.mixed else None
    with process.configured(place.threads, place.deterministic, mixed):
        times = list(time_networks(space, costs.classes, architectures, place.device, observer))
    observer.timing(len(architectures), len(architectures))
    return [
        Prediction(str(a), costs(a).latency_ms, 1e3 * min(rounds), median(rounds) / min(rounds) - 1)
        for a, rounds in zip(architectures, times, strict=True)
    ]


def summary(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Errors of predictions, fractions: median, 90th percentile and most; bias; spread; Kendall's τ-b."""
    from pvnas_bench.boards.statistics import kendall_tau

    errors = np.array([abs(p.error) for p in predictions])
    return {
        "networks": len(predictions),
        "error_median": float(np.median(errors)),
        "error_p90": float(np.quantile(errors, 0.9)),
        "error_most": float(errors.max()),
        "bias": float(np.median([p.error for p in predictions])),
        "spread": float(np.median([p.spread for p in predictions])),
        "tau": kendall_tau([p.predicted_ms for p in predictions], [p.measured_ms for p in predictions]),
    }


def rows(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Predictions as JSON values."""
    return [asdict(p) | {"error": p.error} for p in predictions]
