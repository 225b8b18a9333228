"""Records: the result of one run with its provenance, as a JSON file or as one line of a JSON Lines file.

A record is data: reading one never executes code. `Record` is the schema; `load` reads one file, `load_folder` reads a
results folder and reports the files it left out with the reasons; `save` writes one atomically, `pack` many to a
compressed file. Every reader validates the whole record, so all commands accept the same files. Commands that need less
then keep less of it (`Detail`).

Every measured number has a range, the widest that a real run can reach. A record with a number out of range is left
out, and the reason names the field.

A measurement that is not finite (a diverged loss, the score of a broken network) is `nan` in memory and `null` in the
file, so every record is standard JSON. A run with such a test score counts as failed.
"""

import functools
import gc
import gzip
import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

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
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import from_json

from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole, write_atomically

SCHEMA_VERSION: Final = 1
FILE_NAME = "record.json"
LINES_NAME = "records.jsonl"
"""Name of a file with one record per line, for the thousands of short runs on a table."""
PACKED_NAME = f"{LINES_NAME}.gz"
"""Name of the same file compressed, for publishing (`pack`)."""
MAX_BYTES = 64 * 2**20
"""Largest size of a record, as a file or as a line; a larger one is left out."""

MOST_FLOAT32 = 3.4e38
"""Largest value that a network in float32 can produce."""

NULL = " (null)"
"""End of the entry of a null search."""
NULL_PROTOCOL = ":null"
"""End of the protocol's fingerprint of a null search, which keeps it off the boards of real ones in every reader."""

SURROGATE = "surrogate"
"""Beginning of the third part of the protocol's fingerprint of a search on a surrogate, and the name in `diagnostics`
of how well that predicts."""
HEADROOM, FRAME_ORDER, RELIABILITY = "headroom", "frame_order", "reliability"
"""Names in `diagnostics` of what boards state of a run on a table (`table.headroom`, `table.frame_order`,
`boards.reliability`)."""
TABLE_FACTS = (SURROGATE, HEADROOM, RELIABILITY, FRAME_ORDER)
"""All of these names."""

RETRAINED = "retrained-"
"""Beginning of the last part of the protocol's fingerprint of records judged by retrainings (`boards.retrained`)."""

Detail = Literal["full", "curves", "scores"]
"""Parts of a record to keep in memory: everything; with `curves`, of a file of many records, no step at which nothing
changed (`thin`); with `scores` no trajectory, confusion matrix or layer table (`slim`)."""

Status = Literal["ok", "interrupted", "failed", "timeout"]
Role = Literal["search", "random_control", "expert_control"]


def _measured(low: float, high: float) -> Any:
    """Field of a float in a range; `null` and non-finite values become `nan`, a missing measurement."""

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
"""A measured accuracy in [0, 1], or `nan`."""
Loss = Annotated[float, *_measured(0, MOST_FLOAT32)]
"""A measured loss, or `nan`."""
Milliseconds = Annotated[float, *_measured(0, 1e12)]
Logged = Annotated[
    Annotated[float, Field(ge=-MOST_FLOAT32, le=MOST_FLOAT32)]
    | Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_logged)],
    Field(union_mode="left_to_right"),
]
"""Any number logged by a strategy; `nan` if it diverged (not finite, or beyond float32).

The first branch accepts nearly all of them without a call into Python; a long trajectory has thousands.
"""
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Trainings = Annotated[float, Field(ge=0, le=1e9)]
"""A cost in reference trainings."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Operations = Annotated[int, Field(ge=0, le=10**30)]
"""MACs of a phase (search or final training)."""
Seed = Annotated[int, Field(ge=0, lt=2**64)]


def _epoch(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if value < 0 or (name.endswith("top1") and value > 1):
            raise ValueError(f"{name} = {value:g} is out of range")
    return values


Epoch = Annotated[dict[str, Loss], AfterValidator(_epoch)]
"""Measurements of one training epoch by name, such as train_loss."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Model):
    """Source code of a strategy: its file and the modules of the same folder that it imports."""

    builtin: bool
    """True for a strategy of the package, False for a plug-in."""
    sha256: str


class StrategyEntry(_Model):
    """The strategy of a run and its hyper-parameters."""

    name: str
    entry: str
    """Leaderboard row: the name and the hyper-parameters that differ from their defaults; of a null search, `NULL`."""
    title: str
    levels: tuple[str, ...]
    role: Role = "search"
    """A search method, or a control: randomly sampled architectures, hand-designed networks."""
    config: dict[str, Any]
    source: Source | None = None
    """None in records older than this field."""


