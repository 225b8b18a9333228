"""Metrics of claims: one number from the record of a run.

Every metric is a model with the keys of a test's table `metric`; its docstring becomes the line on the page. Metrics
that need the truth about a front read it from the table of the space; elsewhere only the final network has a test
accuracy.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pvnas_bench.boards import leaderboard, statistics
from pvnas_bench.boards.objectives import OVER_CAP
from pvnas_bench.records import Record
from pvnas_bench.table.table import Table

Cost = Literal["macs", "parameters", "latency_ms"]


class Value(NamedTuple):
    """A measured number; censored if the budget ended before it was known, and it is the budget."""

    value: float
    censored: bool = False


class Missing(Exception):
    """A run lacks what a metric needs; the message says what."""


class _Metric(BaseModel):
    """A metric.

    Attributes:
        ratio: compared by the ratio, not by the difference.
        lower: lower is better.
        unit: unit of a difference on the page; accuracies are fractions here and points there.
        alone: True if it needs no other entry, False if it needs one, None if either will do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    ratio: ClassVar[bool] = False
    lower: ClassVar[bool] = False
    unit: ClassVar[str] = "points"
    alone: ClassVar[bool | None] = False
    name: str

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """Measure a run.

        Args:
            table: table of the space and the data set, where there is one.
            other: the run that it is compared with; None for that run itself.

        Raises:
            Missing: the run lacks what is needed.
        """
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The metric in a few words."""
        raise NotImplementedError


class Top1(_Metric):
    """Mean test top-1 of the final network, on a table its true accuracy."""

    name: Literal["top1"]

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The score of a run, as on a board."""
        return Value(_top1(run))

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return "test top-1 of the final network"


class Regret(_Metric):
    """True regret of the incumbent, at the end of the search or at a cost; on tables."""

    lower: ClassVar[bool] = True
    name: Literal["regret"]
    at: float | None = Field(None, gt=0)
    """Cost in reference trainings; None: the end of the search."""

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The incumbent's regret at the cost; before the first step, that of the first incumbent."""
        costs, regrets = _series(run, "regret")
        if self.at is None:
            return Value(regrets[-1])
        at = float(statistics.step_values(costs, regrets, [self.at])[0])
        return Value(regrets[0] if math.isnan(at) else at)

    @property
    def words(self) -> str:
        """The metric in a few words."""
        when = "at the end" if self.at is None else f"after {self.at:g} reference trainings"
        return f"true regret of the incumbent {when}"


class CostToQuality(_Metric):
    """Cost from which on the incumbent always has a true regret of at most so much; on tables.

    A search that ends above that regret is censored: its value is the cost of the whole search.
    """

    ratio: ClassVar[bool] = True
    lower: ClassVar[bool] = True
    name: Literal["cost_to_quality"]
    regret: float = Field(gt=0, lt=1)
    per: Literal["cost", "seconds", "samples"] = "cost"
    """Reference trainings; seconds of search; architectures sampled so far (logged as `total_samples`)."""

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The cost of the first step of the last stretch of good incumbents."""
        _, regrets = _series(run, "regret")
        spent = self._spent(run)
        first = reached(regrets, self.regret)
        cost = spent[-1 if first is None else first]
        if cost <= 0:
            raise Missing(f"no {self.per} were spent until the quality was reached")
        return Value(cost, censored=first is None)

    def _spent(self, run: Record) -> Sequence[float]:
        """What had been spent after each step."""
        if self.per == "cost":
            return [step.cost for step in run.trajectory]
        if self.per == "seconds":
            return [step.wall for step in run.trajectory]
        drawn, spent = 0.0, []
        for step in run.trajectory:  # the last step may end before it is logged
            drawn = step.metrics.get("total_samples", drawn)
            spent.append(drawn)
        if drawn <= 0:
            raise Missing("the run logged no total_samples")
        return spent

    @property
    def words(self) -> str:
        """The metric in a few words."""
        what = {"cost": "reference trainings", "seconds": "seconds", "samples": "architectures sampled"}[self.per]
        return f"{what} until the incumbent's true regret stays within {100 * self.regret:g} points"


class SearchCost(_Metric):
    """Resource use of the whole search."""

    ratio: ClassVar[bool] = True
    lower: ClassVar[bool] = True
    name: Literal["search_cost"]
    of: Literal["reference_trainings", "cpu_seconds", "peak_memory_bytes"]

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The figure of the search phase."""
        value = float(getattr(run.search, self.of))
        if value <= 0:
            raise Missing(f"{self.of} was not measured")
        return Value(value)

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return {
            "reference_trainings": "cost of the search in reference trainings",
            "cpu_seconds": "CPU seconds of the search",
            "peak_memory_bytes": "peak memory of the search's process",
        }[self.of]


class Diagnostic(_Metric):
    """A number among the diagnostics of a run, such as the number of distinct derived networks; more is better."""

    unit: ClassVar[str] = ""
    name: Literal["diagnostic"]
    key: str
    """Name of the diagnostic; dots lead into nested ones."""

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The diagnostic."""
        return Value(_diagnostic(run, self.key))

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return f"diagnostic {self.key}"


class DiagnosticRatio(_Metric):
    """The ratio of two diagnostics of one run, such as seconds of a validation over those of a score."""

    ratio: ClassVar[bool] = True
    alone: ClassVar[bool | None] = True
    name: Literal["diagnostic_ratio"]
    of: str
    over: str

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The ratio."""
        above, below = _diagnostic(run, self.of), _diagnostic(run, self.over)
        if above <= 0 or below <= 0:
            raise Missing(f"{self.of} or {self.over} is not positive")
        return Value(above / below)

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return f"{self.of} over {self.over} in one run"


