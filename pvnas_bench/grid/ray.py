"""Executor on Ray: on a local instance that ends with the executor, or on a running cluster.

Ray starts workers, places tasks by CPUs and GPUs, repeats tasks after the loss of a worker or machine, and transfers
results; this module implements none of that. https://docs.ray.io
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from pvnas_bench import release
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Ending, Executor, Needs
from pvnas_bench.system import machine
from pvnas_bench.system.leases import BEAT, SILENCE
from pvnas_bench.system.signals import GRACE

RETRIES = 3
"""Largest number of repetitions of a task after the loss of its worker (Ray's default)."""
LEAVING = 5.0
"""Seconds beyond the grace period for interrupted tasks to write their results."""
ANSWER = 10.0
"""Seconds to wait for a cluster's answer."""
OBJECTS = 2**27
"""Bytes of a local Ray's object store; the objects are small."""
CACHE = "PVNAS_BENCH_CACHE"


def load() -> Any:
    """Import the package `ray`.

    Raises:
        UsageError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # today's default, which warns if unset
    os.environ.setdefault("RAY_worker_niceness", "0")  # not 15: records hold timings
    try:
        return import_module("ray")
    except ImportError:
        raise UsageError("Ray is not installed: pip install 'pvnas-bench[ray]', or omit --executor ray") from None


@dataclass(frozen=True)
class Place:
    """Settings that workers, possibly on other machines, must share with this process."""

    folder: str = field(default_factory=os.getcwd)
    cache: str | None = field(default_factory=lambda: os.environ.get(CACHE))
    version: str = release.VERSION

    def enter(self) -> None:
        """Change to the same folder and use the same cache; called in a worker.

        Raises:
            UsageError: this machine lacks the folder, or has another version of the package.
        """
        here = os.uname().nodename
        if self.version != release.VERSION:
            raise UsageError(f"{here} has pvnas-bench {release.VERSION}: install {self.version} there")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot be opened on {here} ({error.strerror}): put it on a file system that all "
                "machines share"
            ) from None
        if self.cache is not None:
            os.environ[CACHE] = self.cache


class Connection:
    """This process's connection to Ray."""

    def __init__(self, address: str | None = None) -> None:
        """Load Ray; nothing starts yet.

        Args:
            address: address of a cluster, ``host:port``; None: RAY_ADDRESS, else a local Ray. An existing connection of
                this process is reused.

        Raises:
            UsageError: Ray is not installed, or the address is one of the Ray client.
        """
        self.ray = load()
        self.address = address or os.environ.get("RAY_ADDRESS") or "local"
        self.local = self.address == "local"
        if "://" in self.address:
            raise UsageError(
                f"{self.address} is an address of the Ray client, which is not supported: run on a machine of the "
                "cluster and give host:port"
            )
        self._connected = False

    def open(self, cpus: int) -> None:
        """Connect to the cluster, or start a local Ray.

        Args:
            cpus: CPUs of a local Ray; ignored for a cluster.

        Raises:
            UsageError: there is no cluster at the address, or Ray cannot be started.
        """
        if self.ray.is_initialized():
            return
        settings: dict[str, Any] = {}
        if self.local:
            settings = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": OBJECTS}
        else:
            self._reach()
        main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **settings)
        except (ConnectionError, RuntimeError, ValueError) as error:
            remedy = (
                "check that this machine allows Ray to start"
                if self.local
                else "check that a Ray cluster is there and that this process has its token"
            )
            raise UsageError(
                f"no Ray at {self.address} ({str(error).strip().partition(chr(10))[0]}): {remedy}"
            ) from None
        finally:
            if main:
                signal.signal(signal.SIGTERM, handler)  # Ray's handler would end this process at once
        self._connected = True

    def _reach(self) -> None:
        """Check that a server answers at the address; Ray itself would retry for minutes.

        Raises:
            UsageError: no server answers.
        """
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            return  # a keyword of Ray, such as auto
        try:
            socket.create_connection((host, int(port)), timeout=ANSWER).close()
        except OSError as error:
            raise UsageError(
                f"no Ray at {self.address} ({error.strerror or error}): start one with `ray start --head`"
            ) from None

    def close(self) -> None:
        """Disconnect if this object connected; this ends a local Ray."""
        if self._connected:
            self._connected = False
            self.ray.shutdown()

    def places(self, needs: Needs) -> int:
        """Number of tasks with these needs that Ray's machines can run at once, busy or not."""
        places = 0
        for node in self.ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                fits = int(has.get("CPU", 0)) // needs.threads
                places += min(fits, int(has.get("GPU", 0))) if needs.gpu else fits
        return places


