"""Accuracy against each cost: caps of records, hypervolumes, and which entries are on a front."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.records import Outcome, Record

Cost = Literal["macs", "parameters", "latency"]
COSTS: tuple[Cost, ...] = ("macs", "parameters", "latency")
CAP_OF: Mapping[Cost, str] = {"macs": "macs", "parameters": "params", "latency": "latency"}
"""Keys of a record's caps."""
OVER_CAP, OVER_MEDIAN = 1.1, 2.0
"""Reference cost over the cap, and without a cap over the median of the board's runs: there accuracy counts nothing."""
References = dict[str, float]
"""Reference point of hypervolumes: each cost that compares, and `top1`."""


def cost_of(outcome: Outcome, cost: Cost) -> float:
    """A cost of the network that a run found; latency in milliseconds, as measured."""
    return {"macs": float(outcome.macs), "parameters": float(outcome.parameters), "latency": outcome.latency_ms}[cost]


def above_caps(record: Record) -> bool:
    """Return True if a run found a network above one of its caps, on latency by the prediction."""
    outcome, space = record.outcome, record.space
    if outcome is None:
        return False
    if not space.caps:
        return outcome.macs > space.cap_macs
    predicted = math.inf if outcome.predicted_latency_ms is None else outcome.predicted_latency_ms
    costs = {"macs": outcome.macs, "params": outcome.parameters, "latency": predicted}
    return any(costs.get(key, math.inf) > most for key, most in space.caps.items())


def references(runs: Sequence[Record], chance: float, machines: int) -> References:
    """Reference point of a board's hypervolumes.

    Args:
        runs: the completed ones.
        machines: kinds of machine among all runs: with several, latencies do not compare and have no reference.
    """
    point = {"top1": chance}
    for cost in COSTS:
        if cost == "latency" and machines > 1:
            continue
        values = [cost_of(run.outcome, cost) for run in runs if run.outcome]
        values = [value for value in values if math.isfinite(value)]
        if not values:
            continue
        space = runs[0].space
        caps = space.caps or {"macs": float(space.cap_macs)}
        capped = caps.get(CAP_OF[cost])
        most = OVER_MEDIAN * median(values) if capped is None else OVER_CAP * capped
        if most > 0:
            point[cost] = most
    return point


def volume(seeds: Sequence[Sequence[tuple[Record, float]]], cost: Cost, point: References) -> float | None:
    """Mean over seeds of the hypervolume of top-1 against a cost; None: the board has no reference for it.

    Args:
        seeds: of each seed its completed runs with their top-1; none: the seed dominates nothing.
    """
    if cost not in point or not seeds or point["top1"] >= 1:
        return None
    means = []
    for runs in seeds:
        volumes = [
            statistics.box(cost_of(run.outcome, cost), top1, point[cost], point["top1"])
            for run, top1 in runs
            if run.outcome and math.isfinite(cost_of(run.outcome, cost))
        ]
        means.append(math.fsum(volumes) / len(volumes) if volumes else 0.0)
    return math.fsum(means) / len(means)


def costs_of(runs: Sequence[Record]) -> dict[Cost, float]:
    """Mean costs of the networks of some runs."""
    means: dict[Cost, float] = {}
    for cost in COSTS:
        values = [cost_of(run.outcome, cost) for run in runs if run.outcome]
        values = [value for value in values if math.isfinite(value)]
        if values:
            means[cost] = math.fsum(values) / len(values)
    return means


def fronts(entries: Sequence[tuple[float, Mapping[Cost, float]]]) -> list[list[Cost]]:
    """The costs at which each entry is non-dominated.

    Args:
        entries: mean top-1 and mean costs of each.
    """
    found: list[list[Cost]] = [[] for _ in entries]
    for cost in COSTS:
        known = [i for i, (_, costs) in enumerate(entries) if cost in costs]
        if known:
            kept = statistics.nondominated(
                np.array([entries[i][1][cost] for i in known]), np.array([entries[i][0] for i in known])
            )
            for i, keep in zip(known, kept, strict=True):
                if keep:
                    found[i].append(cost)
    return found
