"""Protocols: the settings that must be equal for results to be comparable."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from pydantic import TypeAdapter

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.video import Views, named_views

Precision = Literal["float32", "bfloat16"]
MOST_BUDGET = 1e9
"""Largest budget in reference trainings that a record can hold."""


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
    """

    name: str
    version: int
    description: str
    budget: float
    epochs: int
    proxy_epochs: int
    batch_size: int = 16
    learning_rate: float = 8e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    label_smoothing: float = 0.1
    gradient_clip: float = 5.0
    search_val_fraction: float = 0.3
    cache_size: int = 44
    cache_frames: int = 32
    fit: Literal["squash", "crop"] = "squash"
    crop_scale: tuple[float, float] = (0.8, 1.0)
    sampling: Literal["uniform", "dense"] = "uniform"
    stride: int = 1
    retrainings: int = 1
    views: str | tuple[int, int] = (1, 1)
    precision: Precision = "float32"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings as JSON values; the default precision is omitted, as in published fingerprints."""
        settings: dict[str, Any] = json.loads(json.dumps(vars(self)))
        if self.precision == "float32":
            del settings["precision"]
        return settings

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
            raise UsageError(f"unknown precision {precision!r}: choose {' or '.join(get_args(Precision))}")
        if precision == self.precision:
            return self
        return replace(self, name=f"{self.name}-{precision}", precision=cast(Precision, precision))


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
            1,
            "for tables: 12 reference trainings of search, 3 final trainings of 30 epochs",
            budget=12.0,
            epochs=30,
            proxy_epochs=10,
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
    """The protocol of this name.

    Raises:
        UsageError: the name is unknown; the message lists the protocols.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol {name!r}: choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


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
    protocol = TypeAdapter(Protocol).validate_python(entry.settings)
    protocol.test_views  # noqa: B018 (refuses unknown views)
    return protocol
