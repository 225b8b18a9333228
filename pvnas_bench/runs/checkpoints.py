"""Checkpoints: files next to the future record, from which a killed run resumes.

A checkpoint is one safetensors file; its name holds a number and the hash of its content. The newest two are kept: if
the newest is truncated or damaged, its hash no longer matches and the previous one is used.
"""

import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from pvnas_bench.runs import states
from pvnas_bench.runs.observer import Observer
from pvnas_bench.system import files
from pvnas_bench.system.leases import Claim
from pvnas_bench.system.signals import Stop
from pvnas_bench.training.distributed import World

NAME = re.compile(r"checkpoint-(?P<number>\d{6})-(?P<hash>[0-9a-f]{32})\.safetensors")
KEPT = 2
RATIO = 200
"""Minimum interval between checkpoints as a multiple of the last one's duration: at most 0.5 % of a run's time."""

State = Mapping[str, Any]


class Resumable(Protocol):
    """What checkpoints are of: a run, or a training on its own."""

    @property
    def path(self) -> Path:
        """The future result; checkpoints are next to it."""

    @property
    def device(self) -> torch.device:
        """Where tensors go that were not on the CPU."""

    @property
    def world(self) -> World:
        """The processes that work on it."""

    @property
    def checkpoint_seconds(self) -> float | None:
        """Least seconds between two checkpoints; None: none are written."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What must match to resume: the request and the code."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, setup: Resumable, claim: Claim | None, stop: Stop, observer: Observer) -> None:
        """Prepare the checkpoints; in a run of several processes, only the first reads and writes files.

        Args:
            claim: lease of the first process on the record; None in the other processes.
        """
        self._folder, self._device, self._world = setup.path.parent, setup.device, setup.world
        self._claim, self._stop, self._observer = claim, stop, observer
        self._identity = dict(setup.identity)
        self._every = setup.checkpoint_seconds
        self._last, self._took = time.perf_counter(), 0.0
        self.failures: list[str] = []
        """Reasons of failed checkpoint writes."""

    def boundary(self, state: Callable[[], State]) -> None:
        """Write a checkpoint if one is due; call it where the run can resume.

        Raises:
            KeyboardInterrupt: a stop was requested, in this process or another; the checkpoint is written.
            RankLost: another process of the run has ended.
        """
        asked = self._world.any(self._stop.asked)
        if self._every is not None and (asked or self._due(self._every)):
            self._write(state)
        if asked:
            self._stop.leave()

    def settle(self) -> None:
        """Acknowledge an interruption."""
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
        except Exception as error:  # strategy code; its search can still succeed
            self._every = None
            self._observer.warned(f"this run cannot resume if it is killed: {error}")
            return
        known = self._files()
        number = known[-1][0] + 1 if known else 0
        try:
            files.write_atomically(self._folder / f"checkpoint-{number:06d}-{_hash(content)}.safetensors", content)
        except OSError as error:
            self.failures.append(error.strerror or str(error))
            self._observer.warned(f"the checkpoint cannot be written: {self.failures[-1]}")
        else:
            for _, old in known[: len(known) + 1 - KEPT]:
                old.unlink(missing_ok=True)
        self._last = time.perf_counter()
        self._took = self._last - begun

    def load(self) -> State | None:
        """The newest intact checkpoint of this code and this request; None if there is none."""
        content, state = self._newest() if self._world.first else (None, None)
        content = self._world.from_first(content)
        return state if self._world.first or content is None else states.decode(content, self._device)

    def _newest(self) -> tuple[bytes | None, State | None]:
        """File content and state of the newest checkpoint."""
        for _, path in reversed(self._files()):
            content = files.read_whole(path, sys.maxsize)
            if NAME.fullmatch(path.name)["hash"] != _hash(content):  # type: ignore[index]
                self._observer.warned(f"{path.name} is damaged: it is ignored")
                continue
            try:
                state: State = states.decode(content, self._device)
                if state["identity"] == self._identity:
                    return content, state
            except (states.Damaged, LookupError, TypeError) as error:
                self._observer.warned(f"{path.name} is not a checkpoint ({error}): it is ignored")
                continue
            self._observer.warned(f"{path.name} was written by another version of the code: the run starts over")
        return None, None

    def thin(self) -> None:
        """Delete all but the newest checkpoint, to free space for the record on a full disk."""
        for _, path in self._files()[:-1]:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all checkpoints and the temporary files of killed processes."""
        for _, path in self._files():
            path.unlink(missing_ok=True)
        for leftover in self._folder.glob(".checkpoint-*"):
            leftover.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        return found(self._folder)


def found(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints in the folder of a run's record, as (number, file), in ascending order."""
    matches = [(match, path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return sorted((int(match["number"]), path) for match, path in matches)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
