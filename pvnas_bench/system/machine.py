"""The machine of a run: cores, memory allocation, processor, libraries and commit."""

import ctypes
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "numpy", "nni", "optuna", "decord", "decord2", "av", "pandas", "scipy", "scikit-learn", "moocore")
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def usable_cores() -> int:
    """Number of cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step instead of returning it to the system.

    Otherwise each step page-faults its activations in again, and takes 1.3 to 1.6 times as long. Other C libraries are
    unaffected.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(M_TOP_PAD, 64 << 20)


def libraries() -> dict[str, str]:
    """Installed versions of the libraries that may affect results."""
    return dict(_libraries())


@cache
def _libraries() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def processor() -> str:
    """The processor's name, with family and model where the system tells them."""
    cpuinfo = Path("/proc/cpuinfo")
    told = processor_of(cpuinfo.read_text(errors="replace")) if cpuinfo.is_file() else None
    return told or platform.processor() or "unknown"


def processor_of(cpuinfo: str) -> str | None:
    """Name, family and model of the first processor in the text of Linux' /proc/cpuinfo; None if it has no name.

    A virtual machine may hide the name's number: "AMD EPYC" is several generations, whose results differ in the last
    digit.
    """
    lines = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    numbers = [f"{word} {facts[key]}" for key, word in (("cpu family", "family"), ("model", "model")) if key in facts]
    name = facts.get("model name")
    return f"{name} ({', '.join(numbers)})" if name and numbers else name


@cache
def commit() -> str | None:
    """The commit of this package's checkout; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip()
