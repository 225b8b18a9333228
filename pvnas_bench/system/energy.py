"""Energy counters of the machine: RAPL for processors and memory (Linux), NVML for NVIDIA GPUs.

Both count the whole device, whatever runs there. RAPL needs the right to read `/sys/class/powercap`, NVML the package
`nvidia-ml-py` (the extra ``energy``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
COUNTED = ("package", "dram")
"""Zones that are counted: a package holds its cores and graphics; the memory is apart from it."""


@dataclass
class Counter:
    """A counter of energy, read in joules.

    Attributes:
        read: its value now; raises OSError where it cannot be read.
        wraps_at: the value at which it starts again from 0; None: it does not.
    """

    read: Callable[[], float]
    wraps_at: float | None = None
    last: float = 0.0


class Meter:
    """Energy since its creation, in joules. Read it more often than counters wrap: half an hour under full load."""

    def __init__(self, folder: Path = POWERCAP, gpu: str | None = None, before: float = 0.0) -> None:
        """Find the counters that can be read.

        Args:
            folder: RAPL's zones.
            gpu: UUID of the GPU to count.
            before: joules of the same phase in an earlier process.
        """
        self._counters: list[Counter] = []
        self._joules = before
        for counter in (*_rapl(folder), *_nvml(gpu)):
            try:
                counter.last = counter.read()
            except (OSError, ValueError):
                continue
            self._counters.append(counter)

    @property
    def joules(self) -> float | None:
        """Energy so far; None: the machine does not say."""
        for counter in list(self._counters):
            try:
                now = counter.read()
            except (OSError, ValueError):
                self._counters.remove(counter)
                continue
            passed = now - counter.last
            if passed < 0:
                passed += counter.wraps_at or -passed
            self._joules += passed
            counter.last = now
        return self._joules if self._counters or self._joules else None


def _rapl(folder: Path) -> Iterator[Counter]:
    for zone in sorted(folder.glob("*-rapl:*")) if folder.is_dir() else ():
        try:
            name = (zone / "name").read_text().strip()
            if name.startswith(COUNTED):
                yield Counter(_microjoules(zone / "energy_uj"), _microjoules(zone / "max_energy_range_uj")())
        except (OSError, ValueError):
            continue


def _microjoules(path: Path) -> Callable[[], float]:
    return lambda: int(path.read_text()) / 1e6


def _nvml(gpu: str | None) -> Iterator[Counter]:
    if gpu is None or find_spec("pynvml") is None:
        return
    nvml: Any = import_module("pynvml")
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:  # no driver, or a GPU without a counter
        return

    def joules() -> float:
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except nvml.NVMLError as error:
            raise OSError(str(error)) from error

    yield Counter(joules)
