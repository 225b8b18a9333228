"""The command `compare`: a live table of cells, then the leaderboards."""

import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _leaderboard, _progress
from pvnas_bench.cli._executor import executor_of
from pvnas_bench.cli._run import Shown
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import GridCell, State, open_cells
from pvnas_bench.grid.compare import compare as run_cells
from pvnas_bench.grid.definition import Grid
from pvnas_bench.grid.executors import Executor, Name
from pvnas_bench.records import Status
from pvnas_bench.system import signals
from pvnas_bench.system.text import counted

LONGEST = 30
"""Largest number of rows in the live table: running cells and the latest finished ones."""


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
    values = Grid.load(grid).model_dump(exclude_unset=True) if grid else {}
    if not values and "strategies" not in keys:
        raise UsageError("no strategy to compare: give --strategy, or the TOML file of a grid")
    requests = Grid.parse({**values, **keys}).requests(**shared)
    threads, device, results = shared["threads"], shared["device"], shared["results"]
    running = executor_of(executor, workers, threads, device, address)
    with _progress.display() as display:
        cells = open_cells(requests, Shown(display), elsewhere=executor == "ray")
    try:
        with signals.terminable():
            cells = _run(cells, running, retry_failed)
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return INTERRUPTED
    if any(cell.state in get_args(Status) for cell in cells):
        _leaderboard.show(results, None, None, reference=reference, null=requests[0].null)
    return OK if all(cell.state == "ok" for cell in cells) else FAILED


def _run(cells: Sequence[GridCell], executor: Executor, retry_failed: bool) -> list[GridCell]:
    """Run the cells and show their status."""
    state = {cell.path: cell for cell in cells}
    show = _live if sys.stderr.isatty() else _lines
    with closing(run_cells(cells, executor=executor, retry_failed=retry_failed)) as events:
        show(state, events)
    return list(state.values())


def _lines(state: dict[Path, GridCell], events: Any) -> None:
    counts = Counter(cell.state for cell in state.values())
    print(_counts(counts), file=sys.stderr, flush=True)
    for cell in events:
        counts[state[cell.path].state] -= 1
        counts[cell.state] += 1
        state[cell.path] = cell
        if cell.state != "running":
            print(f"{_counts(counts)}: {' '.join(_row(cell))}", file=sys.stderr, flush=True)


def _live(state: dict[Path, GridCell], events: Any) -> None:
    from rich.console import Console
    from rich.live import Live

    recent: deque[Path] = deque(maxlen=LONGEST)

    def shown() -> Any:
        return _table(state, list(recent))

    with Live(get_renderable=shown, console=Console(stderr=True), refresh_per_second=2, redirect_stdout=False):
        for cell in events:
            state[cell.path] = cell
            if cell.path in recent:
                recent.remove(cell.path)
            recent.append(cell.path)


def _table(state: Mapping[Path, GridCell], recent: Sequence[Path]) -> Any:
    from rich.table import Table
    from rich.text import Text

    title = _counts(Counter(cell.state for cell in state.values()))
    table = Table("strategy", "space", "data set", "seed", "state", "top-1", "search", title=title, box=None)
    for path in recent:
        table.add_row(*map(Text, _row(state[path])))
    return table


def _row(cell: GridCell) -> tuple[str, ...]:
    request = cell.request
    return (
        cell.entry,
        request.space,
        Path(request.dataset).stem,
        f"seed {request.seed}",
        f"{cell.state}: {cell.note}" if cell.note else cell.state,
        "" if cell.top1 is None else f"{cell.top1:.1%}",
        "" if cell.seconds is None else f"{cell.seconds:.0f} s",
    )


def _counts(counts: Counter[State]) -> str:
    return f"{counted(counts.total(), 'cell')}: " + ", ".join(
        f"{number} {name}" for name, number in counts.items() if number
    )
