"""Runs of a claim: its grid, beside the records that are there already."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.api import grids
from pvnas_bench.api import progress as bars
from pvnas_bench.claims import Claim, Result, measure
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import GridCell, records_of
from pvnas_bench.grid.executors import Name
from pvnas_bench.records import PACKED_NAME, Record, load_folder, pack, read
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.runs.surrogates import find_whole


@dataclass(frozen=True)
class Ground:
    """Where and how the runs of claims are made.

    Attributes:
        results: folder of the records.
        published: completed runs beside the page, by id (`served_from`), which count whatever code they are of.
        served: completed runs of other folders, by id, which count if they are of the strategy's present code.
        clips: paths of data sets by name.
        tables: folder of tables; None: the usual ones.
        workers, executor, address: as in `pvnas_bench.compare`.
        retry_failed: run failed cells again.
    """

    results: Path
    published: Mapping[str, Record] = field(default_factory=dict)
    served: Mapping[str, Record] = field(default_factory=dict)
    clips: Mapping[str, str] = field(default_factory=dict)
    tables: Path | None = None
    device: str = "cpu"
    workers: int | None = None
    retry_failed: bool = False
    executor: Name = "processes"
    address: str | None = None


@dataclass(frozen=True)
class Ended:
    """A claim after its runs.

    Attributes:
        homes: the completed runs by the name of their request's folder.
        complete: True if every run ended well.
    """

    result: Result
    homes: Mapping[str, Sequence[Record]]
    complete: bool


def served_from(folders: Iterable[Path]) -> dict[str, Record]:
    """Completed runs in folders, by id.

    Raises:
        UsageError: a folder does not exist.
    """
    found: dict[str, Record] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}: change --records")
        found |= {record.id: record for record in load_folder(folder, detail="curves")[0] if record.status == "ok"}
    return found


def run_claim(claim: Claim, ground: Ground) -> Ended:
    """Run the unfinished cells of a claim, and measure its tests.

    Raises:
        UsageError: a cell cannot run; nothing was run.
        KeyboardInterrupt: interrupted; the same call resumes.
    """
    dataset = ground.clips.get(claim.setting.dataset, claim.setting.dataset)
    shared = {
        "results": ground.results,
        "tables": ground.tables,
        "device": ground.device,
        "threads": 1,
        "first_seed": claim.setting.first_seed,
    }
    planned = grids.plan(
        None,
        claim.grid | {"datasets": [dataset]},
        shared,
        workers=ground.workers,
        executor=ground.executor,
        address=ground.address,
    )
    with bars.display() as display:
        cells = planned.open(display)
    sources = {entry: registry.source(registry.get_strategy(parse_entry(entry)[0])) for entry in claim.entries}
    entries = [entry for _ in range(claim.setting.seeds) for entry in claim.entries]
    known: dict[str, Record] = {}
    for cell, entry in zip(cells, entries, strict=True):
        if cell.state == "ok":
            continue
        record = ground.served.get(cell.id)
        if record is not None and record.strategy.source == sources[entry]:
            known[cell.id] = record
        elif published := ground.published.get(cell.id):
            known[cell.id] = published
    asked = [cell for cell in {cell.id: cell for cell in cells}.values() if cell.id not in known]
    ended = planned.run(asked, retry_failed=ground.retry_failed) if asked else []
    known |= records_of(ended)
    runs: dict[str, dict[int, Record]] = defaultdict(dict)
    homes: dict[str, list[Record]] = defaultdict(list)
    for cell, entry in zip(cells, entries, strict=True):
        if record := known.get(cell.id):
            runs[entry][cell.request.seed] = record
            if record.status == "ok":
                homes[_home(cell)].append(record)
    table = None
    if claim.setting.tabular:
        table = find_whole(registry.get_space(claim.setting.space), dataset, ground.tables)
    return Ended(measure(claim, runs, table), homes, all(cell.state == "ok" for cell in ended))


def _home(cell: GridCell) -> str:
    """Name of a folder for all seeds of a request."""
    return cell.lines.parent.name if cell.lines else re.sub(r"-s[0-9]+-[0-9a-f]{8}$", "-seeds", cell.path.parent.name)


def publish(ended: Ended, folder: Path) -> None:
    """Pack the completed runs of a claim into a folder, a file for each request; other seeds in it stay.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, made in ended.homes.items():
        path = folder / name / PACKED_NAME
        earlier = [one for one in read(path) if isinstance(one, Record)] if path.exists() else []
        pack({record.id: record for record in (*earlier, *made)}.values(), path)
