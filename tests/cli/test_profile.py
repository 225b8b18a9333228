import json
from pathlib import Path

import pytest

from pvnas_bench.cli import OK, USAGE

from .conftest import BUDGET, Cli


def words(dataset: Path) -> tuple[object, ...]:
    return ("profile", "--strategy", "random_search", "--dataset", dataset, "--budget", BUDGET, "--threads", 1)


def test_a_profile_shows_the_activities_of_both_phases_and_the_harness_by_function(
    cli: Cli, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli(*words(tiny_dataset), "--json")
    assert ended.code == OK
    found = json.loads(ended.out)
    assert set(found["phases"]) == {"search", "final training"}
    for seconds in found["phases"].values():
        assert set(seconds) == {"augment", "forward", "backward", "optimiser", "strategy", "harness"}
        assert seconds.pop("strategy") >= 0  # a sample may not have met it
        assert all(value > 0 for value in seconds.values())
    assert 0 < len(found["harness_functions"]) <= 8
    assert 0 < sum(found["harness_functions"].values()) < 1
    assert list(tmp_path.iterdir()) == []  # no record is kept


def test_the_shares_of_a_phase_sum_to_one(cli: Cli, tiny_dataset: Path) -> None:
    ended = cli(*words(tiny_dataset), "--functions", 0)
    lines = {line.split()[0]: line.split() for line in ended.out.splitlines()[2:]}
    shares = [
        float(lines[name][3].rstrip("%"))
        for name in ("augment", "forward", "backward", "optimiser", "strategy", "harness")
    ]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert "where the harness's time went" not in ended.out


def test_requests_that_cannot_run_cannot_be_profiled(cli: Cli) -> None:
    ended = cli("profile", "--strategy", "pvnaz")
    assert ended.code == USAGE
    assert "pvnas" in ended.errors[0]