class SpaceEntry(_Model):
    """The search space of a run and its cap."""

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
    """The data set of a run."""

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    clips: dict[str, Count]
    """Clips per split."""
    skipped: tuple[dict[str, str], ...] = ()
    """Unreadable clips: `path` and `reason` of each."""


class ProtocolEntry(_Model):
    """The protocol of a run."""

    name: str
    version: int
    fingerprint: str
    budget: Trainings
    """Search budget in reference trainings."""
    settings: dict[str, Any]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Step:
    """State after one step of the strategy: a point of the anytime curve (a step function)."""

    step: Count
    cost: Trainings
    """Budget spent so far, in reference trainings."""
    wall: Seconds
    """Seconds of search so far."""
    incumbent: str
    macs: Count
    metrics: dict[str, Logged] = field(default_factory=dict)
    """Metrics logged by the strategy; `val_top1` is the incumbent's accuracy on search-val, a fraction."""


def _with_accuracies(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    for number, step in enumerate(steps):
        accuracy = step.metrics.get("val_top1", 0.0)
        if accuracy < 0 or accuracy > 1:  # both are False for nan
            raise ValueError(f"val_top1 = {accuracy:g} of step {number} is not a fraction from 0 to 1")
    return steps


Trajectory = Annotated[tuple[Step, ...], AfterValidator(_with_accuracies)]
"""One check for all steps: a call into Python for each would take a tenth of reading a record."""


class PhaseCost(_Model):
    """Resource use of a phase (search or final training)."""

    reference_trainings: Trainings
    macs: Operations
    wall_seconds: Seconds
    cpu_seconds: Seconds
    seconds: dict[str, Seconds]
    """Wall seconds by activity: data, forward, backward, optimiser, harness."""
    peak_memory_bytes: Count
    samples: Count
    """Clips passed forward."""
    architectures_evaluated: Count = 0
    overshoot: Trainings = 0.0
    """Budget spent beyond the limit, in reference trainings."""
    energy_joules: Seconds | None = None
    """Energy of the machine's processors, memory and GPUs, whatever else ran there; None: the machine does not say."""


class Trained(_Model):
    """One retraining of the final architecture, and its single test."""

    seed: Seed
    test_top1: Fraction
    test_top5: Fraction
    test_mean_class: Fraction
    test_loss: Loss
    confusion: tuple[tuple[Count, ...], ...]
    """Numbers of test clips: rows are true classes, columns are predicted classes."""
    curve: tuple[Epoch, ...]
    """Per epoch: epoch, train_loss, and val_top1 where the data set has a val split."""


class Outcome(_Model):
    """The final architecture of a run, its cost and its retrainings."""

    architecture: str
    macs: Count
    parameters: Count
    latency_ms: Milliseconds
    """Median wall milliseconds of one clip's forward pass (batch of one, after warm-up, on the run's device)."""
    predicted_latency_ms: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Milliseconds of the same pass predicted from the machine's latency table; None: latency is not capped."""
    front: tuple[str, ...] = ()
    """Non-dominated architectures of a multi-objective strategy."""
    network: tuple[dict[str, Any], ...] = ()
    """Layers of the network, for drawing: name, operator, shape_in and shape_out ([frames, height, width, channels]),
    macs, parameters."""
    trained: tuple[Trained, ...]
    cost: PhaseCost


class Speed(_Model):
    """Speed of the code: seconds of several workloads and of a reference workload on the same machine.

    All workloads are timed in the run's process, in alternating repetitions; each value is the minimum. A busy or
    slower machine therefore slows both sides of the ratio.
    """

    reference_seconds: float = Field(gt=0, le=1e12)
    """Seconds of one pass of the reference workload."""
    seconds: dict[str, Seconds]
    """Seconds of one pass of each workload that `check` guards (an operator, a supernet step), by name."""


class Provenance(_Model):
    """Code, command, machine and settings of a run."""

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
    """The result of one run, with its provenance."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    null: bool = False
    """True for a null search, in which the labels of search-val were permuted (`Problem.null`); never on a board with
    real ones."""
    status: Status
    error: str | None = None
    strategy: StrategyEntry
    space: SpaceEntry
    data: DataEntry
    protocol: ProtocolEntry
    seed: Seed
    device: str
    search: PhaseCost
    trajectory: Trajectory
    diagnostics: dict[str, Any] = Field(default_factory=dict)
    """Facts about the search as JSON values: those of the strategy (`Strategy.diagnostics`) and of the harness. On a
    space with a frozen backbone: its cost (`backbone`), its share of the `parameters`, and the accuracy of the final
    network by `clip_length` and under `frame_shuffle`. On a table: if the strategy scores architectures, the rank
    correlation of its scores with the truth (`rank_pairs`, `rank_tau`); the headroom of the task (`headroom`); how well
    one training tells networks apart (`reliability`); what the found network owes to the order of frames
    (`frame_order`). On a surrogate, its quality (`surrogate`)."""
    outcome: Outcome | None
    speed: Speed | None = None
    provenance: Provenance

    @property
    def board(self) -> tuple[str, str, str]:
        """Fingerprints of space, data set and protocol; only records with equal ones are comparable."""
        return self.space.fingerprint, self.data.fingerprint, self.protocol.fingerprint

    @property
    def surrogate(self) -> bool:
        """True if the accuracies are those of a surrogate; its fingerprint is part of the protocol's."""
        return any(part.startswith(SURROGATE) for part in self.protocol.fingerprint.split(":")[2:])

    @property
    def tabular(self) -> bool:
        """True if trainings were looked up in a table or a surrogate; its fingerprint is part of the protocol's."""
        more = self.protocol.fingerprint.split(":")[2:]
        return any(part != NULL_PROTOCOL[1:] and not part.startswith(RETRAINED) for part in more)

    @model_validator(mode="after")
    def _marked(self) -> Self:
        """Refuse a record that is a null search by one field and a real one by another."""
        by_board, by_entry = self.protocol.fingerprint.endswith(NULL_PROTOCOL), self.strategy.entry.endswith(NULL)
        if not self.null == by_board == by_entry:
            raise ValueError("null, the entry and the protocol's fingerprint disagree about a null search")
        return self


def identifier(space: str, data: str, protocol: str, entry: str, run: int | str, source: Source | None) -> str:
    """Identifier of a request, equal for equal requests.

    Args:
        space, data, protocol: the three fingerprints.
        run: the seed, or a word for several.
        source: a plug-in's source is part of its identity; the name of a strategy of the package identifies it.
    """
    parts: list[str | int] = [space, data, protocol, entry, run]
    if source is not None and not source.builtin:
        parts.append(source.sha256)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Unreadable:
    """A file in a results folder that is not a valid record, with the reason."""

    path: Path
    reason: str


_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Functions by schema version: each converts a record's JSON from that version to the next."""


def load(path: Path) -> Record:
    """Read one record.

    Raises:
        ValueError: the file is too large, not JSON, not a record, or of an unknown schema version.
        OSError: the file cannot be read.
    """
    return _parsed(read_whole(path, MAX_BYTES))


def slim(record: Record) -> Record:
    """The record without the fields that only plots of single runs need; these are empty.

    Of the diagnostics it keeps what boards state: facts of a table or of a surrogate.
    """
    outcome = record.outcome
    diagnostics = {key: value for key, value in record.diagnostics.items() if key in TABLE_FACTS}
    if outcome is not None:
        trained = tuple(one.model_copy(update={"confusion": (), "curve": ()}) for one in outcome.trained)
        outcome = outcome.model_copy(update={"network": (), "trained": trained})
    return record.model_copy(update={"trajectory": (), "diagnostics": diagnostics, "outcome": outcome})


def thin(record: Record) -> Record:
    """The record without steps at which neither incumbent nor metrics changed, but for the last.

    As step functions of cost, time or step its curves stay the same.
    """
    steps = record.trajectory
    kept = [
        now for before, now in pairwise(steps) if now.incumbent != before.incumbent or now.metrics != before.metrics
    ]
    if len(steps) > 1 and (not kept or kept[-1] is not steps[-1]):
        kept.append(steps[-1])
    return record.model_copy(update={"trajectory": (*steps[:1], *kept)})


class _Shared:
    """Replaces equal parts of records by one object: runs of a grid differ in little."""

    PARTS = ("strategy", "space", "data", "protocol", "provenance")

    def __init__(self) -> None:
        self._last: Record | None = None
        self._networks: dict[str, tuple[dict[str, Any], ...]] = {}

    def __call__(self, record: Record) -> Record:
        update: dict[str, Any] = {}
        if self._last is not None:
            update = {
                part: getattr(self._last, part)
                for part in self.PARTS
                if getattr(self._last, part) == getattr(record, part)
            }
        outcome = record.outcome
        if outcome is not None:
            network = self._networks.setdefault(outcome.architecture, outcome.network)
            if network == outcome.network:
                update["outcome"] = outcome.model_copy(update={"network": network})
        self._last = record.model_copy(update=update)
        return self._last


def _parsed(text: bytes) -> Record:
    """Parse a record's JSON.

    Raises:
        ValueError: the text is not a record.
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
    """Convert a record's JSON of an older schema version to the current one; None if it is not of an older version."""
    try:
        content = from_json(text)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    version = content.get("schema_version")
    if type(version) is not int or version == SCHEMA_VERSION:
        return None
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"a record of schema {version}, newer than the supported {SCHEMA_VERSION}: upgrade pvnas-bench"
        )
    while version < SCHEMA_VERSION:
        if version not in _MIGRATIONS:
            raise ValueError(f"a record of schema {version}, which this version of pvnas-bench cannot read")
        content = dict(_MIGRATIONS[version](content))
        version += 1
    return dict(content)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not JSON, or truncated: {first['ctx']['error']}"
    where = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"].startswith(("greater", "less")):
        where += f" = {str(first['input'])[:20]}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"not a record of schema {SCHEMA_VERSION}: {where}: {first['msg']}{more}"


