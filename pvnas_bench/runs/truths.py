"""Test accuracies of the incumbents of runs, where a table of their space, data set and protocol tells them."""

import math
from contextlib import suppress
from functools import cache
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.table import Table
from pvnas_bench.table.schema import recipe_of


class Truths:
    """Tells the test top-1 of a run's incumbents: one scale for all strategies, whatever they measure themselves.

    It is the mean over a network's trainings in a table, and in a large space the mean of the table's surrogate.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Look for tables in a folder.

        Args:
            folder: as in `table.find`.
        """
        self._find = cache(lambda space, dataset: _table(space, dataset, folder))

    def __call__(self, record: Record) -> list[float]:
        """Test top-1 of the incumbent at each step, nan where the table lacks it; empty if no table tells."""
        table = self._find(record.space.name, record.data.name)
        if table is None or not _is_of(table, record):
            return []
        names = [step.incumbent for step in record.trajectory]
        return [table.top1(name) if name in table else math.nan for name in names]


def _table(space: str, dataset: str, folder: Path | None) -> Table | None:
    with suppress(UsageError):
        return find_whole(registry.get_space(space), dataset, folder)
    return None


def _is_of(table: Table, record: Record) -> bool:
    """Return True if a run's trainings are those of a table, or were looked up in this state of it."""
    same_space = record.space.fingerprint.rpartition(":")[0] == table.about.space.fingerprint
    if not same_space or record.data.fingerprint != table.about.data.fingerprint:
        return False
    if record.tabular:
        return record.protocol.fingerprint.endswith(f":{table.fingerprint}")
    return recipe_of(table.about.protocol) == recipe_of(record.protocol)
