"""Equal tuning: one number of configurations for every strategy, from declared values, on a task of no board.

The first configuration of a strategy is its default, the others are drawn. The one with the lowest mean true regret
wins and becomes the default; of equal ones that whose scores rank the table best, then the first. What was tried is
kept as JSON, from which the page is written.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.system.files import read_whole, write_atomically

SCHEMA_VERSION: Final = 1
LARGEST = 2**20
"""Largest size of a file in bytes."""
HEADERS = ("strategy", "tried", "searches", "charged rt", "regret of the default", "of the winner", "τ", "changed")
Option: TypeAlias = bool | int | float | str
"""Value of a hyper-parameter."""
Settings: TypeAlias = dict[str, Option]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Declaration(_Model):
    """What is tuned, and by which means: the content of a TOML file.

    Attributes:
        dataset: a task that no board uses.
        budget: of each search in reference trainings, half of the boards'.
        configurations: number of configurations of each strategy, its default among them.
        strategies: values to choose from, by strategy and hyper-parameter.
    """

    space: str
    dataset: str
    budget: float = Field(gt=0)
    seeds: int = Field(ge=1)
    configurations: int = Field(ge=2)
    strategies: dict[str, dict[str, list[Option]]] = Field(min_length=1)

    @field_validator("strategies")
    @classmethod
    def _distinct(cls, strategies: dict[str, dict[str, list[Option]]]) -> dict[str, dict[str, list[Option]]]:
        for strategy, values in strategies.items():
            for name, options in values.items():
                if len(set(options)) < max(len(options), 2):
                    raise ValueError(f"{strategy}.{name} needs two values or more, each once")
        return strategies

    @classmethod
    def load(cls, path: Path) -> "Declaration":
        """Read a file.

        Raises:
            UsageError: it cannot be read, or does not declare a tuning.
        """
        try:
            return cls.model_validate(tomllib.loads(read_whole(path, LARGEST).decode("utf-8")))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} declares no tuning ({_first(error)}): see results/tuning") from None


def draw(
    strategy: str, values: Mapping[str, Sequence[Option]], default: Mapping[str, Any], count: int
) -> list[Settings]:
    """Configurations of a strategy: its default, then distinct random ones; all of them if there are fewer.

    The draw depends on the strategy's name, the values and the default only.

    Args:
        values: values of each hyper-parameter.
        default: values of all hyper-parameters.

    Raises:
        UsageError: a hyper-parameter does not exist, or its default is not among the values.
    """
    for name, options in values.items():
        if name not in default:
            raise UsageError(f"{strategy} has no hyper-parameter {name!r}: see `list strategies --json`")
        if default[name] not in options:
            raise UsageError(f"{strategy}: {name}={default[name]}, the default, is not among the values {options}")
    rng = np.random.default_rng(list(strategy.encode()))
    drawn: list[Settings] = [{name: default[name] for name in values}]
    wanted = min(count, math.prod(len(options) for options in values.values()))
    while len(drawn) < wanted:
        settings = {name: options[int(rng.integers(len(options)))] for name, options in values.items()}
        if settings not in drawn:
            drawn.append(settings)
    return drawn


class Configuration(_Model):
    """One configuration and its searches.

    Attributes:
        settings: values of all tuned hyper-parameters.
        regrets: true regret of the incumbent at the end, by seed; None: the search failed.
        charged: cost of each search in reference trainings.
        taus: rank correlation of the scores with the table, by seed; empty without scores.
    """

    settings: Settings
    regrets: tuple[float | None, ...]
    charged: tuple[float, ...]
    taus: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean regret; infinite if a search failed."""
        known = [value for value in self.regrets if value is not None]
        return fmean(known) if len(known) == len(self.regrets) else math.inf

    @property
    def mean_tau(self) -> float:
        """Mean rank correlation of the scores; negative infinity without scores of every seed."""
        return fmean(self.taus) if len(self.taus) == len(self.regrets) else -math.inf


