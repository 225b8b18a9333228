"""Content of a table: one training for each architecture and seed, and their provenance."""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator

from pvnas_bench.records import DataEntry, ProtocolEntry

SCHEMA_VERSION: Final = 2
SEARCH_ONLY = {"name", "version", "description", "budget", "proxy_epochs", "retrainings"}
"""Settings of a protocol that do not affect single trainings."""


def recipe_of(protocol: ProtocolEntry) -> dict[str, Any]:
    """Settings of a protocol that determine the result of a training."""
    return {key: value for key, value in protocol.settings.items() if key not in SEARCH_ONLY}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpaceIdentity(_Model):
    """Identity of a table's space."""

    name: str
    version: int
    fingerprint: str
    architectures: int
    """Number of architectures of the whole space, in the table or not."""


class About(_Model):
    """Description shared by all trainings of a table; equal for tables of one recipe."""

    schema_version: Literal[2] = SCHEMA_VERSION
    space: SpaceIdentity
    data: DataEntry
    clips: dict[str, int]
    """Numbers of clips. train and val: for training and validation, from the data set's train split; test: for the
    test, from its val and test splits, which searches do not see."""
    protocol: ProtocolEntry

    @field_validator("space", "data")
    @classmethod
    def _named(cls, value: SpaceIdentity | DataEntry) -> SpaceIdentity | DataEntry:
        """Check that the name can be part of a file name."""
        if not value.name.isprintable() or set(value.name) & set("/\\:") or value.name in ("", ".", ".."):
            raise ValueError(f"{value.name!r} is not a valid name")
        return value

    @property
    def stem(self) -> str:
        """Name of the table's files, without a suffix."""
        return f"{self.space.name}-{self.data.name}"

    @property
    def recipe(self) -> tuple[Any, ...]:
        """Determinants of a training's results: equal for tables that can be merged."""
        return self.space.fingerprint, self.data.fingerprint, self.clips, recipe_of(self.protocol)

    @property
    def epochs(self) -> int:
        """Epochs of every training."""
        return int(self.protocol.settings["epochs"])


class Session(_Model):
    """Versions and machine of one build, which did some of the trainings."""

    created: datetime
    pvnas_bench: str
    commit: str | None
    python: str
    libraries: dict[str, str]
    hardware: dict[str, Any]


class KnownTraining(NamedTuple):
    """One training of an architecture from scratch on search-train, and its test.

    Accuracies are fractions and losses are mean cross-entropies, all in float32 precision. A diverged training has
    accuracies of 0 and infinite losses.
    """

    architecture: str
    seed: int
    session: int
    """Index in the file's list of sessions."""
    macs: int
    """MACs of one clip's forward pass."""
    parameters: int
    training_macs: int
    """MACs charged for the full training and one validation."""
    seconds: float
    """CPU seconds, on one thread, of the full training and one validation."""
    latency_ms: float
    """Median latency of one clip's forward pass on one thread, with other trainings running."""
    train_loss: tuple[float, ...]
    """Mean loss of each epoch, with label smoothing."""
    val_top1: tuple[float, ...]
    """Top-1 on search-val after each epoch."""
    val_loss: tuple[float, ...]
    test_top1: float
    """Top-1 after the last epoch, on the clips of the val and test splits."""
    test_top5: float
    test_mean_class: float
    test_loss: float
    test_top1_reversed: float | None = None
    """Test top-1 with the frames of each view reversed; None: not measured."""
    test_top1_shuffled: float | None = None
    """Test top-1 with the frames of each view shuffled; None: not measured."""

    @property
    def key(self) -> tuple[str, int]:
        """Key of the training, unique in a table."""
        return self.architecture, self.seed
