"""Protocols: the settings that must be equal for results to be comparable."""

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole
from pvnas_bench.system.text import either
from pvnas_bench.video import Views, named_views

Precision = Literal["float32", "bfloat16"]
TemporalInit = Literal["random", "near_identity"]
MOST_BUDGET = 1e9
"""Largest budget in reference trainings that a record can hold."""
LARGEST_FILE = 2**16
"""Largest size of a protocol's file in bytes."""
_LATER = {"precision": "float32", "average": 0.0, "temporal_init": "random"}
"""Settings that protocols have got since the first fingerprints were published; they are omitted at these values."""

Share = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=MOST_BUDGET)]
Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Protocol:
    """Splits, clip sampling, training recipe, budget and test views.

    Attributes:
        budget: search budget in reference trainings.
        epochs: epochs of a full training (retraining, and the reference training).
        proxy_epochs: default epochs of `problem.evaluate`.
        learning_rate: peak rate of AdamW (Loshchilov & Hutter 2019); linear warm-up (`warmup` of steps), then cosine.
        gradient_clip: largest norm of the gradient.
        search_val_fraction: fraction of the train split's clips held out as search-val.
        cache_size: side in pixels of the square frames in the cache.
        cache_frames: largest number of frames cached per clip.
        fit: ``squash`` keeps the whole frame; ``crop`` keeps the aspect ratio.
        crop_scale: range of the side of a random training crop, as a fraction of the frame.
        sampling: ``uniform`` segments (TSN) or ``dense`` with `stride`.
        retrainings: retrainings of the final architecture, with different seeds; all are reported.
        views: views averaged per test clip: a name of `video.VIEWS`, or temporal clips and spatial crops.
        precision: precision of passes. ``bfloat16`` covers matrix products and convolutions (autocast);
            weights, their updates and losses stay in float32.
        average: decay per step of an exponential moving average of weights and statistics (Polyak & Juditsky 1992),
            which is validated and tested in place of the last weights; 0: none.
        temporal_init: initial temporal kernels: ``random`` (He et al. 2015), or ``near_identity``, as in supernets.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: int
    description: str
    budget: Positive
    epochs: Whole
    proxy_epochs: Whole
    batch_size: Whole = 16
    learning_rate: Positive = 8e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Share = 0.1
    label_smoothing: Share = 0.1
    gradient_clip: Positive = 5.0
    search_val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    cache_size: Whole = 44
    cache_frames: Whole = 32
    fit: Literal["squash", "crop"] = "squash"
    crop_scale: tuple[Side, Side] = (0.8, 1.0)
    sampling: Literal["uniform", "dense"] = "uniform"
    stride: Whole = 1
    retrainings: Whole = 1
    views: str | tuple[Whole, Whole] = (1, 1)
    precision: Precision = "float32"
    average: Share = 0.0
    temporal_init: TemporalInit = "random"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings as JSON values, without later ones at their defaults, so that published fingerprints hold."""
        settings: dict[str, Any] = json.loads(json.dumps(vars(self)))
        return {key: value for key, value in settings.items() if _LATER.get(key) != value}

    @property
    def fingerprint(self) -> str:
        """Name, version and a hash of all settings but the description."""
        settings = {key: value for key, value in self.settings.items() if key != "description"}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.name}@{self.version}:{digest}"

    @property
    def test_views(self) -> Views:
        """The test views named by `views`."""
        return named_views(self.views)

    def with_budget(self, budget: float) -> "Protocol":
        """The protocol with another search budget, whose results have a separate board.

        Raises:
            UsageError: the budget is not a positive number of at most `MOST_BUDGET`.
        """
        if not 0 < budget <= MOST_BUDGET:
            raise UsageError(
                f"a budget is a positive number of reference trainings, got {budget:g} (at most {MOST_BUDGET:g}): "
                "change --budget"
            )
        return replace(self, budget=budget)

    def with_precision(self, precision: str) -> "Protocol":
        """The protocol with another precision; a non-default one gets a separate name.

        Raises:
            UsageError: the precision is unknown.
        """
        if precision not in get_args(Precision):
            raise UsageError(f"unknown precision {precision!r}: choose {either(get_args(Precision))}")
        if precision == self.precision:
            return self
        name = self.name.removesuffix(f"-{self.precision}")
        name = name if precision == "float32" else f"{name}-{precision}"
        return replace(self, name=name, precision=cast(Precision, precision))


