"""The cells of a grid: one run each, whose record determines its status."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.table_searches import Ended
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.setup import Setup

State = Literal["waiting", "running", "ok", "failed", "timeout", "interrupted", "refused"]


@dataclass(frozen=True)
class GridCell:
    """A run of the grid and its status.

    Attributes:
        path: path of its record, if that has a separate file.
        batched: True if all seeds of its request are searched together and share one file of records.
        id: identifier of its record.
        lines: path of the file of records that the seeds of its request share, if they are searched together.
        note: the reason for the status, if any.
        top1: mean test top-1 over retrainings, once done.
        seconds: seconds of the search, once done.
    """

    request: Request
    entry: str
    path: Path
    batched: bool = False
    id: str = ""
    lines: Path | None = None
    state: State = "waiting"
    note: str = ""
    top1: float | None = None
    seconds: float | None = None


def open_cells(
    requests: Sequence[Request], observer: Observer | None = None, *, elsewhere: bool = False
) -> list[GridCell]:
    """Resolve every request, prepare its clips, and find the finished cells. Workers only open the clips.

    Args:
        elsewhere: True if the runs are on other machines; a GPU missing here is then not an error.

    Raises:
        UsageError: a request cannot work; nothing was run.
    """
    observer, setups, known = observer or Observer(), dict[object, Setup](), dict[Path, dict[str, Ended]]()
    cells = []
    for request in requests:
        if request.tabular and (request.tensorboard or request.mlflow):
            flag = "--tensorboard" if request.tensorboard else "--mlflow"
            raise UsageError(f"{flag} shows single runs, and searches on a table are done in bulk: leave it out")
        alike = but_seed(request)
        if alike not in setups:
            away = elsewhere and request.device == "cuda" and not torch.cuda.is_available()
            setups[alike] = Setup(replace(request, device="cpu") if away else request, observer)
        setup = setups[alike].at(request.seed)
        lines = setup.lines if request.tabular else None
        cell = GridCell(request, setup.entry, setup.path, batched=request.tabular, id=setup.id, lines=lines)
        if cell.batched and setup.lines not in known:
            known[setup.lines] = _on_lines(setup.lines)
        if cell.batched and (ended := known[setup.lines].get(setup.id)):
            cells.append(as_ended(cell, ended))
        else:
            cells.append(recorded(cell) if cell.path.exists() else cell)
    return cells


def but_seed(request: Request) -> tuple[object, ...]:
    """Key shared by the requests of a grid that differ only in their seeds."""
    return request.strategy, request.space, request.dataset, *request.settings.items()


def _on_lines(path: Path) -> dict[str, Ended]:
    """Results of the runs in a file of many records, by id; runs with unreadable records are repeated."""
    if not path.exists():
        return {}
    lines = records.read(path)
    return {record.id: Ended.of(record) for record in lines if isinstance(record, records.Record)}


def records_of(cells: Collection[GridCell]) -> dict[str, records.Record]:
    """Read the records of cells, by id; cells without a readable record are left out.

    In a file of many records the steps at which nothing changed are left out (`records.thin`).
    """
    found: dict[str, records.Record] = {}
    for path in dict.fromkeys(cell.lines for cell in cells if cell.lines is not None and cell.lines.exists()):
        found |= {one.id: records.thin(one) for one in records.read(path) if isinstance(one, records.Record)}
    for path in dict.fromkeys(cell.path for cell in cells if cell.id not in found and cell.path.exists()):
        found |= {one.id: one for one in records.read(path) if isinstance(one, records.Record)}
    return {cell.id: found[cell.id] for cell in cells if cell.id in found}


def recorded(cell: GridCell) -> GridCell:
    """The cell with the status of its record; an unreadable record is replaced."""
    try:
        return as_ended(cell, Ended.of(records.load(cell.path)))
    except (ValueError, OSError) as error:
        return replace(cell, note=f"the record is replaced: {error}")


def as_ended(cell: GridCell, ended: Ended) -> GridCell:
    """The cell with the status of a finished run."""
    return replace(cell, state=ended.status, note=ended.note, top1=ended.top1, seconds=ended.seconds)
