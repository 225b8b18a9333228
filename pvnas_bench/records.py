"""Records: one run's result with its provenance, as one JSON file.

A record is data: reading one never executes anything. `Record` is the schema; `load` reads one file,
`load_folder` reads a results folder and says which files it left out and why; `save` writes atomically.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION = 1
FILE_NAME = "record.json"
MAX_BYTES = 64 * 2**20
"""A larger file is not a record: it is left out unread."""

Status = Literal["ok", "interrupted", "failed", "timeout"]
Role = Literal["search", "random_control", "expert_control"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    metrics: dict[str, float] = Field(default_factory=dict)
    """What the strategy logged, `val_top1` (fraction on search-val) among it where it measured that."""


class Cost(_Model):
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
    test_top1: float
    test_top5: float
    test_mean_class: float
    test_loss: float
    confusion: tuple[tuple[int, ...], ...]
    """Rows: true class, columns: predicted class, counts of test clips."""
    curve: tuple[dict[str, float], ...]
    """Per epoch: epoch, train_loss, and val_top1 where the data set has a val split."""


class Outcome(_Model):
    architecture: str
    macs: int
    parameters: int
    latency_ms: float
    """Median wall milliseconds of one clip's forward pass, batch of one, after warm-up, on the run's device."""
    front: tuple[str, ...] = ()
    network: tuple[dict[str, Any], ...] = ()
    """The network as a table of layers for drawing: name, operator, shapes, macs, parameters."""
    trained: tuple[Trained, ...]
    cost: Cost


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
    search: Cost
    trajectory: tuple[Step, ...]
    diagnostics: dict[str, Any] = Field(default_factory=dict)
    """What the strategy chose to report about its search, JSON values."""
    outcome: Outcome | None
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


def load(path: Path) -> Record:
    """Read one record.

    Raises:
        ValueError: the file is too large, not JSON, not a record, or of an unknown schema version.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB, so not a record")
    text = path.read_bytes()
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"not a record of schema {SCHEMA_VERSION}: {where or 'file'}: {first['msg']}") from None


def find(folder: Path) -> Iterator[Path]:
    """The record files under a folder, in a fixed order."""
    for directory, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name == FILE_NAME or name.endswith("." + FILE_NAME):
                yield Path(directory, name)


def load_folder(folder: Path) -> tuple[list[Record], list[Unreadable]]:
    """Every record under a folder, and every file that claims to be one but cannot be read."""
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    for path in find(folder):
        try:
            records.append(load(path))
        except (ValueError, OSError) as error:
            unreadable.append(Unreadable(path, str(error)))
    return records, unreadable


def save(record: Record, path: Path) -> None:
    """Write a record so that a reader sees either nothing or all of it."""
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content; after a crash at any instant the file holds its old or its new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
