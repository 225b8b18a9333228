"""The commands of submissions: `submit`, `verify`, `checklist`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Reference, Tables

Records = Annotated[list[Path], typer.Argument(help="Records, or folders of them.", metavar="RECORDS...")]


def submit(
    records: Records,
    strategy: Annotated[
        str, typer.Option(help="The .py file that the runs were made with, or a name of `list strategies`.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="The folder.  [default: named after the strategy, in results/submissions]", metavar="DIR"),
    ] = None,
    tables: Tables = None,
) -> int:
    """Make a folder of results for a pull request: records, source, manifest, commands, checklist.

    The last line of standard output is its path.
    """
    from pvnas_bench.cli import _submission
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _submission.submit(records, strategy, output, tables)


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that `submit` made.", metavar="FOLDER")],
    cells: Annotated[
        int,
        typer.Option(help="Runs to repeat, drawn by a hash of the content; 0: run none of the submitted code.", min=0),
    ] = 1,
    cell: Annotated[
        list[str] | None, typer.Option(help="Repeat the run of this id instead; may be repeated.", metavar="ID")
    ] = None,
    salt: Annotated[
        str, typer.Option(help="Words that draw other runs, so that nobody knows beforehand which.", metavar="TEXT")
    ] = "",
    datasets: Annotated[
        list[Path] | None,
        typer.Option("--dataset", help="Where a data set is that has no name; may be repeated.", metavar="PATH"),
    ] = None,
    tables: Tables = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of a repetition.  [default: the record's]", min=1)
    ] = None,
    github: Annotated[bool, typer.Option("--github", help="Print disagreements as GitHub annotations.")] = False,
) -> int:
    """Check that a submission agrees with itself, and repeat a run of it.

    Each disagreement is a line. Exit code 0: it agrees; 1: it does not; 2: it cannot be verified here.
    """
    from pvnas_bench.cli import _submission
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _submission.verify(
            folder,
            cells=cells,
            named=cell or (),
            salt=salt,
            datasets=datasets or (),
            tables=tables,
            threads=threads,
            github=github,
        )


def checklist(
    records: Records,
    reference: Reference = True,
) -> int:
    """Fill the checklist of best practices for research on architecture search from records, as Markdown."""
    from pvnas_bench.cli import _submission

    return _submission.checklist(records, reference=reference)
