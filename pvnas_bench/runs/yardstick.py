"""Speed relative to a yardstick: seconds of the code and of a reference workload, alternating in one process."""

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
    """Time pieces of work and the reference in turns; return the minimum of each.

    Alternation exposes all to the same load of the machine; the minimum is the least disturbed repetition. One untimed
    round comes first.

    Args:
        pieces: one pass of the work by name, synchronised if it runs on an accelerator.
        reference: work whose speed no change of this project affects; the same for all runs to be compared.
    """
    work: dict[str, Callable[[], object]] = {"": reference, **pieces}
    if len(work) != len(pieces) + 1:
        raise ValueError("a piece of work needs a name")
    least = dict.fromkeys(work, float("inf"))
    for repetition in range(repetitions + 1):
        for name, run in work.items():
            start = clock()
            run()
            seconds = clock() - start
            if repetition:
                least[name] = min(least[name], seconds)
    return Speed(reference_seconds=least.pop(""), seconds=least)
