"""The command `compare`: a live table of cells, then the leaderboards."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pvnas_bench.api import grids
from pvnas_bench.api import progress as bars
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _leaderboard
from pvnas_bench.grid.executors import Name
from pvnas_bench.records import Status
from pvnas_bench.system import signals


def compare(
    grid: Path | None,
    keys: Mapping[str, Any],
    shared: Mapping[str, Any],
    *,
    workers: int | None,
    retry_failed: bool,
    reference: bool,
    executor: Name = "processes",
    address: str | None = None,
) -> int:
    """Run the grid of a TOML file, of options, or of both (an option wins), and show its leaderboards.

    Args:
        keys: keys of the grid set by options.
        shared: fields of every `Request` that a grid's file cannot set.

    Raises:
        UsageError: a cell of the grid cannot run; nothing was run.
    """
    planned = grids.plan(grid, keys, shared, workers=workers, executor=executor, address=address)
    with bars.display() as display:
        cells = planned.open(display)
    try:
        with signals.terminable():
            cells = planned.run(cells, retry_failed=retry_failed)
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return INTERRUPTED
    if any(cell.state in get_args(Status) for cell in cells):
        _leaderboard.show(shared["results"], None, None, reference=reference, null=planned.null)
    return OK if all(cell.state == "ok" for cell in cells) else FAILED
