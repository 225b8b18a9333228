"""Killed runs, and comparison of their records with those of uninterrupted runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMED = ("wall", "latency_ms", "created", "peak_memory_bytes", "speed", "command")
"""Fields of a record that differ between equal runs, besides all whose names end in seconds."""

FAMILIES = {
    "pvnas": "differentiable",
    "spos": "one-shot, then evolution",
    "enas": "reinforcement",
    "nni_darts": "of another library",
    "nas_tc": "progressive",
    "regularized_evolution": "evolution",
    "optuna_tpe": "Bayesian",
    "successive_halving": "rungs of fidelity",
}


class Nursery:
    """Starts runs; see `nursery.py`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery died"
        return json.loads(line)

    def begin(self, *, kill_after: float | None = None, fault: Mapping[str, Any] | None = None, **request: Any) -> None:
        """Start a request in a separate process, optionally to be killed.

        Args:
            fault: arguments of `faults.layer`, which is around the run.
        """
        assert self._process.stdin is not None
        task = {"request": request, "kill_after": kill_after, "fault": fault}
        print(json.dumps(task), file=self._process.stdin, flush=True)

    def end(self) -> tuple[int, float]:
        """Wait for the end; return the exit code and lifetime in seconds."""
        code, seconds = self._read()
        return code, seconds

    def live(self, **how: Any) -> tuple[int, float]:
        """`begin`, then `end`."""
        self.begin(**how)
        return self.end()


@contextmanager
def nursery(*strategies: str) -> Iterator[Nursery]:
    """A nursery that knows these strategies."""
    command = [sys.executable, os.fspath(Path(__file__).with_name("nursery.py")), *strategies]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


def determined(record: Any) -> Any:
    """Fields of a record's JSON that are equal in all runs of its request."""
    if isinstance(record, Mapping):
        return {
            key: determined(value)
            for key, value in record.items()
            if key not in TIMED and not key.endswith("seconds") and value is not None
        }
    return [determined(item) for item in record] if isinstance(record, list) else record


def the_record(results: Path) -> dict[str, Any]:
    """The record of a folder that contains nothing else but the weights of a successful run."""
    (folder,) = results.iterdir()
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    expected = ["model.safetensors", "record.json"] if found["status"] == "ok" else ["record.json"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    return found
