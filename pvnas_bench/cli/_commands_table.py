"""The commands `table …`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Dataset, Json, Tables

MicroSpace = Annotated[
    str, typer.Option("--space", help="A small space: a name from `list spaces`, or the path of a .py file.")
]
MicroProtocol = Annotated[str, typer.Option("--protocol", help="Protocol with the recipe of every training.")]


def build(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    protocol: MicroProtocol = "micro",
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of the trainings; may be repeated.  [default: 0]", min=0)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="Number of random architectures, the same for every seed.  [default: all]", min=1),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Parallel trainings, one thread each.  [default: one per core]", min=1)
    ] = None,
    tables: Tables = None,
) -> int:
    """Train every architecture of a small space, and store the results in a table.

    After an interruption the same command resumes. The last line of standard output is the table's path.
    """
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.build(space, dataset, protocol, seed or [0], sample, workers, tables)


def info(
    space: MicroSpace = "st_micro", dataset: Dataset = "synthetic_motion", tables: Tables = None, json: Json = False
) -> int:
    """Show the content and the provenance of a table."""
    from pvnas_bench.cli import _table

    return _table.info(space, dataset, tables, as_json=json)


def query(
    architecture: Annotated[
        str, typer.Argument(help="String of the architecture, as other commands print it.", metavar="ARCH")
    ],
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    tables: Tables = None,
    json: Json = False,
) -> int:
    """Show the results of an architecture with each seed."""
    from pvnas_bench.cli import _table

    return _table.query(architecture, space, dataset, tables, as_json=json)


def verify(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    sample: Annotated[int, typer.Option(help="Number of architectures to train again.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of architectures.", min=0)] = 0,
    tables: Tables = None,
) -> int:
    """Train a random sample of a table again; exit code 1 if the results differ more than those of two seeds."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.verify(space, dataset, sample, seed, tables)


def report(
    space: MicroSpace = "st_micro",
    dataset: Annotated[
        list[str] | None, typer.Option(help="Data set with a table; may be repeated.  [default: synthetic_motion]")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of records of runs on the tables, for regret curves.", metavar="DIR")
    ] = None,
    baseline: Annotated[str, typer.Option(help="Entry that the others are compared with.")] = "random_search",
    tables: Tables = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Add zero-cost scores of every architecture; needs the clips, and minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file; its plots go to the same folder.  [default: results/SPACE.md]", metavar="FILE"
        ),
    ] = None,
) -> int:
    """Write a page about the tables of a space and the searches on them, and print its path."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        page = output or Path("results", f"{Path(space).stem}.md")
        return _table.report(
            space, dataset or ["synthetic_motion"], results, tables, page, scores=scores, baseline=baseline
        )
