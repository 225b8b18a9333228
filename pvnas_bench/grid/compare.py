"""A grid of runs: strategies x spaces x data sets x seeds, in parallel, resumable.

Each cell is one `runner.Run` in a new process of an executor. A cell with a record is not run again: the records alone
determine which cells are done, so an interrupted grid resumes.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch

from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import GridCell, State, as_ended, but_seed, recorded
from pvnas_bench.grid.executors import Ending, Executor, Needs
from pvnas_bench.grid.processes import Processes
from pvnas_bench.grid.table_searches import Ended, search_all
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.runs.setup import TrainsOnClips
from pvnas_bench.system import machine
from pvnas_bench.system.leases import held
from pvnas_bench.system.masking import masked
from pvnas_bench.system.signals import GRACE

DONE: frozenset[State] = frozenset({"ok"})
RETRIED: frozenset[State] = frozenset({"failed", "timeout"})
BATCH = 25
"""Seeds of table searches per batch."""
PATIENCE = 2 * GRACE
"""Seconds beyond a cell's time limit until its process is killed, since Python code may ignore the interruption."""


def work(request: Request, patience: float = 0.0) -> None:
    """Run one cell; its record is the result.

    Args:
        patience: seconds to wait for the lease on the cell.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        Run(request)(patience=patience)


def compare(
    cells: Sequence[GridCell], *, workers: int = 1, retry_failed: bool = False, executor: Executor | None = None
) -> Generator[GridCell, None, None]:
    """Run every unfinished cell in a separate process; cells that search on a table share processes.

    Args:
        workers: number of parallel cells, in processes of this machine.
        executor: executor to use instead.

    Yields:
        Each cell when it starts and when it ends.

    Raises:
        UsageError: the executor cannot work here.
    """
    asked = [cell for cell in cells if cell.state not in DONE and (retry_failed or cell.state not in RETRIED)]
    if not asked:
        return
    with executor or Processes(workers) as running:
        alone = [cell for cell in asked if not cell.batched]
        for cell in _look_up([cell for cell in asked if cell.batched], running):
            if cell.batched:
                yield cell
            else:
                alone.append(cell)
        yield from _run(alone, running)


def _run(cells: Sequence[GridCell], executor: Executor) -> Iterator[GridCell]:
    """Run cells as the executor has room."""
    waiting = list(reversed(cells))
    while waiting or executor.busy:
        while waiting and executor.room(needs := _needs(waiting[-1].request)) > 0:
            cell = waiting.pop()
            if (already := _elsewhere(cell)) is not None:
                yield already
                continue
            cell = replace(cell, state="running", note="")
            executor.start(cell, needs, work, cell.request, executor.patience)
            yield cell
        for cell, ending in executor.ended() if executor.busy else ():
            yield _ended(cell, ending)


def _needs(request: Request) -> Needs:
    """Resources that a run's process needs."""
    gpu = request.device.startswith("cuda") or (request.device == "auto" and torch.cuda.is_available())
    limit = None if request.timeout is None else request.timeout + PATIENCE
    return Needs(request.threads or machine.usable_cores(), gpu, limit)


def _elsewhere(cell: GridCell) -> GridCell | None:
    """The cell if another process has finished or is running it; None if it must run."""
    if cell.path.exists() and (finished := recorded(cell)).state in DONE:
        return finished
    holder = held(cell.path)
    return None if holder is None else replace(cell, state="refused", note=f"in use by {holder}")


def _look_up(cells: Sequence[GridCell], executor: Executor) -> Iterator[GridCell]:
    """Search on tables, in batches of a request's seeds.

    Yields:
        Each finished cell, and unfinished the cells of a strategy that trains on clips, which must run alone.
    """
    alike: dict[tuple[object, ...], list[GridCell]] = {}
    for cell in cells:
        alike.setdefault(but_seed(cell.request), []).append(cell)
    batches = []
    for same in alike.values():
        needs = replace(_needs(same[0].request), limit=None, alone=False)
        size = min(BATCH, -(-len(same) // max(executor.room(needs), 1)))
        batches += [(needs, tuple(same[i : i + size])) for i in range(0, len(same), size)]
    for needs, batch in batches:
        executor.start(batch, needs, look_up, batch[0].request, [cell.request.seed for cell in batch])
    while executor.busy:
        for batch, ending in executor.ended():
            if isinstance(ending.error, TrainsOnClips):
                yield from (replace(cell, batched=False) for cell in batch)
            elif ending.value is not None:
                yield from map(as_ended, batch, ending.value)
            else:
                yield from (replace(cell, state="refused", note=_why(ending)) for cell in batch)


def look_up(request: Request, seeds: Sequence[int]) -> list[Ended]:
    """Run `search_all` in a worker."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return search_all(request, seeds)


def _ended(cell: GridCell, ending: Ending) -> GridCell:
    """The cell with the status of its record, or with the reason why there is none."""
    if ending.error is not None:
        return replace(cell, state="refused", note=_why(ending))
    if ending.lost is None:
        return recorded(cell)
    try:
        if ending.late:
            Run(cell.request).lost(
                "timeout", f"killed: it did not stop after {cell.request.timeout:g} s, nor when interrupted"
            )
        else:
            Run(cell.request).lost("failed", ending.lost)
    except UsageError as reason:
        return replace(cell, state="failed", note=f"its process died; {reason}")
    return recorded(cell)


def _why(ending: Ending) -> str:
    return masked(ending.lost or f"{type(ending.error).__name__}: {ending.error}")
