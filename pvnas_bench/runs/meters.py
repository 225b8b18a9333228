"""Resource use of a phase of a run (search, final training)."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pvnas_bench import records
from pvnas_bench.ledger import Ledger
from pvnas_bench.training import process
from pvnas_bench.training.workbench import Clock


@dataclass(frozen=True)
class Elsewhere:
    """Resource use of other processes: CPU seconds, and memory of the largest in bytes."""

    cpu_seconds: float = 0.0
    memory: int = 0


NOTHING = Elsewhere()


@dataclass(frozen=True)
class Phase:
    """A phase: clocks at its start in seconds, and memory used before it in bytes."""

    wall: float
    cpu: float
    memory: int = 0

    @classmethod
    def begin(cls) -> "Phase":
        """Start a phase now."""
        return cls(time.perf_counter(), _cpu_seconds())

    @property
    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return time.perf_counter() - self.wall

    def state(self, device: torch.device, elsewhere: Elsewhere = NOTHING) -> list[float]:
        """Resource use so far."""
        memory = max(self.memory, elsewhere.memory, process.peak_memory(device))
        return [self.elapsed, _cpu_seconds() - self.cpu + elsewhere.cpu_seconds, memory]

    @classmethod
    def resumed(cls, state: Sequence[float]) -> "Phase":
        """Resume a phase now from its `state` in another process."""
        wall, cpu, memory = state
        return cls(time.perf_counter() - wall, _cpu_seconds() - cpu, int(memory))

    def cost(
        self, ledger: Ledger, clock: Clock, device: torch.device, elsewhere: Elsewhere = NOTHING
    ) -> records.PhaseCost:
        """Resource use since the start."""
        wall = self.elapsed
        other = wall - sum(clock.seconds.values())
        table = {"table": clock.simulated} if clock.simulated else {}
        return records.PhaseCost(
            reference_trainings=ledger.spent,
            macs=ledger.macs,
            wall_seconds=wall + clock.simulated,
            cpu_seconds=_cpu_seconds() - self.cpu + elsewhere.cpu_seconds + clock.simulated,
            seconds=clock.seconds | table | {"harness": other},
            peak_memory_bytes=max(self.memory, elsewhere.memory, process.peak_memory(device)),
            samples=ledger.samples,
            architectures_evaluated=ledger.evaluations,
            overshoot=ledger.overshoot,
        )


def _cpu_seconds() -> float:
    return sum(os.times()[:4])
