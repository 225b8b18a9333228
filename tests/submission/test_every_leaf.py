"""Each value of a record is tied to others: changed alone, though well hidden, it is rejected or named here."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forgery import Forger, Json

from pvnas_bench.submission.verify import Repeat, verify

FREE = [
    r"(search|outcome\.cost)\.(cpu_seconds|peak_memory_bytes)",
    r"trajectory\.\d+\.(wall|cost)",  # rise
    r"trajectory\.\d+\.metrics\.val_top1",
    r"search\.(samples|architectures_evaluated)",
    r"outcome\.trained\.0\.(test_loss|curve\.\d+\.train_loss)",  # has a bound only, without a table
    r"outcome\.trained\.0\.curve\.\d+\.val_top1",  # is a multiple of 1 / clips only
    r"outcome\.latency_ms",
    r"speed\..*",
    r"data\.(fingerprint|name|classes\.\d+|clips\.train)",  # fewer clips than a batch are no part of an epoch
    r"strategy\.(title|levels\.\d+|config\.\w+)",
    r"provenance\.(created|commit|python|pvnas_bench|hardware\.\w+|libraries\.[\w-]+)",
    r"protocol\.settings\.(name|version|description)",
    r"provenance\.command\.\d+",  # a data set that has no name
]
"""What records, protocol, ledger and table do not decide. Clips, the strategy's own words and repetitions decide the
rest of it, except for clocks, memory, and what a machine is called."""
FREE_ON_A_TABLE = [one for one in FREE if not one.startswith((r"outcome\.trained", r"outcome\.latency", r"data\."))]
EACH = 3
"""Elements of a list that are changed."""
BASES = (pytest.param("looked_up", marks=pytest.mark.long), "trained")


def leaves(value: Json, where: str = "") -> Iterator[tuple[str, Json]]:
    """The scalars of JSON with their places; the first elements of a list stand for it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value[:EACH]):
            yield from leaves(inner, f"{where}.{number}")
    else:
        yield where, value


def other(value: Json) -> Json:
    """Another value of the same type, in a range where one may be possible."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.9 if abs(value) > 1e-3 else value + 0.1  # a tenth of microseconds is rounding
    return f"{value}0"


@pytest.mark.parametrize("base", BASES)
def test_a_value_that_is_changed_alone_is_rejected(base: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    honest = request.getfixturevalue(base)
    free = FREE if base == "trained" else FREE_ON_A_TABLE
    content = json.loads(Forger(honest).paths[0].read_text(encoding="utf-8"))
    passed = set()
    for number, (where, value) in enumerate(leaves(content)):
        forger = Forger(Path(shutil.copytree(honest, tmp_path / str(number))))
        if where != "provenance.created":
            forger.put(where, other(value))
            if where != "id":
                forger.rename()
        try:
            forger.seal()
        except ValueError:  # no record any more: `verify` has to say so
            forger.hashes()
        if verify(forger.folder, Repeat(cells=0)).exit_code == 0:
            passed.add(where)
        shutil.rmtree(forger.folder)
    assert len(passed) < 100
    assert sorted(where for where in passed if not any(re.fullmatch(one, where) for one in free)) == []


NASTY: list[Json] = [None, True, -1, 0, 2**63, 10**40, 1e308, "", "x" * 5000, "\0\n", "NaN", [], [[]], {}, {"a": None}]


@pytest.mark.parametrize("base", BASES)
def test_no_value_makes_the_verification_crash(base: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Values of other types and sizes, each in the places of a record in turn."""
    honest = request.getfixturevalue(base)
    content = json.loads(Forger(honest).paths[0].read_text(encoding="utf-8"))
    places = [where for where, _ in leaves(content)]
    places += ["diagnostics", "protocol.settings", "strategy.config", "provenance.hardware", "outcome.network"]
    for number, where in enumerate(places):
        forger = Forger(Path(shutil.copytree(honest, tmp_path / str(number))))
        forger.put(where, NASTY[number % len(NASTY)])
        forger.hashes()
        for line in verify(forger.folder, Repeat(cells=0)).disagreements:
            assert str(line).isprintable()
        shutil.rmtree(forger.folder)
