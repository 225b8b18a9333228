"""Records: one run's result with its provenance, as one JSON file, or as a line of a file of many.

A record is data: reading one never executes anything. `Record` is the schema; `load` reads one file,
`load_folder` reads a results folder and says which files it left out and why; `save` writes atomically.
`Summary` is the part of a record that a leaderboard needs: the same files read without trajectories,
confusion matrices and layer tables, several times faster and in a tenth of the memory.

A measurement that is not a number (a diverged loss, a score of a broken network) is `nan` in memory and
`null` in the file, so that every record is standard JSON. A run with such a test score counts as a failure.
"""

import gc
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole, write_atomically

SCHEMA_VERSION: Final = 1
FILE_NAME = "record.json"
LINES_NAME = "records.jsonl"
"""Of a file with a record on each line: runs on a table take milliseconds, and there are thousands of them."""
MAX_BYTES = 64 * 2**20
"""A larger file is not a record: it is left out unread."""

Status = Literal["ok", "interrupted", "failed", "timeout"]
Role = Literal["search", "random_control", "expert_control"]


def _number(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return math.nan
    return value


Measured = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_number)]
"""A float that a run measured: what is not finite, or `null` in the file, is `nan`."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Excerpt(BaseModel):
    """A part of a model: the fields that it does not name are skipped while parsing."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class StrategyEntry(_Model):
    """Which strategy ran, with which hyper-parameters."""

    name: str
    entry: str
    """The leaderboard row: the name, plus the hyper-parameters that differ from their defaults."""
    title: str
    levels: tuple[str, ...]
    role: Role = "search"
    """A search method, or one of the controls: randomly sampled architectures, hand-designed networks."""
    config: dict[str, Any]


class SpaceEntry(_Model):
    name: str
    version: int
    fingerprint: str
    cap: str
    cap_macs: int
    reference_macs: int


class DataEntry(_Model):
    name: str
    fingerprint: str
    classes: tuple[str, ...]
    clips: dict[str, int]
    """Clips per split."""
    skipped: tuple[dict[str, str], ...] = ()
    """Unreadable clips: `path` and `reason` of each."""


class ProtocolEntry(_Model):
    name: str
    version: int
    fingerprint: str
    budget: float
    """Search budget in reference trainings."""
    settings: dict[str, Any]


class Step(_Model):
    """The state after one step of the strategy: a point of the anytime curve (a step function)."""

    step: int
    cost: float
    """Budget spent so far, in reference trainings."""
    wall: float
    """Seconds of search so far."""
    incumbent: str
    macs: int
    metrics: dict[str, Measured] = Field(default_factory=dict)
    """What the strategy logged, `val_top1` (fraction on search-val) among it where it measured that."""


class PhaseCost(_Model):
    """What a phase (search or final training) consumed."""

    reference_trainings: float
    macs: int
    wall_seconds: float
    cpu_seconds: float
    seconds: dict[str, float]
    """Wall seconds by activity: data, forward, backward, optimiser, harness."""
    peak_memory_bytes: int
    samples: int
    """Clips that went through a forward pass."""
    architectures_evaluated: int = 0
    overshoot: float = 0.0
    """Budget spent beyond the limit, in reference trainings."""


class Trained(_Model):
    """One retraining of the architecture found, and its one test."""

    seed: int
    test_top1: Measured
    test_top5: Measured
    test_mean_class: Measured
    test_loss: Measured
    confusion: tuple[tuple[int, ...], ...]
    """Rows: true class, columns: predicted class, counts of test clips."""
    curve: tuple[dict[str, Measured], ...]
    """Per epoch: epoch, train_loss, and val_top1 where the data set has a val split."""


class Outcome(_Model):
    architecture: str
    macs: int
    parameters: int
    latency_ms: Measured
    """Median wall milliseconds of one clip's forward pass, batch of one, after warm-up, on the run's device."""
    front: tuple[str, ...] = ()
    network: tuple[dict[str, Any], ...] = ()
    """The network as a table of layers for drawing. Of each: name, operator, shape_in and shape_out
    ([frames, height, width, channels]), macs, parameters."""
    trained: tuple[Trained, ...]
    cost: PhaseCost


