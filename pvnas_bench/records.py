"""Records: one run's result with its provenance, as one JSON file, or as a line of a file of many.

A record is data: reading one never executes anything. `Record` is the schema; `load` reads one file,
`load_folder` reads a results folder and says which files it left out and why; `save` writes atomically.
Every reader validates the whole record, so that a file is a record for all commands or for none; `slim` records drop
their trajectories, confusion matrices and layer tables afterwards, which takes a tenth of the memory.

Every measured number has a range, the widest that a real run can reach: a record beyond it is left out, by name and
field.

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
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import from_json

from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole, write_atomically

SCHEMA_VERSION: Final = 1
FILE_NAME = "record.json"
LINES_NAME = "records.jsonl"
"""Of a file with a record on each line: runs on a table take milliseconds, and there are thousands of them."""
MAX_BYTES = 64 * 2**20
"""A larger file is not a record: it is left out unread."""

MOST_FLOAT32 = 3.4e38
"""What is larger, a network in float32 cannot have measured."""

Status = Literal["ok", "interrupted", "failed", "timeout"]
Role = Literal["search", "random_control", "expert_control"]


def _measured(low: float, high: float) -> Any:
    """A float in a range; what is not finite, or `null` in the file, is `nan`: no measurement."""

    def validate(value: object, ranged: ValidatorFunctionWrapHandler) -> Any:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return math.nan
        return ranged(value)

    return Field(ge=low, le=high), WrapValidator(validate)


def _logged(value: object) -> object:
    if value is None or (isinstance(value, float) and not abs(value) <= MOST_FLOAT32):
        return math.nan
    return value


Fraction = Annotated[float, *_measured(0, 1)]
"""An accuracy that was measured, or `nan`."""
Loss = Annotated[float, *_measured(0, MOST_FLOAT32)]
"""A loss that was measured, or `nan`."""
Milliseconds = Annotated[float, *_measured(0, 1e12)]
Logged = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_logged)]
"""A number of any meaning that a strategy logged. `nan` stands for what diverged: not finite, or beyond float32."""
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Trainings = Annotated[float, Field(ge=0, le=1e9)]
"""A cost in reference trainings."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Operations = Annotated[int, Field(ge=0, le=10**30)]
"""MACs of a whole phase."""
Seed = Annotated[int, Field(ge=0, lt=2**64)]