@dataclass
class _Task:
    """A task submitted to Ray."""

    key: Hashable
    needs: Needs
    begun: bool = False
    killed_at: float | None = None
    """Monotonic time at which it is killed unless it has ended."""
    killed: bool = False


class Ray(Executor):
    """Executor on Ray. A task restarts after the loss of its worker, on another machine if necessary."""

    patience = (SILENCE + 5) * BEAT

    def __init__(self, workers: int | None = None, address: str | None = None, threads: int = 1) -> None:
        """Set up the executor; Ray starts when it is opened.

        Args:
            workers: number of parallel tasks; None: as many as Ray's machines can run.
            address: see `Connection`.
            threads: threads of a task, which determine the size of a local Ray.

        Raises:
            UsageError: see `Connection`.
        """
        self._connection = Connection(address)
        self._ray = self._connection.ray
        self._workers, self._threads = workers, threads
        self._place = Place()
        self._tasks: dict[Any, _Task] = {}

    def open(self) -> None:
        workers = self._workers or max(machine.usable_cores() // self._threads, 1)
        self._connection.open(workers * self._threads)

    def room(self, needs: Needs) -> int:
        return (self._workers or max(self._connection.places(needs), 1)) - len(self._tasks)

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def start(self, key: Hashable, needs: Needs, work: Callable[..., Any], *args: Any) -> None:
        if self._connection.local and not self._connection.places(needs):
            gpu = " and a GPU" if needs.gpu else ""
            raise UsageError(
                f"a run needs {needs.threads} CPUs{gpu}, which this machine lacks: change --device or --threads"
            )
        generator = _remote(needs.threads, needs.gpu, needs.alone).remote(self._place, work, *args)
        self._tasks[generator] = _Task(key, needs)

    def ended(self) -> Iterator[tuple[Any, Ending]]:
        for generator in self._ready(self._kill_late()):
            task = self._tasks[generator]
            ending = self._next(generator, task)
            if ending is not None:
                del self._tasks[generator]
                yield task.key, ending

    def _ready(self, timeout: float | None) -> list[Any]:
        """Tasks that have newly started or ended."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=timeout)
        return list(ready)

    def _next(self, generator: Any, task: _Task) -> Ending | None:
        """Ending of a ready task; None if it has only started."""
        errors = self._ray.exceptions
        try:
            value = self._ray.get(next(generator))
        except errors.TaskCancelledError as error:
            return Ending(lost="it was killed", late=True) if task.killed else Ending(error=error)
        except errors.RayTaskError as error:
            return Ending(error=error.cause or error)
        except errors.RayError as error:
            return Ending(lost=f"its process died {1 + RETRIES} times ({type(error).__name__})", late=task.killed)
        if task.begun:
            return Ending(value)
        task.begun = True
        if task.needs.limit is not None:
            task.killed_at = time.monotonic() + task.needs.limit
        return None

    def _kill_late(self) -> float | None:
        """Kill tasks that ignore their time limit; return the seconds until the next kill is due."""
        waits = []
        for generator, task in self._tasks.items():
            if task.killed_at is None or task.killed:
                continue
            left = task.killed_at - time.monotonic()
            if left <= 0:
                self._ray.cancel(generator, force=True)
                task.killed = True
            else:
                waits.append(left)
        return min(waits, default=None)

    def close(self) -> None:
        try:
            for generator in self._tasks:
                self._ray.cancel(generator)  # a SIGINT in the worker, which a run obeys at its next boundary
            until = time.monotonic() + GRACE + LEAVING
            while self._tasks and (left := until - time.monotonic()) > 0:
                for generator in self._ready(left):
                    if self._next(generator, self._tasks[generator]) is not None:
                        del self._tasks[generator]
            for generator in self._tasks:
                self._ray.cancel(generator, force=True)
        finally:
            self._tasks.clear()
            self._connection.close()


@cache
def _remote(threads: int, gpu: bool, alone: bool) -> Any:
    """Wrap `_task` as a Ray remote function."""
    ray = load()
    return ray.remote(
        num_cpus=threads,
        num_gpus=int(gpu),
        max_retries=RETRIES,
        max_calls=int(alone),
        num_returns="streaming",
    )(_task)


def _task(place: Place, work: Callable[..., Any], *args: Any) -> Iterator[Any]:
    """Run a task in a worker. Report its start first, so that time in the queue does not count."""
    yield None
    place.enter()
    yield work(*args)
