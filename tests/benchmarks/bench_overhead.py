"""The share of a search's wall time that is neither data, forward, backward nor optimiser. It stays below 3 %."""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench.records import Record
from pvnas_bench.runner import Request, Run


@pytest.mark.parametrize("strategy", ["pvnas", "random_search"])
def test_overhead(benchmark: BenchmarkFixture, tmp_path: Path, strategy: str) -> None:
    run = Run(Request(strategy, results=tmp_path))
    found: list[Record] = []
    benchmark.pedantic(lambda: found.append(run()[0]), rounds=1)
    (record,) = found
    assert record.status == "ok"
    seconds, wall = record.search.seconds, record.search.wall_seconds
    benchmark.extra_info |= {name: f"{share / wall:.2%}" for name, share in seconds.items()}
    benchmark.extra_info["peak MiB"] = record.search.peak_memory_bytes >> 20
    print(f"\n{strategy}:", ", ".join(f"{name} {share}" for name, share in benchmark.extra_info.items()))