def find(folder: Path) -> Iterator[Path]:
    """Yield the files of records under a folder, in sorted order."""
    for directory, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name in (FILE_NAME, LINES_NAME, PACKED_NAME) or name.endswith("." + FILE_NAME):
                yield Path(directory, name)


def holds_many(path: Path) -> bool:
    """True for the file of many records, compressed or not."""
    return path.name in (LINES_NAME, PACKED_NAME)


def read(path: Path) -> "Iterator[Record | Unreadable]":
    """Yield the records of a file, one or many; an `Unreadable` with the reason in place of each invalid one.

    A last line without its line end, left by a process killed while writing, is ignored.
    """
    try:
        if not holds_many(path):
            yield load(path)
            return
        with open(path, "rb") if path.name == LINES_NAME else gzip.open(path, "rb") as file:
            lines = iter(functools.partial(file.readline, MAX_BYTES + 1), b"")
            for number, line in enumerate(lines, 1):
                if len(line) > MAX_BYTES:
                    raise ValueError(f"line {number}: larger than {MAX_BYTES / 2**20:g} MiB")
                if not line.endswith(b"\n"):
                    return
                try:
                    yield _parsed(line)
                except ValueError as error:
                    yield Unreadable(path, f"line {number}: {error}")
    except (ValueError, OSError, EOFError, zlib.error) as error:
        yield Unreadable(path, str(error))


