"""Grids of runs, from Python and from the command line."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvnas_bench.api import grid_progress, results
from pvnas_bench.api import progress as bars
from pvnas_bench.api.arguments import Cap, StrPath, checked, fields_of, several
from pvnas_bench.api.boards import leaderboard
from pvnas_bench.api.documented import documented
from pvnas_bench.api.executors import executor_of
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import GridCell, open_cells
from pvnas_bench.grid.compare import compare as run_cells
from pvnas_bench.grid.definition import Grid
from pvnas_bench.grid.executors import Executor, Name
from pvnas_bench.runs.request import Request
from pvnas_bench.system.quiet import quiet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """A grid after its runs.

    Attributes:
        cells: one for each run, with its state, record and accuracy.
        results: folder of the records.
    """

    cells: tuple[GridCell, ...]
    results: Path

    @property
    def complete(self) -> bool:
        """True if every run ended well."""
        return all(cell.state == "ok" for cell in self.cells)

    def leaderboard(self, *, reference: bool = True) -> "pd.DataFrame":
        """The leaderboards of the results folder, as `pvnas_bench.leaderboard`.

        Args:
            reference: True to add the published runs of the same boards.
        """
        return leaderboard(self.results, reference=reference, null=all(cell.request.null for cell in self.cells))


@dataclass(frozen=True)
class Plan:
    """A grid that is ready to run.

    Attributes:
        elsewhere: the runs are on other machines.
    """

    requests: Sequence[Request]
    executor: Executor
    elsewhere: bool

    @property
    def null(self) -> bool:
        """True if the searches are null ones."""
        return self.requests[0].null

    def open(self, display: bars.Display | None = None) -> list[GridCell]:
        """Resolve every request, make the clips ready, and find the runs that are done.

        Raises:
            UsageError: a request cannot work; nothing was run.
        """
        return open_cells(self.requests, None if display is None else bars.Shown(display), elsewhere=self.elsewhere)

    def run(self, cells: Sequence[GridCell], *, retry_failed: bool, progress: bool = True) -> list[GridCell]:
        """Run the unfinished cells, and return all of them as they ended.

        Raises:
            KeyboardInterrupt: interrupted; the same grid resumes.
        """
        state = {cell.path: cell for cell in cells}
        with closing(run_cells(cells, executor=self.executor, retry_failed=retry_failed)) as events:
            if progress:
                grid_progress.watch(state, events)
            else:
                state.update((cell.path, cell) for cell in events)
        return list(state.values())


def plan(
    grid: Path | None,
    keys: Mapping[str, Any],
    shared: Mapping[str, Any],
    *,
    workers: int | None,
    executor: Name = "processes",
    address: str | None = None,
) -> Plan:
    """The grid of a TOML file, of keys, or of both (a key wins).

    Args:
        keys: keys of a grid.
        shared: the fields of every `Request` that a grid's file cannot give, and `first_seed`.

    Raises:
        UsageError: the grid is not valid, or the executor cannot work here.
    """
    values = Grid.load(grid).model_dump(exclude_unset=True) if grid else {}
    if not values and "strategies" not in keys:
        raise UsageError("no strategy to compare: give --strategy, or the TOML file of a grid")
    requests = Grid.parse({**values, **keys}).requests(**shared)
    chosen = executor_of(executor, workers, shared["threads"], shared["device"], address)
    return Plan(requests, chosen, elsewhere=executor == "ray")


@documented("compare")
def compare(
    strategies: StrPath | Iterable[StrPath] | None = None,
    *,
    grid: StrPath | None = None,
    spaces: StrPath | Iterable[StrPath] | None = None,
    datasets: StrPath | Iterable[StrPath] | None = None,
    seeds: int | None = None,
    protocol: StrPath | None = None,
    cap: Cap | None = None,
    budget: float | None = None,
    precision: str | None = None,
    tabular: bool | None = None,
    null: bool | None = None,
    partial: bool | None = None,
    tables: StrPath | None = None,
    deterministic: bool = True,
    device: str = "auto",
    threads: int = 1,
    results: StrPath = results.RUNS,
    weights: bool = False,
    tensorboard: StrPath | None = None,
    mlflow: str | None = None,
    timeout: float | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    executor: Name = "processes",
    ray_address: str | None = None,
    progress: bool = True,
) -> Comparison:
    """Run a grid of strategies, spaces, data sets and seeds side by side: the command ``compare``.

    A run whose record exists is not run again, so the same call resumes a grid that was interrupted. Each run is in a
    process of its own; a script has to guard its call with ``if __name__ == "__main__":``, as `multiprocessing` asks.

    Args:
        strategies: Names or paths, with hyper-parameters in brackets: ``expert[network=tsm]``.
        grid: A TOML file with what the arguments say; an argument wins over the file.
        spaces: Names or paths of spaces. Default: ``st_default``.
        datasets: Names or paths of data sets. Default: ``synthetic_motion``.
        seeds: Number of seeds of each run: 0, 1, …. Default: 3.
        cap: As in `pvnas_bench.run`.
        workers: Runs side by side. Default: every core, or what a cluster has room for.
        retry_failed: Run failed cells again.
        executor: Processes of this machine (processes), or Ray (ray).
        ray_address: Address of a Ray cluster. Default: ``RAY_ADDRESS``, or a Ray of the grid's own.
        progress: Show a live table in a terminal or a notebook, and lines elsewhere.

    Returns:
        The runs with their states, and the leaderboards of their folder.

    Raises:
        UsageError: a cell of the grid cannot run; nothing was run.
        KeyboardInterrupt: interrupted; the same call resumes.
    """
    given = {"protocol": protocol, "cap": cap, "budget": budget, "precision": precision}
    switches = {"tabular": tabular, "null": null, "partial": partial}
    keys: dict[str, Any] = {
        **{name: several(value) for name, value in (("strategies", strategies), ("spaces", spaces))},
        "datasets": several(datasets),
        "seeds": checked(seeds, int | None, "--seeds", 1),
        **fields_of({name: value for name, value in (given | switches).items() if value is not None}),
    }
    shared = fields_of({"tables": tables, "deterministic": deterministic, "device": device, "results": results})
    shared |= fields_of({"weights": weights, "tensorboard": tensorboard, "mlflow": mlflow, "timeout": timeout})
    shared["threads"] = checked(threads, int, "--threads", 1)
    with quiet():
        planned = plan(
            None if grid is None else Path(os.fspath(grid)),
            {name: value for name, value in keys.items() if value is not None},
            shared,
            workers=checked(workers, int | None, "--workers", 1),
            executor=checked(executor, Name, "--executor"),
            address=ray_address,
        )
        if progress:
            with bars.display() as display:
                cells = planned.open(display)
        else:
            cells = planned.open()
        cells = planned.run(cells, retry_failed=retry_failed, progress=progress)
    return Comparison(tuple(cells), shared["results"])
