"""Claims and results for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from pvnas_bench.claims import Claim, Result
from pvnas_bench.claims.definition import parse
from pvnas_bench.claims.results import EntryRuns, Measured, Pair

TEST = {"title": "accuracy", "entry": "alpha", "against": "beta", "metric": {"name": "top1"}, "least": 0.02}
CLAIM = {
    "title": "Alpha beats beta",
    "system": "Alpha",
    "statement": "Alpha finds better networks than beta.",
    "source": "Nobody, On Alpha, 2020",
    "hypothesis": "Its final network is more accurate by two points.",
    "differs": ["All is made up."],
    "setting": {"space": "st_micro", "dataset": "made_up", "tabular": True, "budget": 4.0, "seeds": 3},
    "rule": {"error": 0.05, "power": 0.8},
    "tests": [TEST],
}


def claim(name: str = "made_up", tests: Sequence[Mapping[str, Any]] = (TEST,), seeds: int = 3, **other: Any) -> Claim:
    """A claim; other keys replace those of `CLAIM`."""
    setting = {**CLAIM["setting"], "seeds": seeds}  # type: ignore[dict-item]
    return parse(name, {**CLAIM, "setting": setting, "tests": [dict(test) for test in tests], **other})


def result(of: Claim, *values: Sequence[tuple[float, float]]) -> Result:
    """A result with the values of both entries of each test by seed."""
    measured = tuple(
        Measured(
            title=test.title,
            pairs=tuple(Pair(seed=seed, value=a, against=b) for seed, (a, b) in enumerate(pairs)),
        )
        for test, pairs in zip(of.tests, values, strict=True)
    )
    entries = tuple(
        EntryRuns(entry=e, board=("board",), runs=of.setting.seeds, cpu_seconds=90.0, sources=("s",), versions=("1",))
        for e in of.entries
    )
    return Result(claim=of.name, sha256=of.sha256, tests=measured, entries=entries)