_SCHEMA = TypeAdapter(Protocol)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "quick",
            1,
            "a first answer in minutes: 6 reference trainings of search, 8 epochs of final training",
            budget=6.0,
            epochs=8,
            proxy_epochs=4,
        ),
        Protocol(
            "standard",
            2,
            "for boards: 12 reference trainings of search, 3 final trainings of 15 epochs",
            budget=12.0,
            epochs=15,
            proxy_epochs=5,
            retrainings=3,
        ),
        Protocol(
            "micro",
            3,
            "for spaces that have a table: 60 reference trainings of search, every training of 30 epochs",
            budget=60.0,
            epochs=30,
            proxy_epochs=30,
            batch_size=32,
            weight_decay=0.2,
            views=(1, 3),
        ),
        Protocol(
            "something",
            1,
            "at the scale of Something-Something: uniform segments, 2 test clips at full resolution",
            budget=12.0,
            epochs=40,
            proxy_epochs=5,
            batch_size=32,
            learning_rate=2e-3,
            cache_size=256,
            cache_frames=64,
            views="2 clips, full resolution",
        ),
        Protocol(
            "kinetics",
            1,
            "at the scale of Kinetics: dense sampling with stride 4, 10 test clips x 3 crops",
            budget=12.0,
            epochs=40,
            proxy_epochs=5,
            batch_size=32,
            learning_rate=2e-3,
            cache_size=256,
            cache_frames=150,
            fit="crop",
            sampling="dense",
            stride=4,
            views="10 clips, 3 crops",
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol of this name, or of a TOML file.

    A file has the settings that differ from those of a protocol, whose name is the value of `base`. Its protocol is
    named like the file; results under it have boards of their own.

    Raises:
        UsageError: the name is unknown; the file is not a protocol's.
    """
    if name.endswith(".toml"):
        return _from_file(Path(name))
    if name not in PROTOCOLS:
        raise UsageError(
            f"unknown protocol {name!r}: choose one of {', '.join(PROTOCOLS)}, or a .toml file with a base and changes"
        )
    return PROTOCOLS[name]


def _from_file(path: Path) -> Protocol:
    try:
        values = tomllib.loads(read_whole(path, LARGEST_FILE).decode())
    except OSError as error:
        raise UsageError(f"cannot read the protocol {path} ({error.strerror}): change --protocol") from None
    except ValueError as error:
        raise UsageError(f"{path} is not TOML ({error}): correct it, or change --protocol") from None
    base = values.pop("base", None)
    if not isinstance(base, str) or base not in PROTOCOLS:
        raise UsageError(f"{path} needs a line with a protocol to start from, such as base = {next(iter(PROTOCOLS))!r}")
    fixed = {"name": path.stem, "version": 1, "description": f"{base} with the changes of {path.name}"}
    if named := sorted(fixed.keys() & values.keys()):
        raise UsageError(f"{path} sets {named[0]}: a protocol is named by its file, so remove the line")
    if path.stem in PROTOCOLS or not re.fullmatch(r"[A-Za-z0-9_.]+", path.stem):
        raise UsageError(f"{path} cannot be a protocol's name: choose another, of letters, digits and underscores")
    try:
        protocol = _SCHEMA.validate_python({**vars(PROTOCOLS[base]), **fixed, **values})
        protocol.test_views  # noqa: B018 (refuses unknown views)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: {where}: {first['msg']}: choose among the settings of {base}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    return protocol


def protocol_entry(protocol: Protocol) -> records.ProtocolEntry:
    """Protocol entry of a record, a table or a model."""
    return records.ProtocolEntry(
        name=protocol.name,
        version=protocol.version,
        fingerprint=protocol.fingerprint,
        budget=protocol.budget,
        settings=protocol.settings,
    )


def protocol_of(entry: records.ProtocolEntry) -> Protocol:
    """The protocol that an entry describes, whichever are defined today.

    Raises:
        ValueError: the entry's settings are not a protocol's.
    """
    protocol = _SCHEMA.validate_python(entry.settings)
    protocol.test_views  # noqa: B018 (refuses unknown views)
    return protocol


def recorded_protocol(entry: records.ProtocolEntry) -> Protocol:
    """The package's protocol of an entry's name, as it is today; of any other name the one that the entry describes.

    Raises:
        ValueError: the entry's settings are not a protocol's.
    """
    return PROTOCOLS.get(entry.name) or protocol_of(entry)
