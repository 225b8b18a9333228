"""Worker processes of this machine."""

import math
import multiprocessing
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

from pvnas_bench.grid.executors import Ending, Executor, Needs
from pvnas_bench.system.workers import begin


@dataclass
class _Worker:
    """The process of one task."""

    key: Hashable
    pool: ProcessPoolExecutor
    process: multiprocessing.process.BaseProcess
    killed_at: float
    """Monotonic time at which it is killed unless it has ended."""
    killed: bool = False


class Processes(Executor):
    """Executor of local processes: each isolated task has its own process, other tasks share workers."""

    def __init__(self, workers: int) -> None:
        """Set up the executor; processes start with their tasks."""
        self.workers = workers
        self._alone: dict[Future[Any], _Worker] = {}
        self._shared: dict[Future[Any], Hashable] = {}
        self._pool: ProcessPoolExecutor | None = None

    def open(self) -> None:
        """Do nothing: processes start with their tasks."""

    def room(self, needs: Needs) -> int:
        return self.workers - len(self._alone) - len(self._shared)

    @property
    def busy(self) -> bool:
        return bool(self._alone or self._shared)

    def start(self, key: Hashable, needs: Needs, work: Callable[..., Any], *args: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        if not needs.alone:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self.workers, mp_context=spawn, initializer=begin)
            self._shared[self._pool.submit(work, *args)] = key
            return
        before = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=partial(begin, told=True))
        future = pool.submit(work, *args)
        (process,) = set(multiprocessing.active_children()) - before
        limit = math.inf if needs.limit is None else needs.limit
        self._alone[future] = _Worker(key, pool, process, time.monotonic() + limit)

    def ended(self) -> Iterator[tuple[Any, Ending]]:
        futures = wait([*self._alone, *self._shared], timeout=self._kill_late(), return_when=FIRST_COMPLETED)
        for future in futures.done:
            if future in self._shared:
                yield self._shared.pop(future), _ending(future)
            else:
                worker = self._alone.pop(future)
                worker.pool.shutdown()
                yield worker.key, _ending(future, worker)

    def _kill_late(self) -> float | None:
        """Kill workers that ignore their time limit; return the seconds until the next kill is due."""
        waits = []
        for worker in self._alone.values():
            left = worker.killed_at - time.monotonic()
            if left <= 0 and not worker.killed:
                worker.process.kill()
                worker.killed = True
            elif math.isfinite(left):
                waits.append(left)
        return min(waits, default=None)

    def close(self) -> None:
        for worker in self._alone.values():
            worker.process.terminate()
        for worker in self._alone.values():
            worker.pool.shutdown(cancel_futures=True)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _ending(future: "Future[Any]", worker: _Worker | None = None) -> Ending:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        if worker is None:
            return Ending(lost="its process died")
        worker.process.join()
        return Ending(lost=f"its process died (exit code {worker.process.exitcode})", late=worker.killed)
    return Ending(future.result()) if error is None else Ending(error=error)
