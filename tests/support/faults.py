"""Fault injection between code and disk: the n-th call that changes a file fails, or all from the n-th on."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest

Fault = Literal["ENOSPC", "EIO", "torn", "lying", "kill"]
"""The system's errors; a write of which only half is done before the error; one of which only half reaches the disk
though the system says otherwise; the end of the process."""
CALLS = ("write", "fsync", "replace", "ftruncate", "link")


@dataclass
class Layer:
    """Calls that passed the layer."""

    fault: Fault | None
    at: int
    lasting: bool
    calls: int = 0
    failed: int = 0


@contextmanager
def layer(fault: Fault | None = None, at: int = 0, *, lasting: bool = False) -> Iterator[Layer]:
    """Context in which the `at`-th call, counted from 0, fails; lasting: and all later ones."""
    state = Layer(fault, at, lasting)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, _failing(state, name, getattr(os, name)))
        yield state


def _failing(state: Layer, name: str, real: Any) -> Any:
    def call(*arguments: Any) -> Any:
        number = state.calls
        state.calls += 1
        if state.fault is None or (number < state.at if state.lasting else number != state.at):
            return real(*arguments)
        state.failed += 1
        if state.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "write" and state.fault in ("torn", "lying"):
            handle, content = arguments
            real(handle, content[: len(content) // 2])
            if state.fault == "lying":
                return len(content)
        if state.fault == "lying":
            return real(*arguments)
        code = errno.ENOSPC if state.fault == "ENOSPC" else errno.EIO
        raise OSError(code, os.strerror(code))

    return call
