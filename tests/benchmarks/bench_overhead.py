"""Overhead of strategy and harness: share of a search's wall time outside data, passes and optimiser.

The goal is 1 % for the harness.
"""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench.cli._profile import seconds_of
from pvnas_bench.records import Record
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.profiling import sampled
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.training.workbench import Clock


@pytest.mark.parametrize("strategy", ["pvnas", "random_search"])
def test_overhead(benchmark: BenchmarkFixture, tmp_path: Path, strategy: str) -> None:
    found: list[Record] = []
    with sampled() as samples:

        class Sampled(Observer):
            def timed(self, clock: Clock) -> None:
                samples.begin(clock)

        run = Run(Request(strategy, results=tmp_path, threads=1), Sampled())
        benchmark.pedantic(lambda: found.append(run()[0]), rounds=1)
    (record,) = found
    assert record.status == "ok"
    seconds, wall = seconds_of(record.search, samples.strategys(0)), record.search.wall_seconds
    benchmark.extra_info |= {name: f"{share / wall:.2%}" for name, share in seconds.items()}
    benchmark.extra_info["peak MiB"] = record.search.peak_memory_bytes >> 20
    print(f"\n{strategy}:", ", ".join(f"{name} {share}" for name, share in benchmark.extra_info.items()))
