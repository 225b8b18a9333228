"""The commands `submit`, `verify` and `checklist`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pvnas_bench.api import results
from pvnas_bench.boards.check.render import escaped
from pvnas_bench.cli import OK, _results
from pvnas_bench.submission import assemble
from pvnas_bench.submission import checklist as checklists
from pvnas_bench.submission import verify as verification
from pvnas_bench.submission.layout import CHECKLIST
from pvnas_bench.system.text import counted


def submit(paths: Sequence[Path], strategy: str, output: Path | None, tables: Path | None) -> int:
    """Make a submission and print its path, after what is left to its author.

    Raises:
        UsageError: no record fits, or the folder cannot be made.
    """
    with _results.writing(output or Path("results/submissions")):
        made = assemble.submit(paths, strategy, output, tables=tables, published=results.published("scores"))
    print(f"{counted(len(made.records), 'record')} of {made.records[0].strategy.name}", end="")
    print(f", {made.left_out} of other strategies or sources left out" if made.left_out else "")
    if made.open_items:
        print(f"{counted(made.open_items, 'item')} of {CHECKLIST} to complete: look for 'To add'")
    print(made.folder)
    return OK


def verify(
    folder: Path,
    *,
    cells: int,
    named: Sequence[str],
    salt: str,
    datasets: Sequence[Path],
    tables: Path | None,
    threads: int | None,
    github: bool,
) -> int:
    """Print what does not agree in a submission, a line each, and then the verdict.

    Raises:
        UsageError: the submission cannot be verified here.
    """
    repeat = verification.Repeat(cells, salt, tuple(named), tuple(datasets), threads)
    verdict = verification.verify(
        folder,
        repeat,
        tables=tables,
        published=results.published("scores"),
        said=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for one in verdict.disagreements:
        print(one)
        if github:
            print(f"::error file={escaped((folder / one.where).as_posix(), ':,')}::{escaped(str(one))}")
    for note in verdict.notes:
        print(f"note: {note}")
    count = len(verdict.disagreements)
    print(f"REJECTED: {counted(count, 'disagreement')}" if count else "agrees")
    return verdict.exit_code


def checklist(paths: Sequence[Path], *, reference: bool) -> int:
    """Print the checklist of records.

    Raises:
        UsageError: a path holds no record.
    """
    found = list(assemble.loaded(paths))
    published = results.published("scores") if reference else []
    sys.stdout.write(checklists.to_markdown(checklists.items(found, published)))
    return OK
