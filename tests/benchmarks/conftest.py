"""Measurement functions of benchmarks, and imports of the tests' helpers."""

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import pytest

from pvnas_bench.training import process

Alternated = Callable[[Mapping[str, Callable[[], object]], int], dict[str, float]]


@pytest.fixture
def alternated() -> Alternated:
    """Median CPU seconds of several workloads in turns, so that other load affects all of them equally."""

    def measure(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(rounds + 1):
            for name, do in work.items():
                start = time.process_time()
                do()
                seconds[name].append(time.process_time() - start)
        return {name: median(found[1:]) for name, found in seconds.items()}

    return measure


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread and keep freed memory, as in runs."""
    with process.configured(1, deterministic=True):
        yield
