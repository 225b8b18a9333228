"""A submission's folder, made from records and the strategy's source."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pvnas_bench import records, release
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.submission import checklist, page
from pvnas_bench.submission.layout import CHECKLIST, MANIFEST, README, STRATEGY, record_name
from pvnas_bench.submission.manifest import Manifest, StrategyFile, file_entry, results
from pvnas_bench.submission.source import StrategySource, strategy_source, where_source
from pvnas_bench.submission.verify import Repeat, verify
from pvnas_bench.system import sources
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.text import counted


@dataclass(frozen=True)
class Submitted:
    """A submission that was made: its folder, its records, and the number of records left out."""

    folder: Path
    records: tuple[Record, ...]
    left_out: int
    open_items: int


def submit(
    paths: Sequence[Path],
    strategy: str,
    output: Path | None = None,
    *,
    tables: Path | None = None,
    published: Sequence[Record] = (),
) -> Submitted:
    """Make the folder of a submission; it appears as a whole, after its records have been verified.

    Args:
        paths: records and folders of records; those that were made with another source are left out.
        strategy: the strategy's file, or its name in the package.
        output: the folder; None: named after the strategy, in results/submissions.
        tables: as in `run`.
        published: records of the package, for the checklist.

    Raises:
        UsageError: no record was made with this source; the folder exists; or `verify` would reject it.
    """
    source = strategy_source(strategy)
    found = list(loaded(paths))
    chosen = {record.id: record for record in found if record.strategy.source == source.source}
    if not chosen:
        raise UsageError(
            f"none of {counted(len(found), 'record')} was made with {strategy} as it is now (SHA-256 "
            f"{source.sha256[:12]}…): run it again, or give --strategy the file that they were made with"
        )
    ordered = sorted(chosen.values(), key=lambda r: (*r.board, r.strategy.entry, r.seed))
    folder = output or Path("results/submissions") / ordered[0].strategy.name
    if folder.exists():
        raise UsageError(f"{folder} exists: remove it, or choose another --output")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".submission-") as temporary:
        made = Path(temporary) / folder.name
        text = _write(made, ordered, source, published)
        wrong = verify(made, Repeat(cells=0), tables=tables, published=published).disagreements
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise UsageError(f"`verify` would reject this submission: {wrong[0]}{more}")
        made.rename(folder)
    return Submitted(folder, tuple(ordered), len(found) - len(ordered), checklist.open_items(text))


def loaded(paths: Iterable[Path]) -> Iterable[Record]:
    """Records of files and folders.

    Raises:
        UsageError: a path is neither, or a file is no record.
    """
    for path in paths:
        if path.is_dir():
            yield from records.require_records(path)[0]
            continue
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}: give records, or folders of them")
        for record in records.read(path):
            if isinstance(record, records.Unreadable):
                raise UsageError(f"{path} is no record: {record.reason}")
            yield record


def _write(folder: Path, found: Sequence[Record], source: StrategySource, published: Sequence[Record]) -> str:
    """Write all files of a submission; return its checklist."""
    folder.mkdir()
    for record in found:
        records.save(record, folder / record_name(record.id))
    file = None
    if not source.builtin:
        file = f"{STRATEGY}/{source.path.name}"
        _copy(source.path, folder / STRATEGY)
    manifest = Manifest(
        created=datetime.now(UTC),
        pvnas_bench=release.VERSION,
        strategy=StrategyFile(name=found[0].strategy.name, source=source.source, file=file),
        files=(),
        results=results(found),
    )
    write_atomically(folder / README, page.to_markdown(manifest, found).encode())
    text = checklist.to_markdown(checklist.items(found, published, source=where_source(manifest)))
    write_atomically(folder / CHECKLIST, text.encode())
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = tuple(file_entry(folder, name) for name in names if name != CHECKLIST)
    write_atomically(folder / MANIFEST, manifest.model_copy(update={"files": files}).json_text().encode())
    return text


def _copy(file: Path, folder: Path) -> None:
    """Copy a strategy with the neighbouring files that it imports.

    Raises:
        UsageError: it imports a file outside its folder.
    """
    for source in sources.files(file):
        try:
            place = folder / source.relative_to(file.parent)
        except ValueError:
            raise UsageError(f"{file} imports {source}, outside its folder: put both into one folder") from None
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
