"""Surrogates of large spaces, fitted once in a process."""

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from pvnas_bench.network.families import cost_model
from pvnas_bench.records import SURROGATE
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table import Surrogate, Table, find
from pvnas_bench.table.table import is_large


def find_whole(space: SearchSpace, dataset: str, folder: Path | None = None) -> Table:
    """The table of a space and a data set (`table.find`), in a large space continued to the whole of it.

    Raises:
        UsageError: there is no such table, or it is too small for a surrogate.
    """
    table = find(space, dataset, folder)
    return surrogate_of(table, space) if is_large(space) else table


@lru_cache(maxsize=4)
def surrogate_of(table: Table, space: SearchSpace) -> Surrogate:
    """The surrogate that is fitted to a table.

    Raises:
        UsageError: the table is too small.
    """
    return Surrogate(table, space, cost_model(space, len(table.about.data.classes)))


def quality_entry(table: Table, allowed: Callable[[Architecture], bool]) -> dict[str, Any]:
    """Entry of a record's `diagnostics`: how well a surrogate predicts the networks under the caps; {} for a table."""
    quality = table.quality(allowed) if isinstance(table, Surrogate) else None
    return {} if quality is None else {SURROGATE: asdict(quality)}
