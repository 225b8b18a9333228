"""The commands that search: `run`, `profile`, `compare`; `latency`, and `test`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pvnas_bench.cli._options import Cells, Json, On, RayAddress, Reference, declared, on_grid, on_request
from pvnas_bench.runs.request import Request


class Trials(StrEnum):
    """Executors for the trials of a `run`."""

    serial = "serial"
    ray = "ray"


@on_request
def run(
    request: Request,
    *,
    executor: Annotated[
        Trials, typer.Option(help="Train trials one after the other in the run itself, or in parallel Ray workers.")
    ] = Trials.serial,
    ray_address: RayAddress = None,
    workers: Annotated[
        int | None, typer.Option(help="Parallel trials on Ray.  [default: as many as fit]", min=1)
    ] = None,
    reference: Reference = True,
    json: Json = False,
) -> int:
    """Search, train and test the final architecture, and show it on its leaderboard.

    The last line of standard output is the path of the run's record.json.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.api.runs import on_ray
        from pvnas_bench.cli import _run

        on = on_ray(executor.value, workers, ray_address)
        return _run.run(request, reference=reference, as_json=json, on=on)


@on_request
def profile(
    request: Request,
    *,
    functions: Annotated[
        int, typer.Option(help="Number of functions to list, of the strategy and of the harness.", min=0)
    ] = 8,
    json: Json = False,
) -> int:
    """Show where a run spends its time, by activity and between strategy and harness, without keeping its record."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _profile

        return _profile.profile(request, functions=functions, as_json=json)


@on_grid
def compare(
    keys: Mapping[str, Any],
    shared: Mapping[str, Any],
    *,
    grid: Annotated[
        Path | None, typer.Argument(help="TOML file with the grid; an option overrides it.", metavar="[GRID.toml]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Parallel runs.  [default: one per core, or as many as fit on a cluster]", min=1),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    reference: Reference = True,
) -> int:
    """Run a grid of strategies, spaces, data sets and seeds in parallel, and show the leaderboards.

    A cell with a record is not run again, so the same command resumes; several such commands can share one results
    folder.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _compare

        return _compare.compare(
            grid,
            keys,
            shared,
            workers=workers,
            retry_failed=retry_failed,
            reference=reference,
            executor=executor.value,
            address=ray_address,
        )


def latency(
    space: Annotated[str, declared("space")] = Request.space,
    dataset: Annotated[
        str | None, typer.Option(help="The networks tell the classes of this data set apart.  [default: 16 classes]")
    ] = None,
    architectures: Annotated[
        list[str] | None,
        typer.Option("--architecture", help="Measure this one; may be repeated.  [default: random ones]", metavar="A"),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Measure the networks of the runs in this folder that have a cap on latency.", metavar="DIR"),
    ] = None,
    networks: Annotated[int, typer.Option(help="How many random networks to measure.", min=2)] = 50,
    device: Annotated[str, declared("device")] = Request.device,
    threads: Annotated[int | None, declared("threads")] = None,
    precision: Annotated[str, declared("precision")] = Request.precision,
    again: Annotated[bool, typer.Option("--again", help="Measure the table again.")] = False,
    json: Json = False,
) -> int:
    """Show this machine's latency table of a space, which --cap latency= is of, and its error on measured networks.

    The table is measured once and kept in the cache folder.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _latency

        return _latency.show(
            space,
            dataset,
            architectures or [],
            results,
            networks=networks,
            device=device,
            threads=threads,
            precision=precision,
            again=again,
            as_json=json,
        )


def test(
    strategy: Annotated[
        str, typer.Argument(help="A name from `list strategies`, or the path of a .py file.", metavar="STRATEGY")
    ],
) -> int:
    """Check that a strategy follows the contract; one line per check, exit code 1 if one fails."""
    from pvnas_bench.cli import _test
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _test.test(strategy)