def _epoch(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if value < 0 or (name.endswith("top1") and value > 1):
            raise ValueError(f"{name} = {value:g} is out of range")
    return values


Epoch = Annotated[dict[str, Loss], AfterValidator(_epoch)]
"""What was measured in an epoch of a training."""


def _step(values: dict[str, float]) -> dict[str, float]:
    accuracy = values.get("val_top1", 0.0)
    if accuracy < 0 or accuracy > 1:  # neither is true of nan
        raise ValueError(f"val_top1 = {accuracy:g} is no fraction from 0 to 1")
    return values


Metrics = Annotated[dict[str, Logged], AfterValidator(_step)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Model):
    """The source of a strategy: its file, and the modules of its folder that this imports."""

    builtin: bool
    """Whether it is one of the package's, and no plug-in."""
    sha256: str


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
    source: Source | None = None
    """Records before there was this field have none."""


class SpaceEntry(_Model):
    name: str
    version: int
    fingerprint: str
    cap: str
    """The caps as `--cap` takes them."""
    cap_macs: Count
    """The cap on MACs; without one, about the most MACs of a network under the other caps."""
    caps: dict[str, Annotated[float, Field(gt=0, le=1e18)]] = Field(default_factory=dict)
    """Every cap, where not only MACs are capped: `macs`, `params`, `latency` (milliseconds)."""
    reference_macs: Count


class DataEntry(_Model):
    name: str
    fingerprint: str
    classes: tuple[str, ...]
    clips: dict[str, Count]
    """Clips per split."""
    skipped: tuple[dict[str, str], ...] = ()
    """Unreadable clips: `path` and `reason` of each."""


class ProtocolEntry(_Model):
    name: str
    version: int
    fingerprint: str
    budget: Trainings
    """Search budget in reference trainings."""
    settings: dict[str, Any]


class Step(_Model):
    """The state after one step of the strategy: a point of the anytime curve (a step function)."""

    step: Count
    cost: Trainings
    """Budget spent so far, in reference trainings."""
    wall: Seconds
    """Seconds of search so far."""
    incumbent: str
    macs: Count
    metrics: Metrics = Field(default_factory=dict)
    """What the strategy logged, `val_top1` (fraction on search-val) among it where it measured that."""


class PhaseCost(_Model):
    """What a phase (search or final training) consumed."""

    reference_trainings: Trainings
    macs: Operations
    wall_seconds: Seconds
    cpu_seconds: Seconds
    seconds: dict[str, Seconds]
    """Wall seconds by activity: data, forward, backward, optimiser, harness."""
    peak_memory_bytes: Count
    samples: Count
    """Clips that went through a forward pass."""
    architectures_evaluated: Count = 0
    overshoot: Trainings = 0.0
    """Budget spent beyond the limit, in reference trainings."""
    energy_joules: Seconds | None = None
    """Energy of the machine's processors, memory and GPUs, whatever else ran there; None: the machine does not say."""


class Trained(_Model):
    """One retraining of the architecture found, and its one test."""

    seed: Seed
    test_top1: Fraction
    test_top5: Fraction
    test_mean_class: Fraction
    test_loss: Loss
    confusion: tuple[tuple[Count, ...], ...]
    """Rows: true class, columns: predicted class, counts of test clips."""
    curve: tuple[Epoch, ...]
    """Per epoch: epoch, train_loss, and val_top1 where the data set has a val split."""


class Outcome(_Model):
    architecture: str
    macs: Count
    parameters: Count
    latency_ms: Milliseconds
    """Median wall milliseconds of one clip's forward pass, batch of one, after warm-up, on the run's device."""
    predicted_latency_ms: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Milliseconds of the same pass as predicted from the machine's latency table, which a cap on latency is of."""
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

    reference_seconds: float = Field(gt=0, le=1e12)
    """One pass of the reference workload."""
    seconds: dict[str, Seconds]
    """One pass of each piece of work that `check` guards (an operator, a supernet step), by its name."""


class Provenance(_Model):
    created: AwareDatetime
    command: tuple[str, ...]
    pvnas_bench: str
    commit: str | None
    python: str
    libraries: dict[str, str]
    hardware: dict[str, Any]
    threads: Count
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
    seed: Seed
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


@dataclass(frozen=True)
class Unreadable:
    """A file of a results folder that is no record, and why."""

    path: Path
    reason: str


_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a schema version to the next: what turns a record's JSON of that version into the next one's."""


def load(path: Path) -> Record:
    """Read one record.

    Raises:
        ValueError: the file is too large, not JSON, not a record, or of an unknown schema version.
        OSError: the file cannot be read.
    """
    return _parsed(read_whole(path, MAX_BYTES))


def slim(record: Record) -> Record:
    """The record without what only drawings of single runs need: these fields are empty."""
    outcome = record.outcome
    if outcome is not None:
        trained = tuple(one.model_copy(update={"confusion": (), "curve": ()}) for one in outcome.trained)
        outcome = outcome.model_copy(update={"network": (), "trained": trained})
    return record.model_copy(update={"trajectory": (), "diagnostics": {}, "outcome": outcome})


def _parsed(text: bytes) -> Record:
    """A record from its JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        current = _migrated(text)
        if current is None:
            raise ValueError(_reason(error)) from None
    try:
        return Record.model_validate(current)
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
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not JSON, or cut short: {first['ctx']['error']}"
    where = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"].startswith(("greater", "less")):
        where += f" = {str(first['input'])[:20]}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"not a record of schema {SCHEMA_VERSION}: {where}: {first['msg']}{more}"


def find(folder: Path) -> Iterator[Path]:
    """The files of records under a folder, in a fixed order."""
    for directory, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name in (FILE_NAME, LINES_NAME) or name.endswith("." + FILE_NAME):
                yield Path(directory, name)


def read(path: Path) -> "Iterator[Record | Unreadable]":
    """The records of a file of either sort, one after the other, or why there is none where one should be.

    The last line of a file of many may be one that a process was killed while writing: without its end it is left out.
    """
    try:
        if path.name != LINES_NAME:
            yield load(path)
            return
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield _parsed(line)
                except ValueError as error:
                    yield Unreadable(path, f"line {number}: {error}")
    except (ValueError, OSError) as error:
        yield Unreadable(path, str(error))


def load_folder(folder: Path, *, slimmed: bool = False) -> tuple[list[Record], list[Unreadable]]:
    """Every record under a folder, and every file or line that claims to be one but cannot be read.

    In a file of many the last record of a run is the one that counts.

    Args:
        slimmed: keep of each record what `slim` keeps.
    """
    found: list[Record] = []
    unreadable: list[Unreadable] = []
    with without_cycle_collection():
        for path in find(folder):
            of_file: dict[str, Record] = {}
            for record in read(path):
                if isinstance(record, Unreadable):
                    unreadable.append(record)
                else:
                    of_file[record.id] = slim(record) if slimmed else record
            found += of_file.values()
    return found, unreadable


def require_records(folder: Path, *, slimmed: bool = False) -> tuple[list[Record], list[Unreadable]]:
    """`load_folder` for a command that cannot go on without records.

    Raises:
        UsageError: there is no such folder, or no readable record in it.
    """
    if not folder.is_dir():
        raise UsageError(f"no results folder {folder}: run a search first, or name the folder with --results")
    found, unreadable = load_folder(folder, slimmed=slimmed)
    if not found:
        left_out = ""
        if unreadable:
            left_out = f" ({len(unreadable)} unreadable, the first {unreadable[0].path}: {unreadable[0].reason})"
        raise UsageError(f"no records in {folder}{left_out}: run a search first, or name another folder")
    return found, unreadable


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
