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
from pvnas_bench.records import PACKED_NAME, Record, Unreadable, identifier, load_folder, pack, read
from pvnas_bench.runs.identity import protocol_fingerprint, protocol_named, space_fingerprint
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.runs.words import entry_name, parse_config
from pvnas_bench.space import Caps
from pvnas_bench.table.table import Table
from pvnas_bench.video import fingerprint_of


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
        homes: the completed runs by the name of their request's folder, unless all are published already.
        complete: True if every run ended well.
    """

    result: Result
    homes: Mapping[str, Sequence[Record]]
    complete: bool


def served_from(folders: Iterable[Path]) -> dict[str, Record]:
    """Completed runs in folders, by id.

    Raises:
        UsageError: a folder does not exist, or a file in it is damaged, whose runs would be searched again.
    """
    found: dict[str, Record] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}: change --records")
        loaded, unreadable = load_folder(folder, detail="curves")
        if unreadable:
            raise _damaged(unreadable[0])
        found |= {record.id: record for record in loaded if record.status == "ok"}
    return found


def _damaged(file: Unreadable) -> UsageError:
    return UsageError(f"{file.path} is damaged ({file.reason}): restore it, or remove it to search its runs again")


def run_claim(claim: Claim, ground: Ground) -> Ended:
    """Run the unfinished cells of a claim, and measure its tests. With published records of all, nothing is opened.

    Raises:
        UsageError: a cell cannot run; nothing was run.
        KeyboardInterrupt: interrupted; the same call resumes.
    """
    table = None
    if claim.setting.tabular:
        table = find_whole(registry.get_space(claim.setting.space), claim.setting.dataset, ground.tables)
    published = {
        entry: {seed: ground.published[one] for seed, one in ids.items() if one in ground.published}
        for entry, ids in _ids(claim, table).items()
    }
    if all(len(of_entry) == claim.setting.seeds for of_entry in published.values()):
        return Ended(measure(claim, published, table), {}, complete=True)
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
        elif cell.id in ground.published:
            known[cell.id] = ground.published[cell.id]
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
    return Ended(measure(claim, runs, table), homes, all(cell.state == "ok" for cell in ended))


def _ids(claim: Claim, table: Table | None) -> dict[str, dict[int, str]]:
    """Identifiers of the runs of a claim on data of the package or on a table, by entry and seed."""
    setting, space = claim.setting, registry.get_space(claim.setting.space)
    data = fingerprint_of(setting.dataset) if table is None else table.about.data.fingerprint
    protocol = protocol_named(setting.protocol, table).with_budget(setting.budget)
    where = space_fingerprint(space, Caps.parse(space, setting.cap))
    how = protocol_fingerprint(protocol, table)
    found: dict[str, dict[int, str]] = {}
    for entry in claim.entries:
        name, settings = parse_entry(entry)
        kind = registry.get_strategy(name)
        row, source = entry_name(kind, parse_config(kind, settings)), registry.source(kind)
        found[entry] = {seed: identifier(where, data or "", how, row, seed, source) for seed in setting.all_seeds}
    return found


def _home(cell: GridCell) -> str:
    """Name of a folder for all seeds of a request."""
    return cell.lines.parent.name if cell.lines else re.sub(r"-s[0-9]+-[0-9a-f]{8}$", "-seeds", cell.path.parent.name)


def publish(ended: Ended, folder: Path) -> None:
    """Pack the completed runs of a claim into a folder, a file for each request; other seeds in it stay.

    Raises:
        UsageError: a file in it is damaged; it is left as it is.
        OSError: the folder cannot be written.
    """
    for name, made in ended.homes.items():
        path, earlier = folder / name / PACKED_NAME, list[Record]()
        for one in read(path) if path.exists() else ():
            if isinstance(one, Unreadable):
                raise _damaged(one)
            earlier.append(one)
        pack({record.id: record for record in (*earlier, *made)}.values(), path)
