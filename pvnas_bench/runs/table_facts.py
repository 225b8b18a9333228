"""Entries of a record's `diagnostics` that follow from the table of the run."""

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pvnas_bench.boards import reliability, statistics
from pvnas_bench.network.families import Costs
from pvnas_bench.records import FRAME_ORDER, HEADROOM, RELIABILITY
from pvnas_bench.runs.surrogates import quality_entry
from pvnas_bench.space import Architecture, Caps, SearchSpace
from pvnas_bench.table import Table
from pvnas_bench.table.frame_order import frame_order
from pvnas_bench.table.headroom import Headroom, headroom, training_noise


def facts(table: Table, space: SearchSpace, caps: Caps, costs: Costs, found: Architecture | None) -> dict[str, Any]:
    """Facts about the table and the found network: quality of a surrogate, headroom, reliability, order of frames.

    Args:
        found: architecture that the search found; None: it found none.
    """
    entries = quality_entry(table, lambda one: caps.allow(costs(one)))
    if (room := _headroom(table, space, caps, costs)) is not None:
        entries[HEADROOM] = asdict(room)
    if (known := _reliability(table, space, caps, costs)) is not None:
        entries[RELIABILITY] = asdict(known)
    if found is not None and (order := frame_order(table, str(found), _noise(table))) is not None:
        entries[FRAME_ORDER] = asdict(order)
    return entries


@lru_cache(maxsize=8)
def _headroom(table: Table, space: SearchSpace, caps: Caps, costs: Costs) -> Headroom | None:
    def allowed(architecture: Architecture) -> bool:
        return caps.allow(costs(architecture))

    return headroom(table, space, allowed)


@lru_cache(maxsize=8)
def _reliability(table: Table, space: SearchSpace, caps: Caps, costs: Costs) -> statistics.Reliability | None:
    return reliability.of_table(table, lambda string: caps.allow(costs(space.parse(string))))


@lru_cache(maxsize=8)
def _noise(table: Table) -> float | None:
    return training_noise(table)
