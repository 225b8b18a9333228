"""The commands that search: `run`, `profile`, `compare`; `latency`, and `test`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pvnas_bench.cli._options import Json, Reference, declared, on_grid, on_request
from pvnas_bench.run.request import Request

RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Address of a Ray cluster, for --executor ray.  [default: RAY_ADDRESS, or a Ray of its own]",
        metavar="HOST:PORT",
    ),
]


class Trials(StrEnum):
    """What trains the trials of a `run`."""

    serial = "serial"
    ray = "ray"


class Cells(StrEnum):
    """What runs the cells of a `compare`."""

    processes = "processes"
    ray = "ray"


@on_request
def run(
    request: Request,
    *,
    executor: Annotated[
        Trials, typer.Option(help="Train trials one by one in the run itself, or side by side in workers of Ray.")
    ] = Trials.serial,
    ray_address: RayAddress = None,
    workers: Annotated[
        int | None, typer.Option(help="Trials side by side on Ray.  [default: what there is room for]", min=1)
    ] = None,
    reference: Reference = True,
    json: Json = False,
) -> int:
    """Search, train the architecture found, test it, and show it on its leaderboard.

    The last line of standard output is the path of the run's record.json.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _run

        on = _run.on_ray(executor.value, workers, ray_address)
        return _run.run(request, reference=reference, as_json=json, on=on)


@on_request
def profile(
    request: Request,
    *,
    functions: Annotated[int, typer.Option(help="How many functions of strategy and harness to name.", min=0)] = 8,
    json: Json = False,
) -> int:
    """Show where a run's time goes, by activity, and between strategy and harness. No record is kept."""
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
        Path | None, typer.Argument(help="A TOML file with what the options say.", metavar="[GRID.toml]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Runs side by side.  [default: every core, or what a cluster has room for]", min=1),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    executor: Annotated[
        Cells, typer.Option(help="Processes of this machine, or Ray: on this machine or on a cluster.")
    ] = Cells.processes,
    ray_address: RayAddress = None,
    reference: Reference = True,
) -> int:
    """Run a grid of strategies, spaces, data sets and seeds side by side, and show the leaderboards.

    A cell whose record exists is not run again, so the same command resumes, also beside another such command on the
    same results.
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
        str, typer.Argument(help="A name of `list strategies`, or a .py file of your own.", metavar="STRATEGY")
    ],
) -> int:
    """Check that a strategy keeps to the contract: a line for each check, exit code 1 if one fails."""
    from pvnas_bench.cli import _test
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _test.test(strategy)
