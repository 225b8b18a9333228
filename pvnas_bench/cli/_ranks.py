"""The command `ranks`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pvnas_bench import registry
from pvnas_bench.api.grids import compare
from pvnas_bench.boards import table_ranks
from pvnas_bench.cli import INTERRUPTED, OK, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.table import is_large


def ranks(
    strategies: Sequence[str],
    grid: Path | None,
    space: str,
    dataset: str,
    budget: float | None,
    seeds: int | None,
    workers: int | None,
    results: Path,
    tables: Path | None,
    format: Literal["markdown", "json"],
    output: Path | None,
) -> int:
    """Run the searches that are missing, and write how well their scores rank the table's architectures.

    Raises:
        UsageError: there is no table, no search to run and no record with scores, or a file cannot be written.
    """
    known = registry.get_space(space)
    table = find_whole(known, dataset, tables)
    if strategies or grid is not None:
        try:
            compare(
                list(strategies) or None,
                grid=grid,
                spaces=space,
                datasets=dataset,
                seeds=seeds,
                budget=budget,
                tabular=True,
                partial=not is_large(known),
                tables=tables,
                results=results,
                workers=workers,
            )
        except KeyboardInterrupt:
            print("interrupted: repeat the command to resume", file=sys.stderr)
            return INTERRUPTED
    rows = table_ranks.rank(_results.load(results, reference=False, null=False)[0], table)
    if not any(row.kind == "search" for row in rows):
        raise UsageError(
            f"{results} has no search on this table with scores: give --strategy, a supernet's or a zero-cost one"
        )
    content = table_ranks.to_json(rows) if format == "json" else table_ranks.to_markdown(rows, table)
    if output is None:
        sys.stdout.write(content)
    else:
        with _results.writing(output):
            write_atomically(output, content.encode())
    return OK
