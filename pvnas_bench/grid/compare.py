"""A grid of runs: strategies x spaces x data sets x seeds, side by side, resumable.

Each cell is one `runner.Run` in a fresh process of an executor. A cell whose record exists is not run again: a grid
that was interrupted goes on where it stopped, and the record, not a list kept on the side, says what is done.
"""

import re
import tomllib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Executor, Needs, Outcome
from pvnas_bench.grid.processes import Processes
from pvnas_bench.grid.table_searches import Ended, search_all
from pvnas_bench.run.request import Observer, Request
from pvnas_bench.run.runner import Run
from pvnas_bench.run.setup import Setup
from pvnas_bench.system import machine
from pvnas_bench.system.files import read_whole
from pvnas_bench.system.leases import held
from pvnas_bench.system.signals import GRACE

State = Literal["waiting", "running", "ok", "failed", "timeout", "interrupted", "refused"]
DONE: frozenset[State] = frozenset({"ok"})
RETRIED: frozenset[State] = frozenset({"failed", "timeout"})
BATCH = 25
"""Seeds that a process searches a table with at a time."""
PATIENCE = 2 * GRACE
"""Seconds beyond a cell's time limit after which its process is killed: Python code can catch what should end it."""
LARGEST_GRID = 2**20
"""Bytes of a grid's file."""
ENTRY = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<settings>[^\[\]]*)\])?")


class Grid(BaseModel):
    """What to compare, as a TOML file says it.

    Attributes:
        strategies: names or paths, with hyper-parameters in brackets: ``expert[network=tsm]``.
        protocol: None: quick; with tables, theirs.
        seeds: 0, 1, … seeds - 1.
        tabular, partial: as in a `Request`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategies: tuple[str, ...] = Field(min_length=1)
    spaces: tuple[str, ...] = Field(("st_default",), min_length=1)
    datasets: tuple[str, ...] = Field(("synthetic_motion",), min_length=1)
    protocol: str | None = None
    cap: str | None = None
    budget: float | None = None
    seeds: int = Field(3, ge=1, le=10_000)
    tabular: bool = False
    partial: bool = False

    @classmethod
    def load(cls, path: Path) -> "Grid":
        """Read a TOML file; paths in it are relative to the working directory.

        Raises:
            UsageError: it cannot be read or says something that a grid does not know.
        """
        try:
            values = tomllib.loads(read_whole(path, LARGEST_GRID).decode())
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}: name a TOML file") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        return cls.parse(values)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Grid":
        """Check values.

        Raises:
            UsageError: the first that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            known = ", ".join(cls.model_fields)
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"a grid's {where}: {first['msg']} (it has {known})") from None

    def requests(
        self,
        results: Path,
        *,
        device: str = "auto",
        threads: int = 1,
        tables: Path | None = None,
        timeout: float | None = None,
        deterministic: bool = True,
        precision: str = "float32",
    ) -> list[Request]:
        """One request for each cell, all strategies of a seed before the next seed."""
        return [
            Request(
                strategy=name,
                space=space,
                dataset=dataset,
                protocol=self.protocol,
                cap=self.cap,
                budget=self.budget,
                seed=seed,
                settings=settings,
                results=results,
                device=device,
                threads=threads,
                tabular=self.tabular,
                tables=tables,
                partial=self.partial,
                timeout=timeout,
                deterministic=deterministic,
                precision=precision,
            )
            for seed in range(self.seeds)
            for dataset in self.datasets
            for space in self.spaces
            for name, settings in map(parse_entry, self.strategies)
        ]


def parse_entry(entry: str) -> tuple[str, dict[str, str]]:
    """A strategy's name and its hyper-parameters from ``name[key=value, …]``.

    Raises:
        UsageError: it is not of that form.
    """
    match = ENTRY.fullmatch(entry.strip())
    if match is None:
        raise UsageError(f"{entry!r} is no strategy: write name or name[key=value, ...]")
    settings = {}
    for setting in filter(None, (part.strip() for part in (match["settings"] or "").split(","))):
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"{entry!r}: a hyper-parameter is key=value, got {setting!r}")
        settings[key.strip()] = value.strip()
    return match["name"], settings


@dataclass(frozen=True)
class Cell:
    """A run of the grid and how it stands; `top1` and `seconds` once it is done.

    Attributes:
        path: of its record, where it has a file of its own.
        batched: it is searched together with the other seeds of its request, and its record is in their file.
    """

    request: Request
    entry: str
    path: Path
    batched: bool = False
    state: State = "waiting"
    note: str = ""
    top1: float | None = None
    seconds: float | None = None


def open_cells(requests: Sequence[Request], observer: Observer | None = None, *, elsewhere: bool = False) -> list[Cell]:
    """Resolve every request and see which are done. The clips are made ready, so that workers only open them.

    Args:
        elsewhere: they will run on other machines: a GPU that this one has not is no error.

    Raises:
        UsageError: a request that cannot work; nothing was run.
    """
    observer, setups, known = observer or Observer(), dict[object, Setup](), dict[Path, dict[str, Ended]]()
    cells = []
    for request in requests:
        alike = _but_seed(request)
        if alike not in setups:
            away = elsewhere and request.device == "cuda" and not torch.cuda.is_available()
            setups[alike] = Setup(replace(request, device="cpu") if away else request, observer)
        setup = setups[alike].at(request.seed)
        cell = Cell(request, setup.entry, setup.path, batched=request.tabular and setup.kind.trial_based)
        if cell.batched and setup.lines not in known:
            known[setup.lines] = _on_lines(setup.lines)
        if cell.batched and (ended := known[setup.lines].get(setup.id)):
            cells.append(_as(cell, ended))
        else:
            cells.append(_recorded(cell) if cell.path.exists() else cell)
    return cells


