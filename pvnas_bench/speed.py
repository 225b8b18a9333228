"""Speed on a scale that machines share: seconds of the code beside those of a reference workload."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from pvnas_bench.records import Speed

REPETITIONS = 15


def reference_workload() -> None:
    """A fixed amount of work that no change of this project can speed up or slow down.

    Matrix products and passes over memory, which is what networks are made of; some 10 ms on one core.
    """
    matrix = np.full((384, 384), 0.5, np.float32)
    for _ in range(4):
        matrix = (matrix @ matrix) / np.float32(192)
    memory = np.ones(1 << 20, np.float32)
    for _ in range(4):
        memory = np.maximum(memory * np.float32(0.5), np.float32(0.25))
    if not (np.isfinite(matrix).all() and np.isfinite(memory).all()):
        raise ArithmeticError("the reference workload went wrong")


def measure(
    pieces: Mapping[str, Callable[[], object]],
    *,
    reference: Callable[[], object] = reference_workload,
    repetitions: int = REPETITIONS,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time pieces of work and the reference in turns, and keep the least of each.

    Taking turns exposes all to the same neighbours; the least of several is the repetition that they disturbed
    least. One untimed round comes first.

    Args:
        pieces: of each name, one pass of the work, synchronised if it runs on an accelerator.
        reference: what the pieces are compared with; the same for every run that is to be compared.
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