def load_folder(folder: Path, *, detail: Detail = "full") -> tuple[list[Record], list[Unreadable]]:
    """Read every record under a folder.

    In a file of many records, the last record of each run counts.

    Returns:
        The records, and the files and lines that are not valid records.
    """
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    with without_cycle_collection():
        for path in find(folder):
            many, shared = holds_many(path), _Shared()
            by_id: dict[str, Record] = {}
            for record in read(path):
                if isinstance(record, Unreadable):
                    unreadable.append(record)
                else:
                    kept = _reduced(record, detail, many)
                    by_id[record.id] = shared(kept) if many else kept
            records += by_id.values()
    return records, unreadable


def _reduced(record: Record, detail: Detail, many: bool) -> Record:
    if detail == "scores":
        return slim(record)
    return thin(record) if detail == "curves" and many else record


def require_records(folder: Path, *, detail: Detail = "full") -> tuple[list[Record], list[Unreadable]]:
    """Read every record under a folder, at least one; see `load_folder`.

    Raises:
        UsageError: the folder does not exist, or holds no valid record.
    """
    if not folder.is_dir():
        raise UsageError(f"no results folder {folder}: run a search first, or name the folder with --results")
    records, unreadable = load_folder(folder, detail=detail)
    if not records:
        left_out = ""
        if unreadable:
            left_out = f" ({len(unreadable)} unreadable, the first {unreadable[0].path}: {unreadable[0].reason})"
        raise UsageError(f"no records in {folder}{left_out}: run a search first, or name another folder")
    return records, unreadable


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector: records hold no cycles, and it would traverse all of them repeatedly."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def save(record: Record, path: Path) -> None:
    """Write a record atomically; non-finite values become `null`."""
    write_atomically(path, (_lines(json.loads(record.model_dump_json())) + "\n").encode())


def pack(made: Iterable[Record], path: Path) -> None:
    """Write records to one compressed file, in the order of their seeds; equal records give equal bytes.

    Steps at which nothing changed are left out (`thin`).

    Args:
        path: its name is `PACKED_NAME`.
    """
    ordered = sorted(made, key=lambda record: (record.seed, record.id))
    lines = b"".join(thin(record).model_dump_json().encode() + b"\n" for record in ordered)
    write_atomically(path, gzip.compress(lines, mtime=0))


def _lines(value: Any, indent: str = "") -> str:
    """Format JSON for line-by-line comparison: one line per field, step, layer or row of a matrix."""
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
    """Return True if a list's element needs several lines, as a retraining with confusion matrix and curve does."""
    return any(
        isinstance(field, list) and any(isinstance(one, dict | list) for one in field) for field in item.values()
    )
