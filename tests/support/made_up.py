"""Synthetic tables, without training."""

from datetime import UTC, datetime

import numpy as np

from pvnas_bench.grid.table_build import random_order
from pvnas_bench.network.cost import CostModel
from pvnas_bench.protocol import get_protocol, protocol_entry
from pvnas_bench.records import DataEntry
from pvnas_bench.space import BlockSpace
from pvnas_bench.table import About, KnownTraining, Session
from pvnas_bench.table.journal import Content as Content
from pvnas_bench.table.schema import SpaceIdentity


def about(space: BlockSpace, dataset: str = "made_up") -> About:
    return About(
        space=SpaceIdentity(
            name=space.name, version=space.version, fingerprint=space.fingerprint, architectures=space.size
        ),
        data=DataEntry(
            name=dataset, fingerprint="0" * 64, classes=("a", "b", "c"), clips={"train": 100, "val": 0, "test": 30}
        ),
        clips={"train": 70, "val": 30, "test": 30},
        protocol=protocol_entry(get_protocol("micro")),
    )


def session() -> Session:
    return Session(
        created=datetime(2024, 1, 1, tzinfo=UTC),
        pvnas_bench="0",
        commit=None,
        python="3",
        libraries={},
        hardware={"processor": "made up"},
    )


def training(
    space: BlockSpace, costs: CostModel, string: str, seed: int, quality: float, noise: float
) -> KnownTraining:
    """A training whose accuracy ends near the given quality."""
    rng = np.random.default_rng([seed, *string.encode()])
    epochs = get_protocol("micro").epochs
    curve = np.clip(quality * np.linspace(0.4, 1, epochs) + noise * rng.normal(size=epochs), 0, 1)
    cost = costs(space.parse(string))
    return KnownTraining(
        architecture=string,
        seed=seed,
        session=0,
        macs=cost.macs,
        parameters=cost.parameters,
        training_macs=3 * cost.macs * 64 * epochs + 30 * cost.macs,
        seconds=2.5,
        latency_ms=1.25,
        train_loss=tuple(np.float32(2 - curve).tolist()),
        val_top1=tuple(np.float32(curve).tolist()),
        val_loss=tuple(np.float32(3 - curve).tolist()),
        test_top1=float(np.float32(np.clip(quality + noise * rng.normal(), 0, 1))),
        test_top5=1.0,
        test_mean_class=0.5,
        test_loss=1.0,
    )


def content(space: BlockSpace, seeds: int = 1, sample: int | None = None, noise: float = 0.02) -> Content:
    """A complete table, or one of the first architectures in random order."""
    costs, rng = CostModel(space, 3), np.random.default_rng(0)
    strings = random_order(space)[:sample]
    quality = dict(zip(strings, 0.3 + 0.5 * rng.random(len(strings)), strict=True))
    trainings = [training(space, costs, s, seed, quality[s], noise) for seed in range(seeds) for s in strings]
    return Content(about(space), [session()], trainings)