def _but_seed(request: Request) -> tuple[object, ...]:
    """What the requests of a grid that differ in nothing but their seeds have in common."""
    return request.strategy, request.space, request.dataset, *request.settings.items()


def _on_lines(path: Path) -> dict[str, Ended]:
    """How the runs of a file of many records ended, by id; what cannot be read is made anew."""
    if not path.exists():
        return {}
    found = records.read(path)
    return {record.id: Ended.of(record) for record in found if isinstance(record, records.Record)}


def _recorded(cell: Cell) -> Cell:
    """The cell as its record tells; a record that cannot be read is made anew."""
    try:
        return _as(cell, Ended.of(records.load(cell.path)))
    except (ValueError, OSError) as error:
        return replace(cell, note=f"record made anew: {error}")


def _as(cell: Cell, ended: Ended) -> Cell:
    return replace(cell, state=ended.status, note=ended.note, top1=ended.top1, seconds=ended.seconds)


def work(request: Request, patience: float = 0.0) -> None:
    """Run one cell; its record is the result.

    Args:
        patience: seconds to wait for a claim on it.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        Run(request)(patience=patience)


def compare(
    cells: Sequence[Cell], *, workers: int = 1, retry_failed: bool = False, executor: Executor | None = None
) -> Generator[Cell, None, None]:
    """Run every cell that is not done, each in a process of its own; those that only look up share processes.

    Args:
        workers: cells side by side, in processes of this machine.
        executor: what runs them instead.

    Yields:
        each cell when it starts and when it ends, in the order in which that happens.

    Raises:
        UsageError: the executor cannot work here.
    """
    asked = [cell for cell in cells if cell.state not in DONE and (retry_failed or cell.state not in RETRIED)]
    if not asked:
        return
    with executor or Processes(workers) as running:
        yield from _look_up([cell for cell in asked if cell.batched], running)
        yield from _run([cell for cell in asked if not cell.batched], running)


def _run(cells: Sequence[Cell], executor: Executor) -> Iterator[Cell]:
    """Run cells as there is room for them."""
    waiting = list(reversed(cells))
    while waiting or executor.busy:
        while waiting and executor.room(needs := _needs(waiting[-1].request)) > 0:
            cell = waiting.pop()
            if (already := _elsewhere(cell)) is not None:
                yield already
                continue
            cell = replace(cell, state="running", note="")
            executor.start(cell, needs, work, cell.request, executor.patience)
            yield cell
        for cell, outcome in executor.ended() if executor.busy else ():
            yield _ended(cell, outcome)


def _needs(request: Request) -> Needs:
    """What the process of a run needs."""
    gpu = request.device.startswith("cuda") or (request.device == "auto" and torch.cuda.is_available())
    limit = None if request.timeout is None else request.timeout + PATIENCE
    return Needs(request.threads or machine.usable_cores(), gpu, limit)


def _elsewhere(cell: Cell) -> Cell | None:
    """The cell as another process has ended it since, or works on it now; None: it is to be run."""
    if cell.path.exists() and (found := _recorded(cell)).state in DONE:
        return found
    holder = held(cell.path)
    return None if holder is None else replace(cell, state="refused", note=f"in use by {holder}")


def _look_up(cells: Sequence[Cell], executor: Executor) -> Iterator[Cell]:
    """Search on tables, the seeds of a request in batches."""
    alike: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        alike.setdefault(_but_seed(cell.request), []).append(cell)
    batches = []
    for same in alike.values():
        needs = replace(_needs(same[0].request), limit=None, alone=False)
        size = min(BATCH, -(-len(same) // max(executor.room(needs), 1)))
        batches += [(needs, tuple(same[i : i + size])) for i in range(0, len(same), size)]
    for needs, batch in batches:
        executor.start(batch, needs, look_up, batch[0].request, [cell.request.seed for cell in batch])
    while executor.busy:
        for batch, outcome in executor.ended():
            if outcome.value is not None:
                yield from map(_as, batch, outcome.value)
            else:
                yield from (replace(cell, state="refused", note=_why(outcome)) for cell in batch)


def look_up(request: Request, seeds: Sequence[int]) -> list[Ended]:
    """`search_all`, in a worker."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return search_all(request, seeds)


def _ended(cell: Cell, outcome: Outcome) -> Cell:
    """How a cell ended: by its record, or why there is none."""
    if outcome.error is not None:
        return replace(cell, state="refused", note=_why(outcome))
    if outcome.lost is None:
        return _recorded(cell)
    try:
        if outcome.late:
            Run(cell.request).lost("timeout", f"no end after {cell.request.timeout:g} s, nor when it was told to end")
        else:
            Run(cell.request).lost("failed", outcome.lost)
    except UsageError as reason:
        return replace(cell, state="failed", note=f"its process died; {reason}")
    return _recorded(cell)


def _why(outcome: Outcome) -> str:
    return outcome.lost or f"{type(outcome.error).__name__}: {outcome.error}"
