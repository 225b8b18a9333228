"""What a phase of a run (search, final training) consumes."""

import os
import time
from dataclasses import dataclass

import torch

from pvnas_bench import records, runtime
from pvnas_bench.ledger import Ledger
from pvnas_bench.training import Clock


@dataclass(frozen=True)
class Phase:
    """A phase that began at these clocks, in seconds."""

    wall: float
    cpu: float

    @classmethod
    def begin(cls) -> "Phase":
        """A phase that begins now."""
        return cls(time.perf_counter(), _cpu_seconds())

    def cost(self, ledger: Ledger, clock: Clock, device: torch.device) -> records.Cost:
        """What was consumed since it began."""
        wall = time.perf_counter() - self.wall
        other = wall - sum(clock.seconds.values())
        table = {"table": clock.simulated} if clock.simulated else {}
        return records.Cost(
            reference_trainings=ledger.spent,
            macs=ledger.macs,
            wall_seconds=wall + clock.simulated,
            cpu_seconds=_cpu_seconds() - self.cpu + clock.simulated,
            seconds=clock.seconds | table | {"harness": other},
            peak_memory_bytes=runtime.peak_memory(device),
            samples=ledger.samples,
            architectures_evaluated=ledger.evaluations,
            overshoot=ledger.overshoot,
        )


def _cpu_seconds() -> float:
    return sum(os.times()[:4])
