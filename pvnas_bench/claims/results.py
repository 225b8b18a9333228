"""Results of claims: JSON files with what was measured, from which the page is written again without the records."""

import json
import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pvnas_bench.claims.definition import Claim
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole, write_atomically

LARGEST = 2**26
"""Largest size of a result's file in bytes."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pair(_Model):
    """What was measured with one seed.

    Attributes:
        value, against: of the entry, and of the one that it is compared with.
        censored, against_censored: the budget ended first, so that the value is a bound.
    """

    seed: int
    value: Finite
    against: Finite | None = None
    censored: bool = False
    against_censored: bool = False


class Measured(_Model):
    """What was measured for a test.

    Attributes:
        missing: reasons for missing pairs.
    """

    title: str
    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()


class EntryRuns(_Model):
    """The runs of an entry.

    Attributes:
        board: fingerprints of space, data and protocol, and the budget; several are not comparable.
        cpu_seconds: of searches and final trainings, without what was looked up in a table.
        sources: beginnings of the hashes of the strategy's source.
        versions: of the package.
    """

    entry: str
    board: tuple[str, ...]
    runs: int
    cpu_seconds: float
    sources: tuple[str, ...]
    versions: tuple[str, ...]


class Result(_Model):
    """What was measured for a claim.

    Attributes:
        sha256: hash of the claim's definition when it was run.
    """

    claim: str
    sha256: str
    tests: tuple[Measured, ...]
    entries: tuple[EntryRuns, ...]

    def of(self, claim: Claim) -> bool:
        """Return True if the result is of this definition of the claim."""
        return self.claim == claim.name and self.sha256 == claim.sha256


def path_of(folder: Path, name: str) -> Path:
    """Path of a claim's result."""
    return folder / f"{name}.json"


def write(folder: Path, result: Result) -> None:
    """Write a result, a line for each pair; equal results give equal bytes."""
    content = result.model_dump(mode="json")
    tests = content.pop("tests")
    lines = ["{", *(f" {json.dumps(key)}: {json.dumps(value)}," for key, value in content.items()), ' "tests": [']
    for number, test in enumerate(tests):
        rows = ",\n".join(f"   {json.dumps(_rounded(pair))}" for pair in test["pairs"])
        lines += [
            f'  {{"title": {json.dumps(test["title"])}, "missing": {json.dumps(test["missing"])}, "pairs": [',
            rows,
        ]
        lines.append("  ]}" + "," * (number < len(tests) - 1))
    write_atomically(path_of(folder, result.claim), "\n".join([*filter(None, lines), " ]", "}", ""]).encode())


def _rounded(pair: dict[str, object]) -> dict[str, object]:
    """A pair with nine digits of its numbers, and without fields at their defaults."""
    short = {key: float(f"{value:.9g}") if isinstance(value, float) else value for key, value in pair.items()}
    return {key: value for key, value in short.items() if value is not None and value is not False}


def read(folder: Path, claim: Claim) -> Result | None:
    """Read the stored result of a claim, which may be of another definition (`Result.of`); None if there is none.

    Raises:
        UsageError: the file cannot be read, or is not a result.
    """
    path = path_of(folder, claim.name)
    try:
        return Result.model_validate_json(read_whole(path, LARGEST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no result of a claim ({_first(error)}): remove it, and run the claim") from None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def hours(results: list[Result]) -> float:
    """CPU hours of the runs of results; runs that serve several claims count once."""
    seconds: dict[tuple[str, ...], float] = {}
    for result in results:
        for one in result.entries:
            key = (one.entry, *one.board)
            seconds[key] = max(seconds.get(key, 0.0), one.cpu_seconds)
    return math.fsum(seconds.values()) / 3600
