"""What a table holds: one training for each architecture and seed, and how they were made."""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator

from pvnas_bench.records import DataEntry, ProtocolEntry

SCHEMA_VERSION: Final = 2
SEARCH_ONLY = {"name", "version", "description", "budget", "proxy_epochs", "retrainings"}
"""Settings of a protocol that no single training depends on."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpaceIdentity(_Model):
    """Which space a table enumerates."""

    name: str
    version: int
    fingerprint: str
    architectures: int
    """Of the whole space, in the table or not."""


class About(_Model):
    """What all trainings of a table have in common; two tables of one recipe are equal here."""

    schema_version: Literal[2] = SCHEMA_VERSION
    space: SpaceIdentity
    data: DataEntry
    clips: dict[str, int]
    """Clips that a training trains on (train) and is validated on (val), both of the data set's train split, and those
    that it is tested on (test), of its val and test splits, neither of which a search sees."""
    protocol: ProtocolEntry

    @field_validator("space", "data")
    @classmethod
    def _named(cls, value: SpaceIdentity | DataEntry) -> SpaceIdentity | DataEntry:
        """Files are named after both."""
        if not value.name.isprintable() or set(value.name) & set("/\\:") or value.name in ("", ".", ".."):
            raise ValueError(f"{value.name!r} is no name")
        return value

    @property
    def stem(self) -> str:
        """The name of its files, without a suffix."""
        return f"{self.space.name}-{self.data.name}"

    @property
    def recipe(self) -> tuple[Any, ...]:
        """What decides the results of a training: equal for tables that may be put together."""
        settings = {key: value for key, value in self.protocol.settings.items() if key not in SEARCH_ONLY}
        return self.space.fingerprint, self.data.fingerprint, self.clips, settings

    @property
    def epochs(self) -> int:
        """Of every training."""
        return int(self.protocol.settings["epochs"])


class Session(_Model):
    """Which versions on which machine made some of the trainings."""

    created: datetime
    pvnas_bench: str
    commit: str | None
    python: str
    libraries: dict[str, str]
    hardware: dict[str, Any]


class KnownTraining(NamedTuple):
    """One architecture trained from scratch on search-train, once, and tested.

    Accuracies are fractions, losses mean cross-entropies; all of them have the precision of float32. A training that
    diverged has accuracies of 0 and infinite losses.
    """

    architecture: str
    seed: int
    session: int
    """Position in the list of sessions of the file that it is in."""
    macs: int
    """Of one clip's forward pass."""
    parameters: int
    training_macs: int
    """What the ledger is charged for the full training and one validation."""
    seconds: float
    """CPU seconds, on one thread, of the same."""
    latency_ms: float
    """Median of one clip's forward pass on one thread of that machine, busy with other trainings."""
    train_loss: tuple[float, ...]
    """Mean over each epoch, with label smoothing."""
    val_top1: tuple[float, ...]
    """On search-val after each epoch."""
    val_loss: tuple[float, ...]
    test_top1: float
    """Of the network after the last epoch, on the clips of the val and test splits."""
    test_top5: float
    test_mean_class: float
    test_loss: float
    test_top1_reversed: float | None = None
    """Of the same network on the same clips with the frames of each view reversed; None: not measured."""
    test_top1_shuffled: float | None = None
    """With the frames of each view shuffled; None: not measured."""

    @property
    def key(self) -> tuple[str, int]:
        """A table holds one training of each."""
        return self.architecture, self.seed
