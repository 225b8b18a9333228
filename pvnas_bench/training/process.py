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
    """The device of this name; ``auto``: a GPU where there is one.

    Raises:
        UsageError: the device is unknown, or not on this machine.
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
    """Set torch's threads, and deterministic algorithms if asked for.

    Filling every new tensor before use stays off: it takes a twentieth of a small network's training, and only
    matters for operations that read uninitialised memory, which this package has none of.

    Args:
        mixed: type of the devices whose passes use bfloat16 where that is safe.
    """
    keep_freed_memory()
    filling: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), filling.fill_uninitialized_memory
    if deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # Like `use_deterministic_algorithms`, without loading the compiler: a second and 70 MiB for each process.
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
    """Load PyTorch's compiler now: an optimiser's first step would take a second of the search for it."""
    import_module("torch._dynamo")


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of the device for CUDA, else the largest resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024  # `getrusage` starts from the parent's size
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def gpu_uuid(device: torch.device | None) -> str | None:
    """Identifier of a GPU as NVIDIA's tools know it; None for other devices."""
    if device is None or device.type != "cuda":
        return None
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def hardware(device: torch.device) -> dict[str, Any]:
    """Description of the machine."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": usable_cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
