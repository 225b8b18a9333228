"""The commands `table …`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Cells, Dataset, Json, On, RayAddress, Tables

MicroSpace = Annotated[
    str, typer.Option("--space", help="A small space: a name of `list spaces`, or a .py file of your own.")
]
MicroProtocol = Annotated[str, typer.Option("--protocol", help="The recipe of every training.")]


def build(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    protocol: MicroProtocol = "micro",
    seed: Annotated[
        list[int] | None, typer.Option(help="Of the trainings; may be repeated.  [default: 0]", min=0)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only so many random architectures, the same for every seed.", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings side by side, one thread each.  [default: every core]", min=1)
    ] = None,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    tables: Tables = None,
) -> int:
    """Train every network of a small space, and keep what each reaches.

    The same command resumes an interrupted build. Given on several machines that share the folder, it divides the work
    among them. The last line of standard output is the table's path.
    """
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.build(
            space, dataset, protocol, seed or [0], sample, tables, workers, executor=executor.value, address=ray_address
        )


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders with tables of one recipe.", metavar="DIR...")],
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    tables: Tables = None,
) -> int:
    """Add the trainings of other folders' tables to a table, and print its path.

    Of a training in several folders the first is kept, and one in the table before all.
    """
    from pvnas_bench.cli import _table

    return _table.merge(folders, space, dataset, tables)


def info(
    space: MicroSpace = "st_micro", dataset: Dataset = "synthetic_motion", tables: Tables = None, json: Json = False
) -> int:
    """Say what a table holds, and how it was made."""
    from pvnas_bench.cli import _table

    return _table.info(space, dataset, tables, as_json=json)


def query(
    architecture: Annotated[str, typer.Argument(help="Its string, as other commands print it.", metavar="ARCH")],
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    tables: Tables = None,
    json: Json = False,
) -> int:
    """Show what an architecture reached with each seed."""
    from pvnas_bench.cli import _table

    return _table.query(architecture, space, dataset, tables, as_json=json)


def verify(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    sample: Annotated[int, typer.Option(help="Architectures trained again.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Of the choice of architectures.", min=0)] = 0,
    tables: Tables = None,
) -> int:
    """Train a random sample of a table again: exit code 1 if it differs by more than other seeds do."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.verify(space, dataset, sample, seed, tables)


def report(
    space: MicroSpace = "st_micro",
    dataset: Annotated[
        list[str] | None, typer.Option(help="A data set with a table; may be repeated.  [default: synthetic_motion]")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Runs on the tables, for regret curves.", metavar="DIR")] = None,
    baseline: Annotated[str, typer.Option(help="The entry that is the line to beat.")] = "random_search",
    tables: Tables = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Score every untrained network too, which needs the clips and minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="The page; its pictures lie beside it.  [default: results/SPACE.md]", metavar="FILE"),
    ] = None,
) -> int:
    """Write a page of what the tables of a space teach, and print its path."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        page = output or Path("results", f"{Path(space).stem}.md")
        return _table.report(
            space, dataset or ["synthetic_motion"], results, tables, page, scores=scores, baseline=baseline
        )
