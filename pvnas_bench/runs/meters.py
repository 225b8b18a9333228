"""Resource use of a phase of a run (search, final training)."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from pvnas_bench import records
from pvnas_bench.ledger import Ledger
from pvnas_bench.system.energy import Meter
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
    """A phase: clocks at its start in seconds, memory used before it in bytes, and the meter of its energy."""

    wall: float
    cpu: float
    memory: int = 0
    energy: Meter = field(default_factory=Meter)

    @classmethod
    def begin(cls, device: torch.device | None = None) -> "Phase":
        """Start a phase now.

        Args:
            device: the energy of this GPU counts as well.
        """
        return cls(time.perf_counter(), _cpu_seconds(), energy=Meter(gpu=process.gpu_uuid(device)))

    @property
    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return time.perf_counter() - self.wall

    def tick(self) -> None:
        """Read the energy counters, which start again from 0 after a while."""
        _ = self.energy.joules

    def state(self, device: torch.device, elsewhere: Elsewhere = NOTHING) -> list[float]:
        """Resource use so far."""
        memory = max(self.memory, elsewhere.memory, process.peak_memory(device))
        cpu = _cpu_seconds() - self.cpu + elsewhere.cpu_seconds
        return [self.elapsed, cpu, memory, self.energy.joules or 0.0]

    @classmethod
    def resumed(cls, state: Sequence[float], device: torch.device | None = None) -> "Phase":
        """Resume a phase now from its `state` in another process."""
        wall, cpu, memory, joules = state
        meter = Meter(gpu=process.gpu_uuid(device), before=joules)
        return cls(time.perf_counter() - wall, _cpu_seconds() - cpu, int(memory), meter)

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
            energy_joules=self.energy.joules,
        )


def _cpu_seconds() -> float:
    return sum(os.times()[:4])