class Speed(_Model):
    """How fast the code was: seconds beside those of a reference workload, which runs of one machine can share.

    All of it is timed in the run's own process, each the least of several repetitions that take turns, so
    that a busy or slower machine slows both sides of the ratio.
    """

    reference_seconds: float = Field(gt=0)
    """One pass of the reference workload."""
    seconds: dict[str, float]
    """One pass of each piece of work that `check` guards (an operator, a supernet step), by its name."""


class Provenance(_Model):
    created: datetime
    command: tuple[str, ...]
    pvnas_bench: str
    commit: str | None
    python: str
    libraries: dict[str, str]
    hardware: dict[str, Any]
    threads: int
    deterministic: bool


class Record(_Model):
    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    status: Status
    error: str | None = None
    strategy: StrategyEntry
    space: SpaceEntry
    data: DataEntry
    protocol: ProtocolEntry
    seed: int
    device: str
    search: PhaseCost
    trajectory: tuple[Step, ...]
    diagnostics: dict[str, Any] = Field(default_factory=dict)
    """What the strategy chose to report about its search, JSON values; on a space with a frozen backbone also what that
    cost (`backbone`), how `parameters` divide, and how the network found depends on `clip_length` and frame order; on a
    table, of a strategy that scores architectures, how these scores rank the whole space (`rank_pairs`, `rank_tau`)."""
    outcome: Outcome | None
    speed: Speed | None = None
    provenance: Provenance

    @property
    def board(self) -> tuple[str, str, str]:
        """Records compare only when these three fingerprints agree."""
        return self.space.fingerprint, self.data.fingerprint, self.protocol.fingerprint


class StrategySummary(_Excerpt):
    name: str
    entry: str
    role: Role = "search"


class SpaceSummary(_Excerpt):
    name: str
    version: int
    fingerprint: str
    cap: str
    cap_macs: int


class DataSummary(_Excerpt):
    name: str
    fingerprint: str
    classes: tuple[str, ...]


class ProtocolSummary(_Excerpt):
    name: str
    version: int
    fingerprint: str
    budget: float


class CostSummary(_Excerpt):
    reference_trainings: float
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    architectures_evaluated: int = 0
    overshoot: float = 0.0


class TrainedSummary(_Excerpt):
    seed: int
    test_top1: Measured
    test_top5: Measured
    test_mean_class: Measured


class OutcomeSummary(_Excerpt):
    architecture: str
    macs: int
    parameters: int
    latency_ms: Measured
    trained: tuple[TrainedSummary, ...]


class ProvenanceSummary(_Excerpt):
    created: datetime
    pvnas_bench: str
    commit: str | None
    hardware: dict[str, Any]


class Summary(_Excerpt):
    """What a leaderboard needs of a record. Every attribute has the record's own name and meaning."""

    schema_version: Literal[1]
    id: str
    status: Status
    error: str | None = None
    strategy: StrategySummary
    space: SpaceSummary
    data: DataSummary
    protocol: ProtocolSummary
    seed: int
    device: str
    search: CostSummary
    outcome: OutcomeSummary | None
    provenance: ProvenanceSummary


@dataclass(frozen=True)
class Unreadable:
    """A file of a results folder that is no record, and why."""

    path: Path
    reason: str


_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a schema version to the next: what turns a record's JSON of that version into the next one's."""


class TrajectoryStep(_Excerpt):
    cost: float
    incumbent: str
    metrics: dict[str, Measured] = Field(default_factory=dict)


class Trajectory(_Excerpt):
    """What curves over hundreds of runs need of a record. Every attribute has the record's own name and meaning."""

    id: str
    status: Status
    strategy: StrategySummary
    space: SpaceSummary
    data: DataSummary
    protocol: ProtocolSummary
    seed: int
    trajectory: tuple[TrajectoryStep, ...]
    diagnostics: dict[str, Any] = Field(default_factory=dict)


_Read = TypeVar("_Read", bound=BaseModel)


@overload
def load(path: Path) -> Record: ...
@overload
def load(path: Path, kind: type[_Read]) -> _Read: ...
def load(path: Path, kind: Any = Record) -> Any:
    """Read one record, or the summary of one.

    Raises:
        ValueError: the file is too large, not JSON, not a record, or of an unknown schema version.
        OSError: the file cannot be read.
    """
    return _parsed(read_whole(path, MAX_BYTES), kind)


