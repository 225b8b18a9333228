"""Speed relative to a yardstick: seconds of several workloads and of a reference workload in the same process."""

import time
from collections.abc import Callable, Mapping

from pvnas_bench.records import Speed

REPETITIONS = 15


def measure(
    pieces: Mapping[str, Callable[[], object]],
    *,
    reference: Callable[[], object],
    repetitions: int = REPETITIONS,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time several workloads and the reference in alternation; return the minimum of each.

    Alternation exposes all of them to the same load of the machine; the minimum is the least disturbed repetition. The
    first round is not timed.

    Args:
        pieces: by name, a function that runs one pass of a workload; on an accelerator it must synchronise.
        reference: a workload whose speed no change of this project affects; the same for all compared runs.

    Raises:
        ValueError: a workload has no name.
    """
    work: dict[str, Callable[[], object]] = {"": reference, **pieces}
    if len(work) != len(pieces) + 1:
        raise ValueError("a workload needs a name")
    least = dict.fromkeys(work, float("inf"))
    for repetition in range(repetitions + 1):
        for name, run in work.items():
            start = clock()
            run()
            seconds = clock() - start
            if repetition:
                least[name] = min(least[name], seconds)
    return Speed(reference_seconds=least.pop(""), seconds=least)
