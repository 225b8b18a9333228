"""Tables of samples of `st_default` with a known truth: additive effects of options, and noise of known size."""

from collections.abc import Callable

import made_up
import numpy as np

from pvnas_bench import registry
from pvnas_bench.grid.table_build import random_order
from pvnas_bench.network.cost import CostModel
from pvnas_bench.protocol import get_protocol, protocol_entry
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table import KnownTraining, Table
from pvnas_bench.table.journal import Content

SPACE, PROTOCOL, CHANCE, SHARED = "st_default", "quick", 1 / 3, 0.8
"""`SHARED`: part of the noise that validation and test have in common."""


def truth(space: SearchSpace, spread: float = 0.02) -> Callable[[Architecture], float]:
    """True test accuracy of an architecture's network: a sum of effects of its options, within (0.35, 0.95)."""
    effects = np.random.default_rng(7).normal(0, spread, space.encode(space.reference).size)

    def of(architecture: Architecture) -> float:
        return float(np.clip(0.65 + space.encode(space.canonical(architecture)) @ effects, 0.35, 0.95))

    return of


def content(
    networks: int,
    seeds: int = 1,
    noise: float = 0.02,
    *,
    dataset: str = "made_up",
    of: Callable[[Architecture], float] | None = None,
) -> Content:
    """A table of random networks."""
    space = registry.get_space(SPACE)
    of, costs, rng = of or truth(space), CostModel(space, 3), np.random.default_rng(1)
    about = made_up.about(space, dataset)
    about = about.model_copy(update={"protocol": protocol_entry(get_protocol(PROTOCOL))})
    epochs = np.arange(1, about.epochs + 1)
    trainings = []
    for name in random_order(space, networks):
        architecture = space.parse(name)
        for seed in range(seeds):
            common, own = noise * np.sqrt(SHARED) * rng.normal(), noise * np.sqrt(1 - SHARED) * rng.normal(size=2)
            reached = of(architecture) + common + own[0]
            curve = np.clip(CHANCE + (reached - CHANCE) * (1 - np.exp(-epochs / 2)) / (1 - np.exp(-4)), 0, 1)
            test = float(np.clip(of(architecture) + common + own[1], 0, 1))
            cost = costs(architecture)
            trainings.append(
                KnownTraining(
                    architecture=name,
                    seed=seed,
                    session=0,
                    macs=cost.macs,
                    parameters=cost.parameters,
                    training_macs=cost.macs * 1000,
                    seconds=cost.macs / 1e6,
                    latency_ms=cost.macs / 5e6,
                    train_loss=tuple((1.2 - curve).tolist()),
                    val_top1=tuple(curve.tolist()),
                    val_loss=tuple((1.1 - curve).tolist()),
                    test_top1=test,
                    test_top5=1.0,
                    test_mean_class=test,
                    test_loss=1 - test,
                )
            )
    return Content(about, [made_up.session()], trainings)


def table(networks: int, seeds: int = 1, noise: float = 0.02) -> Table:
    made = content(networks, seeds, noise)
    assert made.about is not None
    return Table(made.about, made.sessions, made.trainings, registry.get_space(SPACE))
