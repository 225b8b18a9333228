"""Checkpoints: what a run needs to go on after its process was killed, beside where its record will be.

A checkpoint is one safetensors file whose name holds its number and the hash of its content. The newest two are kept: a
file that was torn, or damaged later, does not fit its name, and the one before serves.
"""

import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import pvnas_bench
from pvnas_bench.run import states
from pvnas_bench.run.observer import Observer
from pvnas_bench.run.setup import Setup
from pvnas_bench.system import files
from pvnas_bench.system.leases import Claim
from pvnas_bench.system.signals import Stop

NAME = re.compile(r"checkpoint-(?P<number>\d{6})-(?P<hash>[0-9a-f]{32})\.safetensors")
KEPT = 2
RATIO = 200
"""At least so many times as long as a checkpoint took passes until the next one: 0.5 % of a run's time, at most."""

State = Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, setup: Setup, claim: Claim | None, stop: Stop, observer: Observer) -> None:
        """Of several processes the first reads and writes; all go on from what it has read.

        Args:
            claim: None in the other processes.
        """
        self._folder, self._device, self._world = setup.path.parent, setup.device, setup.world
        self._claim, self._stop, self._observer = claim, stop, observer
        self._identity = identity(setup)
        self._every = None if setup.table is not None else setup.request.checkpoint_seconds
        self._last, self._took = time.perf_counter(), 0.0
        self.failures: list[str] = []
        """Why checkpoints could not be written."""

    def boundary(self, state: Callable[[], State]) -> None:
        """Write a checkpoint if it is time to; call it where the run could go on from.

        Raises:
            KeyboardInterrupt: somebody asked to stop, this process or another; the checkpoint is written.
            RankLost: a process has ended.
        """
        asked = self._world.any(self._stop.asked)
        if self._every is not None and (asked or self._due(self._every)):
            self._write(state)
        if asked:
            self._stop.leave()

    def settle(self) -> None:
        """An interruption was heard."""
        self._stop.settle()

    def _due(self, every: float) -> bool:
        wait = max(every, RATIO * self._took) if every else 0.0
        return time.perf_counter() - self._last >= wait

    def _write(self, state: Callable[[], State]) -> None:
        if self._claim is None:
            return
        self._claim.check()
        begun = time.perf_counter()
        try:
            content = states.encode({"identity": self._identity, **state()})
        except Exception as error:  # a strategy's own code; its search can end well all the same
            self._every = None
            reason = "the strategy has no state_dict" if isinstance(error, NotImplementedError) else str(error)
            self._observer.warned(f"this run cannot go on if it is killed: {reason}")
            return
        known = self._files()
        number = known[-1][0] + 1 if known else 0
        try:
            files.write_atomically(self._folder / f"checkpoint-{number:06d}-{_hash(content)}.safetensors", content)
        except OSError as error:
            self.failures.append(error.strerror or str(error))
            self._observer.warned(f"no checkpoint could be written: {self.failures[-1]}")
        else:
            for _, old in known[: len(known) + 1 - KEPT]:
                old.unlink(missing_ok=True)
        self._last = time.perf_counter()
        self._took = self._last - begun

    def load(self) -> State | None:
        """The newest checkpoint that is whole, of this code and this request; None: there is none."""
        content, state = self._newest() if self._world.first else (None, None)
        content = self._world.from_first(content)
        return state if self._world.first or content is None else states.decode(content, self._device)

    def _newest(self) -> tuple[bytes | None, State | None]:
        """Its content, as it is in the file, and what that says."""
        for _, path in reversed(self._files()):
            content = files.read_whole(path, sys.maxsize)
            if NAME.fullmatch(path.name)["hash"] != _hash(content):  # type: ignore[index]
                self._observer.warned(f"{path.name} is damaged: the run goes on from before it")
                continue
            try:
                state: State = states.decode(content, self._device)
                if state["identity"] == self._identity:
                    return content, state
            except (states.Damaged, LookupError, TypeError) as error:
                self._observer.warned(f"{path.name} is no checkpoint ({error}): it is left out")
                continue
            self._observer.warned(f"{path.name} is of another version of the code: the run begins anew")
        return None, None

    def thin(self) -> None:
        """Leave only the newest: room for a record on a disk that is full."""
        for _, path in self._files()[:-1]:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all of them, and what a process that was killed left."""
        for _, path in self._files():
            path.unlink(missing_ok=True)
        for leftover in self._folder.glob(".checkpoint-*"):
            leftover.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        return found(self._folder)


def found(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a run by the folder of its record: their numbers, ascending, and files."""
    matches = [(match, path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return sorted((int(match["number"]), path) for match, path in matches)


def identity(setup: Setup) -> dict[str, str]:
    """What a checkpoint goes on only with: the request, and the code that its state is of."""
    module = sys.modules[setup.kind.__module__].__file__
    return {
        "run": setup.id,
        "pvnas_bench": pvnas_bench.__version__,
        "torch": str(torch.__version__),
        "strategy": _hash(Path(module).read_bytes()) if module else "",
    }


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
