"""The sampling profiler: activity of the clock and function of the package."""

import importlib.util
import sys
from types import FunctionType

import pytest

from pvnas_bench.runs import profiling
from pvnas_bench.runs.profiling import HARNESS, STRATEGY, Samples, sampled
from pvnas_bench.training.workbench import Clock


def test_samples_are_counted_by_the_clocks_activity() -> None:
    samples, clock = Samples(), Clock()
    samples.take(sys._getframe())
    assert not samples.counts  # no phase runs
    samples.begin(clock)
    samples.take(sys._getframe())
    with clock("forward"):
        samples.take(sys._getframe())
        samples.take(sys._getframe())
    activities = [activity for (activity, _), n in samples.counts.items() for _ in range(n)]
    assert sorted(activities) == ["forward", "forward", HARNESS]


def take_within(samples: Samples, *modules: str) -> None:
    """Sample a stack of functions from these modules, outermost first."""

    def call(rest: tuple[str, ...]) -> None:
        if not rest:
            samples.take(sys._getframe())
        else:
            scope = {**globals(), "__name__": f"pvnas_bench.{rest[0]}"}
            FunctionType(call.__code__, scope, closure=call.__closure__)(rest[1:])

    call(modules)


def test_a_sample_counts_for_the_innermost_function_of_the_package() -> None:
    samples = Samples()
    samples.begin(Clock())
    samples.take(sys._getframe())
    take_within(samples, "strategies.made_up")  # as a strategy of a file of its own
    take_within(samples, "search")
    functions = [function for _, function in samples.counts]
    assert functions[0] == "elsewhere"
    assert all(function.endswith("take_within.<locals>.call") for function in functions[1:])
    assert [share for _, share in samples.top(HARNESS, 5)] == [pytest.approx(1 / 3)] * 2
    assert [share for _, share in samples.top(STRATEGY, 5)] == [pytest.approx(1 / 3)]
    assert len(samples.top(HARNESS, 1)) == 1


def test_the_sampler_samples_the_thread_that_entered() -> None:
    with sampled() as samples:
        samples.begin(clock := Clock())
        with clock("forward"):
            while samples.counts.total() < 3:
                pass
    assert {activity for activity, _ in samples.counts} == {"forward"}


@pytest.mark.parametrize(
    ("modules", "whose"),
    [
        (("runs.search", "strategies.made_up"), STRATEGY),
        (("runs.search", "strategies.made_up", "methods.gates"), STRATEGY),
        (("runs.search", "strategies.made_up", "problem"), HARNESS),
        (("runs.search", "strategies.made_up", "problem", "training.train", "video._batches"), HARNESS),
        (("runs.search", "records"), HARNESS),
        (("video",), HARNESS),
    ],
)
def test_time_outside_the_clock_is_the_strategys_or_the_harnesss(modules: tuple[str, ...], whose: str) -> None:
    samples = Samples()
    samples.begin(Clock())
    take_within(samples, *modules)
    ((activity, _),) = samples.counts
    assert activity == whose


def test_the_harness_modules_that_are_named_exist() -> None:
    assert {name for name in {*profiling.DOORS, profiling.AFTER} if importlib.util.find_spec(name) is None} == set()


def test_the_strategys_share_is_of_a_phase() -> None:
    samples = Samples()
    for stacks in ([("runs.search", "strategies.made_up")] * 3 + [("runs.search",)], [("runs.final",)]):
        samples.begin(Clock())
        for modules in stacks:
            take_within(samples, *modules)
        take_within(samples, "runs.runner", "runs.yardstick")  # after the phases
    assert (samples.strategys(0), samples.strategys(1)) == (0.75, 0.0)
    assert samples.counts.total() == 5
