"""The commands `claims …`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Cells, Json, On, RayAddress, Tables, declared

Output = Annotated[
    Path,
    typer.Option(
        help="Markdown page; results and plots go to the folder beside it, and the HTML page.", metavar="FILE"
    ),
]
Claims = Annotated[
    Path | None,
    typer.Option("--claims", help="Folder with TOML files of claims.  [default: those of the package]", metavar="DIR"),
]
PAGE = Path("results/claims.md")


def list_(claims: Claims = None, output: Output = PAGE, json: Json = False) -> int:
    """List the claims, with the verdicts of the results beside the page."""
    from pvnas_bench.cli import _claims

    return _claims.show(claims, output, as_json=json)


def run(
    names: Annotated[list[str], typer.Argument(help="Names from `claims list`, or all.", metavar="NAME...|all")],
    claims: Claims = None,
    results: Annotated[Path, typer.Option(help="Folder of the records.", metavar="DIR")] = Path("results/claims_runs"),
    records: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder whose records serve too, if they are of the same run and code; may be repeated. The published "
            "ones, in a folder `records` beside the results, serve in any case.",
            metavar="DIR",
        ),
    ] = None,
    clips: Annotated[
        list[str] | None,
        typer.Option(
            "--clips", help="Where the clips of a data set are, NAME=PATH; may be repeated.", metavar="NAME=PATH"
        ),
    ] = None,
    tables: Tables = None,
    device: Annotated[str, declared("device")] = "cpu",
    workers: Annotated[
        int | None,
        typer.Option(help="Parallel runs.  [default: one per core, or as many as fit on a cluster]", min=1),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Also write the records of the claims, packed, to the folder `records`.")
    ] = False,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    output: Output = PAGE,
) -> int:
    """Run what claims need, judge them, and write the page of all claims.

    A run with a record is not repeated, so the same command resumes, and with all records it writes the same page.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _claims

        return _claims.run(
            names,
            claims,
            results,
            records or [],
            clips or [],
            output,
            tables=tables,
            device=device,
            workers=workers,
            retry_failed=retry_failed,
            publishing=publish,
            executor=executor.value,
            address=ray_address,
        )


def page(claims: Claims = None, output: Output = PAGE) -> int:
    """Write the page of all claims from the results beside it, without running anything, and print its path."""
    from pvnas_bench.cli import _claims

    return _claims.page(claims, output)
