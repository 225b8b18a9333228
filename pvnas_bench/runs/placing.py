"""The place of a network found among random ones, where a table of its space, data set and protocol tells it."""

from contextlib import suppress
from dataclasses import dataclass

from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.runs.setup import Setup
from pvnas_bench.runs.surrogates import surrogate_of
from pvnas_bench.space import Architecture
from pvnas_bench.table import Surrogate, Table, find
from pvnas_bench.table.schema import recipe_of


@dataclass(frozen=True)
class Placed:
    """The share of random networks under the caps that are worse than the one found, by true accuracy.

    Attributes:
        low, high: edges of the 90 % interval.
        table: name of the table whose model tells it.
        networks: number of networks in that table.
    """

    better_than: float
    low: float
    high: float
    table: str
    networks: int

    def __str__(self) -> str:
        return (
            f"The network found is better than {self.better_than:.0%} of random networks under the cap (90 % interval: "
            f"{self.low:.0%} to {self.high:.0%}), by a model of the {self.networks:,} trained networks in the table "
            f"{self.table}."
        )


def placed(record: Record, setup: Setup) -> Placed | None:
    """Place the network that a run found among random ones; None where no table tells, or nothing was found.

    Random networks are those of `SearchSpace.sample`. The table's trainings are of the run's recipe, on search-train.
    """
    table = _table(record, setup)
    if table is None or record.outcome is None:
        return None

    def allowed(one: Architecture) -> bool:
        return setup.caps.allow(setup.costs(one))

    with suppress(UsageError):  # the table is too small for a model
        model = table if isinstance(table, Surrogate) else surrogate_of(table, setup.space)
        if (standing := model.standing(setup.space.parse(record.outcome.architecture), allowed)) is not None:
            share, low, high = standing.share, standing.low, standing.high
            return Placed(share, low, high, table.about.stem, len(table))
    return None


def _table(record: Record, setup: Setup) -> Table | None:
    """The table of a run's space, data set and protocol; None if there is none."""
    if setup.table is not None:
        return setup.table
    with suppress(UsageError):
        table = find(setup.space, setup.request.dataset, setup.request.tables)
        same_data = table.about.data.fingerprint == record.data.fingerprint
        if same_data and recipe_of(table.about.protocol) == recipe_of(record.protocol):
            return table
    return None
