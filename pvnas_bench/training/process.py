"""The process that trains: device, threads, deterministic algorithms, and the memory it used."""

import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from pvnas_bench.errors import UsageError
from pvnas_bench.system.machine import keep_freed_memory, processor, usable_cores


def choose_device(name: str) -> torch.device:
    """The device of this name; ``auto``: a GPU where there is one.

    Raises:
        UsageError: unknown, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"no device {name!r} here: {torch.cuda.device_count()} CUDA devices found, choose cpu")
    return device


@contextmanager
def configured(threads: int, deterministic: bool, mixed: str | None = None) -> Iterator[None]:
    """Within the context torch uses this many threads, and deterministic algorithms if asked for.

    Of those it leaves out that torch fills every new tensor before use, a twentieth of a small network's training: for
    operations that read what was never written, of which there are none here.

    Args:
        mixed: type of the devices on which passes are computed in bfloat16 where that is safe.
    """
    keep_freed_memory()
    filling: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), filling.fill_uninitialized_memory
    if deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # As `use_deterministic_algorithms`, which would load the compiler too: a second and 70 MiB for each process.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    filling.fill_uninitialized_memory = False
    # Weights change with every step: none may be kept in bfloat16.
    precision = torch.autocast(mixed, torch.bfloat16, cache_enabled=False) if mixed else nullcontext()
    try:
        with precision:
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        filling.fill_uninitialized_memory = before[2]


def load_compiler() -> None:
    """Load PyTorch's compiler now: the first step of an optimiser would, and a second of a search would go by."""
    import_module("torch._dynamo")


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device for CUDA, else the largest resident size of this process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024  # what `getrusage` tells of a process begins with the size of the one it is made by
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def hardware(device: torch.device) -> dict[str, Any]:
    """The machine, in words."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": usable_cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
