"""Speed relative to a yardstick: seconds of several workloads and of a reference workload in the same process."""

import time
from collections.abc import Callable, Mapping

from pvnas_bench.records import Speed

TURNS = 4
PASSES = 4
"""Timed passes of a turn, after one that is not timed."""


def measure(
    pieces: Mapping[str, Callable[[], object]],
    *,
    reference: Callable[[], object],
    turns: int = TURNS,
    passes: int = PASSES,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time several workloads and the reference in alternation; return the seconds of the fastest pass of each.

    Alternation exposes all of them to the same load of the machine; the fastest pass is the least disturbed one. The
    first pass of each turn is not timed: it finds the caches filled by the workload before it.

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
    for _ in range(turns):
        for name, run in work.items():
            run()
            for _ in range(passes):
                start = clock()
                run()
                least[name] = min(least[name], clock() - start)
    return Speed(reference_seconds=least.pop(""), seconds=least)
