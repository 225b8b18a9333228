"""Progress of a grid: a live table of its cells in a terminal or a notebook, lines elsewhere."""

import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvnas_bench.api import progress as bars
from pvnas_bench.grid.cells import GridCell, State
from pvnas_bench.system.text import counted

if TYPE_CHECKING:
    from rich.table import Table

LONGEST = 30
"""Largest number of rows in the live table: running cells and the latest finished ones."""
SECONDS_PER_LINE = 1.0
"""Smallest distance of two lines about cells that ended well; searches on a table take milliseconds."""
Events = Generator[GridCell, None, None]


def watch(state: dict[Path, GridCell], events: Events) -> None:
    """Show the events of a grid until they end, and enter them into its state."""
    (live_table if bars.live() else lines)(state, events)


def lines(state: dict[Path, GridCell], events: Events, clock: Callable[[], float] = time.monotonic) -> None:
    """Print a line for each cell that ends, but of many that end well in a second the first, and the last of all."""
    counts = Counter(cell.state for cell in state.values())
    print(_counts(counts), file=sys.stderr, flush=True)
    printed, waiting = -math.inf, ""
    for cell in events:
        counts[state[cell.path].state] -= 1
        counts[cell.state] += 1
        state[cell.path] = cell
        if cell.state == "running":
            continue
        waiting = f"{_counts(counts)}: {' '.join(_row(cell))}"
        if cell.state != "ok" or clock() - printed >= SECONDS_PER_LINE:
            print(waiting, file=sys.stderr, flush=True)
            printed, waiting = clock(), ""
    if waiting:
        print(waiting, file=sys.stderr, flush=True)


def live_table(state: dict[Path, GridCell], events: Events) -> None:
    from rich.console import Console
    from rich.live import Live

    recent: deque[Path] = deque(maxlen=LONGEST)

    def shown() -> "Table":
        return _table(state, list(recent))

    with Live(get_renderable=shown, console=Console(stderr=True), refresh_per_second=2, redirect_stdout=False):
        for cell in events:
            state[cell.path] = cell
            if cell.path in recent:
                recent.remove(cell.path)
            recent.append(cell.path)


def _table(state: Mapping[Path, GridCell], recent: Sequence[Path]) -> "Table":
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
        f"{number:,} {name}" for name, number in counts.items() if number
    )
