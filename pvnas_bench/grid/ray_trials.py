"""The trials of one search, trained in parallel Ray workers with the results and charges of a serial run."""

import time
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Needs
from pvnas_bench.grid.ray import RETRIES, Connection, Place
from pvnas_bench.problem import TrialResult
from pvnas_bench.runs.meters import Elsewhere
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.space import Architecture
from pvnas_bench.system import machine
from pvnas_bench.training import process

AHEAD = 2
"""Trials submitted per worker, so that a free worker need not wait for the next."""


class RayTrials:
    """Context manager that trains architectures in Ray workers; a lost trial is trained again."""

    def __init__(self, setup: Setup, workers: int | None = None, address: str | None = None) -> None:
        """Set up the trials; Ray starts when the context is entered.

        Args:
            workers: number of parallel trials; None: as many as Ray's machines can run.
            address: see `Connection`.

        Raises:
            UsageError: Ray is not installed, or the search is on a table.
        """
        if setup.table is not None:
            raise UsageError("a search on a table trains nothing: omit --executor ray or --tabular")
        if setup.device.index:
            raise UsageError("Ray chooses among the GPUs: give --device cuda")
        self._connection = Connection(address)
        self._workers = workers
        self._needs = Needs(setup.threads, setup.device.type == "cuda")
        self._request = replace(setup.request, threads=setup.threads, device=setup.device.type)
        self._running: dict[tuple[Architecture, int], tuple[Any, Future[TrialResult]]] = {}
        self._used = Elsewhere()

    def __enter__(self) -> Self:
        workers = self._workers or max(machine.usable_cores() // self._needs.threads, 1)
        self._connection.open(workers * self._needs.threads)
        places = self._connection.places(self._needs)
        if not places and self._connection.local:
            self._connection.close()
            raise UsageError(f"a trial needs {self._needs.threads} CPUs, which this machine lacks: change --threads")
        self._most = AHEAD * (self._workers or max(places, 1))
        ray = self._connection.ray
        self._train = ray.remote(
            num_cpus=self._needs.threads, num_gpus=int(self._needs.gpu), max_retries=RETRIES, max_calls=0
        )(_train)
        self._place, self._asked = ray.put(Place()), ray.put(self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.drop()
        finally:
            self._connection.close()

    @property
    def room(self) -> bool:
        return len(self._running) < self._most

    @property
    def used(self) -> Elsewhere:
        return self._used

    def __contains__(self, trial: object) -> bool:
        return trial in self._running

    def submit(self, architecture: Architecture, epochs: int) -> None:
        reference = self._train.remote(self._place, self._asked, str(architecture), epochs)
        self._running[architecture, epochs] = reference, reference.future()

    def take(self, architecture: Architecture, epochs: int) -> TrialResult | None:
        _, future = self._running[architecture, epochs]
        errors = self._connection.ray.exceptions
        try:
            # Not `ray.get`, which handles only Ctrl-C and would ignore a time limit.
            trained = future.result()
        except errors.RayTaskError as error:
            raise error.cause or error from None
        except errors.RayError:
            trained = None
        del self._running[architecture, epochs]
        if trained is not None:
            used = self._used
            self._used = Elsewhere(used.cpu_seconds + trained.cpu_seconds, max(used.memory, trained.memory))
        return trained

    def drop(self) -> None:
        """Cancel the running trials, whose results are not needed."""
        for reference, _ in self._running.values():
            self._connection.ray.cancel(reference, force=True)
        self._running.clear()


_opened: dict[str, Setup] = {}
"""Setup of this worker's search, cached to open the clips only once."""


def _train(place: Place, request: Request, architecture: str, epochs: int) -> TrialResult:
    """Train an architecture in a worker, with a separate ledger."""
    key = repr((place, request))
    if key not in _opened:
        place.enter()
        _opened.clear()
        _opened[key] = Setup(request, Observer())
        process.load_compiler()
    setup = _opened[key]
    begun = time.process_time()
    with setup.configured():
        search = Search(setup, Observer())
        problem, ledger = search.problem, search.ledger
        ledger.budget = float("inf")  # the run has checked that it fits
        evaluation = problem.evaluate(setup.space.parse(architecture), epochs)
    return TrialResult(
        evaluation.top1,
        evaluation.loss,
        evaluation.curve,
        ledger.macs,
        ledger.samples,
        dict(problem.failures),
        time.process_time() - begun,
        process.peak_memory(setup.device),
    )
