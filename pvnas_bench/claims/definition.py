"""The definition of a claim: a TOML file that is fixed before it is run.

A claim is a conjunction of tests, which share a setting and a rule. Each test compares an entry with another one,
paired by seed, or with a fixed value, by one metric and one effect size that counts.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pvnas_bench.claims.metrics import Metric
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.system.files import read_whole

LARGEST = 2**16
"""Largest size of a claim's file in bytes."""
PACKAGE = "pvnas_bench.claims"
FOLDER = "published"
"""Folder of the package's claims."""

Line = Annotated[str, Field(min_length=1, pattern=r"^[^\n]+$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Setting(_Model):
    """Conditions that all runs of a claim share; the keys but `first_seed` are those of a grid's file.

    Attributes:
        space, dataset: names.
        tabular: evaluations are looked up in the table of space and data set.
        budget: of each search, in reference trainings.
        seeds: number of seeds, counted from `first_seed`. Fixed: there is no verdict before all have run.
        first_seed: the first of them; with another one than 0 a claim is tested on seeds that its author had not seen.
    """

    space: Line
    dataset: Line
    tabular: bool = False
    protocol: Line | None = None
    cap: Line | None = None
    budget: float = Field(gt=0)
    seeds: int = Field(ge=2, le=10_000)
    first_seed: int = Field(0, ge=0, le=1_000_000)

    @property
    def all_seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.first_seed, self.first_seed + self.seeds)


class Rule(_Model):
    """Declared error rates of the verdicts.

    Attributes:
        error: largest probability that the claim is said to hold where a test has no effect, and to fail where all
            have the effect that counts.
        power: wanted probability that a test finds the effect that counts.
    """

    error: float = Field(gt=0, le=0.2)
    power: float = Field(ge=0.5, lt=1)


class ClaimTest(_Model):
    """One comparison of a claim.

    Attributes:
        title: what is compared, in a few words.
        entry: strategy whose advantage is claimed, with hyper-parameters in brackets: ``name[key=value]``.
        against: the entry that it is compared with, seed by seed; None: its value is compared with no effect.
        metric: what is measured.
        kind: `better`: the entry is better by the effect that counts; `no_worse`: it is not worse by so much.
        least: effect that counts, in the unit of the metric (accuracies: fractions); of a ratio the factor.
    """

    title: Line
    entry: Line
    against: Line | None = None
    metric: Metric
    kind: Literal["better", "no_worse"] = "better"
    least: float = Field(gt=0)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.metric.ratio and self.least <= 1:
            raise ValueError("least is a factor above 1, as the metric is compared as a ratio")
        if self.metric.alone is not None and self.metric.alone != (self.against is None):
            raise ValueError(f"the metric {self.metric.name} needs {'no ' * self.metric.alone}entry in `against`")
        if self.kind == "no_worse" and self.against is None:
            raise ValueError("no_worse needs an entry in `against`")
        for entry in self.entries:
            parse_entry(entry)
        return self

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries that the test needs runs of."""
        return (self.entry,) if self.against is None else (self.entry, self.against)


class Claim(_Model):
    """A published claim, and how it is tested.

    Attributes:
        name: name of the file, without suffix.
        title: the claim in a few words.
        system: the published method, such as PV-NAS.
        statement: what is claimed, in our words.
        source: publication.
        hypothesis: what is expected here, in measurable terms.
        differs: differences between this setting and the publication's.
        needs: what is missing here to test the claim; None: it can be run.
    """

    name: Name
    title: Line
    system: Line
    statement: Line
    source: Line
    hypothesis: Line
    differs: tuple[Line, ...] = Field(min_length=1)
    needs: Line | None = None
    setting: Setting
    rule: Rule
    tests: tuple[ClaimTest, ...] = Field(min_length=1)

    @property
    def entries(self) -> tuple[str, ...]:
        """All entries, each once, in the order of the tests."""
        return tuple(dict.fromkeys(entry for test in self.tests for entry in test.entries))

    @property
    def grid(self) -> dict[str, Any]:
        """Keys of the grid of all runs, as in a grid's file."""
        given = self.setting.model_dump(exclude_none=True, exclude={"space", "dataset", "first_seed"})
        axes = {"strategies": list(self.entries), "spaces": [self.setting.space], "datasets": [self.setting.dataset]}
        return {**axes, **given}

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole definition; comments and layout of the file do not change it."""
        values = self.model_dump(mode="json")
        if not self.setting.first_seed:  # a later key, which leaves the hashes of earlier files as they are
            del values["setting"]["first_seed"]
        content = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


def parse(name: str, values: Mapping[str, Any]) -> Claim:
    """The claim of a TOML document.

    Args:
        name: name of the file, without suffix.

    Raises:
        UsageError: a key or value is invalid; the message names the first.
    """
    try:
        return Claim.model_validate_json(json.dumps({**values, "name": name}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "claim"
        raise UsageError(f"claim {name}: {where}: {first['msg']}") from None
    except TypeError:
        raise UsageError(f"claim {name}: dates and times are no values of a claim") from None


def load(path: Path) -> Claim:
    """Read the TOML file of a claim.

    Raises:
        UsageError: the file cannot be read, or is not a claim.
    """
    try:
        values = tomllib.loads(read_whole(path, LARGEST).decode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: name the TOML file of a claim") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    return parse(path.stem, values)


def load_all(folder: Path) -> dict[str, Claim]:
    """The claims in a folder, by name, in alphabetical order.

    Raises:
        UsageError: the folder has no TOML file, or one is not a claim.
    """
    claims = {path.stem: load(path) for path in sorted(folder.glob("*.toml"))}
    if not claims:
        raise UsageError(f"no claims in {folder}: name a folder with their TOML files")
    return claims


def packaged() -> dict[str, Claim]:
    """The claims of the package, by name, in alphabetical order."""
    with resources.as_file(resources.files(PACKAGE).joinpath(FOLDER)) as folder:
        return load_all(folder)
