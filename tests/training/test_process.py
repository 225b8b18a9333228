"""The process of a run: memory use."""

import subprocess
import sys

PEAK = "from pvnas_bench.training.process import peak_memory; import torch; print(peak_memory(torch.device('cpu')))"


def test_peak_memory_is_of_this_process_and_not_of_its_parent() -> None:
    held = bytearray(b"\1" * (800 << 20))
    found = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True)
    assert 50 << 20 < int(found.stdout) < len(held)


def test_peak_memory_includes_freed_memory() -> None:
    code = f"held = bytearray(b'\\1' * (900 << 20)); del held\n{PEAK}"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(found.stdout) > 900 << 20