class Tuned(_Model):
    """The tuning of a strategy.

    Attributes:
        space, data: fingerprint of the space, name of the data set.
        source: hash of the strategy's source when it was tuned.
        configurations: those tried, the default of that time first.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    strategy: str
    space: str
    data: str
    budget: float
    seeds: int
    source: str
    configurations: tuple[Configuration, ...] = Field(min_length=1)

    @property
    def winner(self) -> Configuration:
        """The configuration with the lowest mean regret; of equal ones that with the best ranking, then the first."""
        return min(self.configurations, key=lambda configuration: (configuration.mean, -configuration.mean_tau))

    @property
    def changed(self) -> Settings:
        """Hyper-parameters in which the winner differs from the default of that time."""
        before = self.configurations[0].settings
        return {name: value for name, value in self.winner.settings.items() if value != before[name]}

    def write(self, folder: Path) -> None:
        """Write NAME.json, a line for each configuration; equal tunings give equal bytes."""
        content = self.model_dump(mode="json")
        known = [{name: value for name, value in one.items() if value != []} for one in content.pop("configurations")]
        lines = [json.dumps(one, ensure_ascii=False) for one in known]
        head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in content.items())
        text = f'{{\n{head} "configurations": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
        write_atomically(folder / f"{self.strategy}.json", text.encode())


def tuned(
    strategy: str, source: str, tries: Sequence[tuple[Settings, Sequence[Record]]], declared: Declaration
) -> Tuned:
    """The tuning of a strategy from the records of its searches.

    Args:
        tries: configurations with a record for each seed.
    """
    first = tries[0][1][0]
    return Tuned(
        strategy=strategy,
        space=first.space.fingerprint,
        data=first.data.name,
        budget=declared.budget,
        seeds=declared.seeds,
        source=source,
        configurations=tuple(
            Configuration(
                settings=settings,
                regrets=tuple(_regret(run) for run in runs),
                charged=tuple(round(run.trajectory[-1].cost, 4) if run.trajectory else 0.0 for run in runs),
                taus=tuple(round(tau, 4) for run in runs if (tau := run.diagnostics.get("rank_tau")) is not None),
            )
            for settings, runs in tries
        ),
    )


def _regret(run: Record) -> float | None:
    return round(run.trajectory[-1].metrics["regret"], 6) if run.status == "ok" and run.trajectory else None


def load(folder: Path) -> list[Tuned]:
    """The tunings of a folder, in order of their names.

    Raises:
        UsageError: a file is not one.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Tuned.model_validate_json(read_whole(path, LARGEST)))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} is no tuning ({_first(error)}): remove it, and tune again") from None
    return found


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


# --- as a page --------------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# Equal tuning

Every strategy was given the same number of configurations, its default among them, from a declared space. The one with
the lowest mean true regret over the seeds is to be its default; of equal ones, which a small table makes frequent, that
whose scores rank its networks best. Seeds are few, so that a difference between two configurations is often chance:
what is equal is the effort, not the luck.

```bash
pvnas-bench tune DECLARATION.toml    # resumes; writes NAME.json for each strategy, and this page
```

*tried*: configurations; fewer only where a strategy has fewer. *charged rt*: cost of all searches in reference
trainings. Regrets are in points of test accuracy, mean ± standard deviation over seeds. *τ*: rank correlation of the
scores of the default and of the winner with the table, mean over seeds. *changed*: what the winner changed of the
default.
"""


def to_markdown(tunings: Sequence[Tuned]) -> str:
    """Render tunings as a page, a table for each task and budget."""
    parts = [INTRODUCTION]
    for key in sorted({(one.space, one.data, one.budget, one.seeds) for one in tunings}):
        space, data, budget, seeds = key
        parts.append(f"\n## {space} · {data} · {budget:g} reference trainings · {seeds} seeds\n")
        parts.append("| " + " | ".join(HEADERS) + " |")
        parts.append("|" + "---|" * len(HEADERS))
        parts += [_row(one) for one in tunings if (one.space, one.data, one.budget, one.seeds) == key]
    return "\n".join(parts) + "\n"


def _row(one: Tuned) -> str:
    charged = math.fsum(cost for configuration in one.configurations for cost in configuration.charged)
    cells = (
        f"`{one.strategy}`",
        str(len(one.configurations)),
        str(sum(len(configuration.regrets) for configuration in one.configurations)),
        f"{charged:.1f}",
        _points(one.configurations[0]),
        _points(one.winner),
        _taus(one),
        ", ".join(f"`{name}={_word(value)}`" for name, value in one.changed.items()) or "nothing",
    )
    return "| " + " | ".join(cells) + " |"


def _taus(one: Tuned) -> str:
    both = (one.configurations[0].mean_tau, one.winner.mean_tau)
    return " → ".join(f"{tau:.2f}" for tau in both) if all(map(math.isfinite, both)) else ""


def _points(configuration: Configuration) -> str:
    known = [100 * value for value in configuration.regrets if value is not None]
    if len(known) < len(configuration.regrets):
        return "failed"
    return f"{fmean(known):.2f}" + (f" ± {stdev(known):.2f}" if len(known) > 1 else "")


def entry(strategy: str, settings: Settings, default: Mapping[str, Any]) -> str:
    """A configuration as an entry of a grid, ``name[key=value, …]``, with what differs from the default."""
    inside = ", ".join(f"{name}={_word(value)}" for name, value in settings.items() if value != default[name])
    return f"{strategy}[{inside}]" if inside else strategy


def _word(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
