"""The training process: device, threads, deterministic algorithms, and memory use."""

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
    """Return the device of this name; ``auto``: a GPU if there is one, else the CPU.

    Raises:
        UsageError: the device is unknown, or this machine does not have it.
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
    """Context that sets torch's number of threads, deterministic algorithms and mixed precision.

    Filling of uninitialised memory stays off: it takes a twentieth of a small network's training time, and no operation
    of this package reads uninitialised memory.

    Args:
        mixed: device type whose passes use autocast to bfloat16.
    """
    keep_freed_memory()
    filling: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), filling.fill_uninitialized_memory
    if deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # Like `use_deterministic_algorithms`, but without loading the compiler: a second and 70 MiB per process.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    filling.fill_uninitialized_memory = False
    # Weights change with every step: bfloat16 copies must not be cached.
    precision = torch.autocast(mixed, torch.bfloat16, cache_enabled=False) if mixed else nullcontext()
    try:
        with precision:
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        filling.fill_uninitialized_memory = before[2]


def load_compiler() -> None:
    """Load PyTorch's compiler now; otherwise an optimiser's first step would load it within the timed search."""
    import_module("torch._dynamo")


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: allocated on a CUDA device, else the largest resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists() and (match := re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(match[1]) * 1024  # `getrusage` would include the parent's size
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def gpu_uuid(device: torch.device | None) -> str | None:
    """Identifier of a GPU as NVIDIA's tools know it; None for other devices."""
    if device is None or device.type != "cuda":
        return None
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def hardware(device: torch.device) -> dict[str, Any]:
    """Description of the machine's hardware for a record."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": usable_cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
