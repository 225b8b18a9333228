"""One run, from Python and from the command line."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

from pvnas_bench.api import progress as shows
from pvnas_bench.api.arguments import Cap, StrPath, checked, request_of
from pvnas_bench.api.documented import documented
from pvnas_bench.api.outcome import RunResult
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.placing import placed
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.runs.search import OtherProcesses
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system.quiet import quiet
from pvnas_bench.training.distributed import ALONE, World, joined

Trials = Literal["serial", "ray"]


@documented("run")
def run(
    strategy: StrPath,
    *,
    space: StrPath = Request.space,
    dataset: StrPath = Request.dataset,
    protocol: StrPath | None = None,
    cap: Cap | None = None,
    budget: float | None = None,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    precision: str = "float32",
    tabular: bool = False,
    null: bool = False,
    partial: bool = False,
    tables: StrPath | None = None,
    deterministic: bool = True,
    cached: bool = True,
    device: str = "auto",
    threads: int | None = None,
    results: StrPath = "results/runs",
    weights: bool = True,
    tensorboard: StrPath | None = None,
    mlflow: str | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 60.0,
    timeout: float | None = None,
    cache: StrPath | None = None,
    executor: Trials = "serial",
    workers: int | None = None,
    ray_address: str | None = None,
    progress: bool = True,
    observer: Observer | None = None,
) -> RunResult:
    """Search, train the architecture found, test it, and write the record: the command ``run``.

    A run that was interrupted resumes when it is asked for again with the same arguments.

    Args:
        settings: Hyper-parameters of the strategy, such as ``{"cycles": 2}``.
        cap: Largest cost of a network: MACs as a cap of the space or a number, parameters as ``"params=30k"``, latency
            on this machine as ``"latency=3ms"``, or a list of these. Default: the space's first.
        cache: Folder of decoded clips. Default: the environment variable ``PVNAS_BENCH_CACHE``, or the user's cache.
        executor: Train the trials of a search one by one (serial), or side by side in workers of Ray (ray).
        workers: Trials side by side on Ray. Default: what there is room for.
        ray_address: Address of a Ray cluster. Default: ``RAY_ADDRESS``, or a Ray of the run's own.
        progress: Show bars in a terminal or a notebook, and lines elsewhere.
        observer: Receives the events of the run instead of the progress display.

    Returns:
        The record and its path. A failed run has a record too: see its ``status``.

    Raises:
        UsageError: the request cannot work; nothing was written to the results.
        KeyboardInterrupt: interrupted before the search began. Later the record says so.
    """
    request = request_of(
        strategy,
        settings,
        space=space,
        dataset=dataset,
        protocol=protocol,
        cap=cap,
        budget=budget,
        seed=seed,
        precision=precision,
        tabular=tabular,
        null=null,
        partial=partial,
        tables=tables,
        deterministic=deterministic,
        cached=cached,
        device=device,
        threads=threads,
        results=results,
        weights=weights,
        tensorboard=tensorboard,
        mlflow=mlflow,
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        timeout=timeout,
        cache=cache,
    )
    with quiet():
        on = on_ray(executor, checked(workers, int | None, "--workers", 1), ray_address)
        with joined() as world, observed(observer, progress and world.first) as watching:
            return execute(request, watching, on, world)


@contextmanager
def observed(observer: Observer | None, progress: bool) -> Iterator[Observer]:
    """The observer, or one that shows progress while the context lasts."""
    if observer is not None or not progress:
        yield observer or Observer()
        return
    with shows.display() as display:
        yield shows.Shown(display)


@dataclass(frozen=True)
class OnRay:
    """Settings for training trials on Ray.

    Attributes:
        workers: number of parallel trials; None: as many as fit.
        address: address of a cluster; None: RAY_ADDRESS, else a local Ray.
    """

    workers: int | None
    address: str | None


def on_ray(executor: str, workers: int | None, address: str | None) -> OnRay | None:
    """Check the options of the executor; None if trials are trained in the run itself.

    Raises:
        UsageError: an option of Ray without --executor ray, an unknown executor, or Ray is not installed.
    """
    checked(executor, Trials, "--executor")
    if executor == "ray":
        from pvnas_bench.grid.ray import Connection

        Connection(address)  # fails before clips are prepared
        return OnRay(workers, address)
    if workers is not None or address is not None:
        raise UsageError("--workers and --ray-address apply to Ray only: add --executor ray")
    return None


def execute(
    request: Request, observer: Observer | None = None, on: OnRay | None = None, world: World = ALONE
) -> RunResult:
    """Run a request.

    Args:
        on: train the trials on Ray; None: in the run itself.
        world: the processes of the run, each with the same request.

    Raises:
        UsageError: the request cannot work; nothing was written to the results.
        KeyboardInterrupt: interrupted before the search began.
        RankLost: a process has ended before the search began.
    """
    if world.size > 1 and on is not None:
        raise UsageError(
            "torchrun and --executor ray cannot be combined: torchrun splits each training, Ray distributes the "
            "trials of a search; choose one"
        )
    prepared = Run(request, observer, world)
    with _trials(prepared.setup, on) as trials:
        record, path = prepared(trials=trials)
    return RunResult(record, path, placed(record, prepared.setup) if world.first else None)


def _trials(setup: Setup, on: OnRay | None) -> AbstractContextManager[OtherProcesses | None]:
    """Trainer of a search's trials; None: the run itself."""
    if on is None:
        return nullcontext()
    from pvnas_bench.grid.ray_trials import RayTrials

    return RayTrials(setup, on.workers, on.address)
