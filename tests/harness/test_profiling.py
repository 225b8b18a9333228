"""The sampling profiler: what the clock is on, and which function of the package."""

import sys

from pvnas_bench.profiling import HARNESS, Samples, sampled
from pvnas_bench.training import Clock


def test_samples_are_counted_by_the_clocks_activity() -> None:
    samples, clock = Samples(), Clock()
    samples.take(sys._getframe())
    assert not samples.counts  # no phase runs
    samples.clock = clock
    samples.take(sys._getframe())
    with clock("forward"):
        samples.take(sys._getframe())
        samples.take(sys._getframe())
    activities = [activity for (activity, _), n in samples.counts.items() for _ in range(n)]
    assert sorted(activities) == ["forward", "forward", HARNESS]


def test_a_function_of_the_package_stands_for_what_it_calls() -> None:
    samples = Samples()
    samples.clock = Clock()

    def called() -> None:
        samples.take(sys._getframe())

    called()
    called.__globals__["__name__"] = "pvnas_bench.strategies.made_up"  # as a strategy of a file of its own
    try:
        called()
    finally:
        called.__globals__["__name__"] = __name__
    functions = [function for _, function in samples.counts]
    assert functions[0] == "elsewhere"
    assert functions[1].endswith("called")
    shares = samples.top(HARNESS, 5)
    assert sum(share for _, share in shares) == 1.0
    assert len(samples.top(HARNESS, 1)) == 1


def test_a_thread_samples_the_one_that_entered() -> None:
    with sampled() as samples:
        samples.clock = Clock()
        with samples.clock("forward"):
            while samples.counts.total() < 3:
                pass
    assert {activity for activity, _ in samples.counts} == {"forward"}