def _parsed(text: bytes, kind: Any) -> Any:
    """A record from its JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        current = _migrated(text)
        if current is None:
            raise ValueError(_reason(error)) from None
    try:
        return kind.model_validate(current)
    except ValidationError as error:
        raise ValueError(_reason(error)) from None


def _migrated(text: bytes) -> dict[str, Any] | None:
    """The JSON of an older schema version in today's form; None if it is not of an older version."""
    try:
        found = from_json(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    version = found.get("schema_version")
    if type(version) is not int or version == SCHEMA_VERSION:
        return None
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"a record of schema {version}, newer than this program's {SCHEMA_VERSION}: upgrade pvnas-bench"
        )
    while version < SCHEMA_VERSION:
        if version not in _MIGRATIONS:
            raise ValueError(f"a record of schema {version}, which this program cannot read")
        found = dict(_MIGRATIONS[version](found))
        version += 1
    return dict(found)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return f"not JSON, or cut short: {first['ctx']['error']}"
    where = ".".join(str(part) for part in first["loc"]) or "file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"not a record of schema {SCHEMA_VERSION}: {where}: {first['msg']}{more}"


def find(folder: Path) -> Iterator[Path]:
    """The files of records under a folder, in a fixed order."""
    for directory, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name in (FILE_NAME, LINES_NAME) or name.endswith("." + FILE_NAME):
                yield Path(directory, name)


def read(path: Path, kind: type[_Read]) -> "Iterator[_Read | Unreadable]":
    """The records of a file of either sort, one after the other, or why there is none where one should be.

    The last line of a file of many may be one that a process was killed while writing: without its end it is left out.
    """
    try:
        if path.name != LINES_NAME:
            yield load(path, kind)
            return
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield _parsed(line, kind)
                except ValueError as error:
                    yield Unreadable(path, f"line {number}: {error}")
    except (ValueError, OSError) as error:
        yield Unreadable(path, str(error))


@overload
def load_folder(folder: Path) -> tuple[list[Record], list[Unreadable]]: ...
@overload
def load_folder(folder: Path, kind: type[_Read]) -> tuple[list[_Read], list[Unreadable]]: ...
def load_folder(folder: Path, kind: Any = Record) -> tuple[list[Any], list[Unreadable]]:
    """Every record under a folder (or its summary), and every file or line that claims to be one but cannot be read.

    In a file of many the last record of a run is the one that counts.
    """
    records: list[Any] = []
    unreadable: list[Unreadable] = []
    with without_cycle_collection():
        for path in find(folder):
            of_file: dict[str, Any] = {}
            for found in read(path, kind):
                if isinstance(found, Unreadable):
                    unreadable.append(found)
                else:
                    of_file[found.id] = found
            records += of_file.values()
    return records, unreadable


def require_records(folder: Path, kind: type[_Read]) -> tuple[list[_Read], list[Unreadable]]:
    """`load_folder` for a command that cannot go on without records.

    Raises:
        UsageError: there is no such folder, or no readable record in it.
    """
    if not folder.is_dir():
        raise UsageError(f"no results folder {folder}: run a search first, or name the folder with --results")
    records, unreadable = load_folder(folder, kind)
    if not records:
        left_out = ""
        if unreadable:
            left_out = f" ({len(unreadable)} unreadable, the first {unreadable[0].path}: {unreadable[0].reason})"
        raise UsageError(f"no records in {folder}{left_out}: run a search first, or name another folder")
    return records, unreadable


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Pause the cycle collector: records hold no cycles, and it would walk all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def save(record: Record, path: Path) -> None:
    """Write a record so that a reader sees either nothing or all of it. What is not finite becomes `null`."""
    write_atomically(path, (_lines(json.loads(record.model_dump_json())) + "\n").encode())


def _lines(value: Any, indent: str = "") -> str:
    """JSON with a line for each thing that a person compares: a field, a step, a layer, a row of a matrix."""
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(value, dict | list) or not any(isinstance(item, dict | list) for item in items):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_lines(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    single = any(isinstance(item, dict) and _holds_lists_of_lists(item) for item in value)
    lines = [inner + (_lines(item, inner) if single else json.dumps(item, ensure_ascii=False)) for item in value]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]"


def _holds_lists_of_lists(item: dict[str, Any]) -> bool:
    """Whether a list's element is too large for one line: a retraining with its confusion matrix and curve."""
    return any(
        isinstance(field, list) and any(isinstance(one, dict | list) for one in field) for field in item.values()
    )
