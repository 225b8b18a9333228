"""The command `leaderboard`."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pvnas_bench.boards import leaderboard, render
from pvnas_bench.boards import retrained as by_retraining
from pvnas_bench.cli import _results
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Table, load
from pvnas_bench.table.store import Files

WIDTH = 120
"""Columns of a table written to a file or a pipe."""

SUFFIXES = {".txt": "terminal", ".md": "markdown", ".csv": "csv", ".json": "json", ".parquet": "parquet"}


def show(
    results: Path,
    format: str | None,
    output: Path | None,
    *,
    reference: bool,
    null: bool = False,
    retrained: Path | None = None,
) -> int:
    """Write the boards of a folder's records to a file or to standard output.

    Args:
        null: boards of null searches instead of real ones.
        retrained: folder of tables of retrainings, by which records are judged; None: by their own final trainings.

    Raises:
        UsageError: no record in the folder, an unknown format, or one that cannot be written there.
    """
    chosen = format or _format_of(output)
    if chosen == "parquet" and output is None:
        raise UsageError("the format parquet is binary: name a file with --output")
    records, _ = _results.load(results, reference=reference, detail="scores", or_published=True, null=null)
    if retrained is None:
        boards = leaderboard.build(records)
    else:
        boards = by_retraining.build(records, list(tables_of(retrained)))
        if not boards:
            raise UsageError(f"{retrained} has no trainings of these records' networks: train them with `retrain`")
    content = rendered(boards, chosen)
    if output is None:
        assert isinstance(content, str)
        sys.stdout.write(content)
    else:
        with _results.writing(output):
            write_atomically(output, content if isinstance(content, bytes) else content.encode())
    return 0


def tables_of(folder: Path) -> Iterator[Table]:
    """Load the tables of a folder.

    Raises:
        UsageError: a table cannot be read.
    """
    from pvnas_bench import registry  # imports torch, which other boards do without

    for stem in sorted({path.name.partition(".")[0] for path in (*folder.glob("*.parquet"), *folder.glob("*.jsonl"))}):
        files = Files(folder, stem)
        table = load(files)
        with suppress(UsageError):  # of a space outside the package: its canonical architectures are not known
            table = load(files, registry.get_space(table.about.space.name))
        yield table


def _format_of(output: Path | None) -> str:
    if output is None:
        return "terminal"
    if output.suffix not in SUFFIXES:
        raise UsageError(f"unknown suffix of --output {output}: use one of {', '.join(SUFFIXES)}, or give --format")
    return SUFFIXES[output.suffix]


def rendered(boards: Sequence[leaderboard.Board], format: str) -> str | bytes:
    """Render boards in one of the formats."""
    if format == "terminal":
        width = shutil.get_terminal_size((WIDTH, 24)).columns
        return render.render_terminal(boards, width if sys.stdout.isatty() else WIDTH)
    writers: dict[str, Callable[[Sequence[leaderboard.Board]], str | bytes]] = {
        "markdown": render.to_markdown,
        "csv": render.to_csv,
        "json": render.to_json,
        "parquet": render.to_parquet,
    }
    return writers[format](boards)