class RankTau(_Metric):
    """Kendall's τ between a search's scores and the true accuracies of a table."""

    unit: ClassVar[str] = "τ"
    alone: ClassVar[bool | None] = None
    name: Literal["rank_tau"]
    beyond: Literal["macs", "parameters"] | None = None
    """Subtract the τ of this column of the table."""

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The run's τ, less that of the column."""
        tau = _diagnostic(run, "rank_tau")
        if self.beyond is None:
            return Value(tau)
        if table is None:
            raise Missing("there is no table")
        every = [table.trainings(architecture)[0] for architecture in table.ranked(run.seed)]
        rows = [row for row in every if row.macs <= run.space.cap_macs]
        truth = [table.top1(row.architecture) for row in rows]
        return Value(tau - statistics.kendall_tau([getattr(row, self.beyond) for row in rows], truth))

    @property
    def words(self) -> str:
        """The metric in a few words."""
        less = f", less that of {'MACs' if self.beyond == 'macs' else self.beyond}" if self.beyond else ""
        return f"Kendall's τ of scores and true accuracies{less}"


class Hypervolume(_Metric):
    """Hypervolume of test top-1 and a cost: of the front's true values on a table, else of the final network.

    The reference point is chance and the board's: 1.1 times the cap on MACs, or the dearest network of the table.
    """

    unit: ClassVar[str] = "% of the box"
    name: Literal["hypervolume"]
    cost: Cost = "macs"

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The share of the box that the front dominates."""
        points = _front(run, table, self.cost)
        if self.cost == "macs":
            most = OVER_CAP * run.space.cap_macs
        elif table is not None:
            most = OVER_CAP * max(_table_cost(table, a, self.cost) for a in table.architectures)
        else:
            raise Missing(f"without a table {self.cost} has no reference point")
        chance = 1 / len(run.data.classes)
        return Value(statistics.hypervolume([c for c, _ in points], [top1 for _, top1 in points], most, chance))

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return f"hypervolume of test top-1 and {_said(self.cost)}"


class CostAtAccuracy(_Metric):
    """Least cost of a network of the run that is at least as accurate on test as that of the other run.

    Without such a network the value is the table's largest cost, or the cap on MACs, and censored.
    """

    ratio: ClassVar[bool] = True
    lower: ClassVar[bool] = True
    name: Literal["cost_at_accuracy"]
    cost: Cost = "macs"

    def __call__(self, run: Record, table: Table | None, other: Record | None) -> Value:
        """The least cost at the other run's accuracy; the final network's cost where there is no other run."""
        if other is None:
            assert run.outcome is not None
            return Value(dict(_network_costs(run, table))[self.cost])
        wanted = _top1(other)
        fit = [cost for cost, top1 in _front(run, table, self.cost) if top1 >= wanted]
        if fit:
            return Value(min(fit))
        if table is not None:
            return Value(max(_table_cost(table, a, self.cost) for a in table.architectures), censored=True)
        if self.cost != "macs":
            raise Missing("no network of the run is as accurate, and without a table nothing bounds its cost")
        return Value(float(run.space.cap_macs), censored=True)

    @property
    def words(self) -> str:
        """The metric in a few words."""
        return f"{_said(self.cost)} of the cheapest network at least as accurate on test"


Metric = Annotated[
    Top1 | Regret | CostToQuality | SearchCost | Diagnostic | DiagnosticRatio | RankTau | Hypervolume | CostAtAccuracy,
    Field(discriminator="name"),
]


def reached(values: Iterable[float], most: float) -> int | None:
    """Index from which on all values are at most so much; None if the last is not."""
    first: int | None = None
    for index, value in enumerate(values):
        if not value <= most:
            first = None
        elif first is None:
            first = index
    return first


def _top1(run: Record) -> float:
    score = leaderboard.score(run)
    if score is None:
        raise Missing("there is no test score")
    return score.top1


def _series(run: Record, name: str) -> tuple[list[float], list[float]]:
    """Costs and values of a metric that every step has."""
    try:
        values = [step.metrics[name] for step in run.trajectory]
    except KeyError:
        raise Missing(f"the run has no {name}: it is not on a table") from None
    if not values:
        raise Missing("the run has no step")
    return [step.cost for step in run.trajectory], values


def _diagnostic(run: Record, key: str) -> float:
    value: Any = run.diagnostics
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Missing(f"the diagnostic {key} is missing")
    return float(value)


def _front(run: Record, table: Table | None, cost: Cost) -> list[tuple[float, float]]:
    """Cost and test top-1 of a run's networks: its front on a table, with the final network; else that network."""
    top1 = _top1(run)
    assert run.outcome is not None
    if table is None:
        return [(dict(_network_costs(run, None))[cost], top1)]
    names = dict.fromkeys((run.outcome.architecture, *run.outcome.front))
    return [(_table_cost(table, name, cost), table.top1(name)) for name in names]


def _network_costs(run: Record, table: Table | None) -> list[tuple[Cost, float]]:
    """Costs of the final network."""
    outcome = run.outcome
    assert outcome is not None
    latency = outcome.latency_ms if table is None else _table_cost(table, outcome.architecture, "latency_ms")
    return [("macs", float(outcome.macs)), ("parameters", float(outcome.parameters)), ("latency_ms", latency)]


def _table_cost(table: Table, architecture: str, cost: Cost) -> float:
    """A cost of a network, mean over its trainings."""
    rows = table.trainings(architecture)
    return math.fsum(getattr(row, cost) for row in rows) / len(rows)


def _said(cost: Cost) -> str:
    return {"macs": "MACs", "parameters": "parameters", "latency_ms": "latency"}[cost]
