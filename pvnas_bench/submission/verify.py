"""Verification of a submission, in stages: each one runs if those before it found nothing wrong."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pvnas_bench import records, registry, release
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.submission import checklist, layout, page
from pvnas_bench.submission import manifest as manifests
from pvnas_bench.submission.findings import Disagreement, at, shown
from pvnas_bench.submission.identity import CLOCKS, identity, together
from pvnas_bench.submission.layout import CHECKLIST, MANIFEST, README, RECORDS
from pvnas_bench.submission.manifest import Manifest
from pvnas_bench.submission.scores import scores, table_of
from pvnas_bench.submission.source import strategy_source, where_source
from pvnas_bench.system import sources
from pvnas_bench.system.files import read_whole

Said = Callable[[str], None]
OK, DISAGREES = 0, 1


@dataclass(frozen=True)
class Verdict:
    """Result of a verification.

    Attributes:
        disagreements: what is wrong.
        notes: what was done, and what was not.
    """

    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 if anything is wrong."""
        return DISAGREES if self.disagreements else OK


@dataclass(frozen=True)
class Repeat:
    """Which runs are repeated, and with what.

    Attributes:
        cells: number of runs, drawn by a hash of the submission's content.
        salt: makes the draw unknown to a submission's author.
        named: identifiers of runs to repeat instead.
        datasets, threads, cache: as in `repetition.Place`.
    """

    cells: int = 1
    salt: str = ""
    named: tuple[str, ...] = ()
    datasets: tuple[Path, ...] = ()
    threads: int | None = None
    cache: Path | None = None


@dataclass
class _Course:
    """What a verification has found so far."""

    wrong: list[Disagreement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verdict(self, *notes: str) -> Verdict:
        return Verdict(tuple(dict.fromkeys(self.wrong)), (*self.notes, *notes))


def verify(
    folder: Path,
    repeat: Repeat | None = None,
    *,
    tables: Path | None = None,
    published: Sequence[Record] = (),
    said: Said = lambda _: None,
) -> Verdict:
    """Verify a submission.

    Args:
        repeat: which runs are repeated; None: one that is drawn.
        tables: folder of tables; None: the user's, then the published ones.
        published: records of the package; those on the boards of the submission tell the noise between seeds.
        said: called with a line on what is done next.

    Raises:
        UsageError: there is no such folder, a table or data set is not here, or no run has a given identifier.
    """
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}: give a folder that `submit` made")
    repeat = repeat or Repeat()
    course = _Course()
    if folder.is_symlink():
        return Verdict((Disagreement(".", "is a symbolic link"),))
    listing = layout.listing(folder)
    course.wrong += listing.disagreements
    manifest, wrong = manifests.read(folder) if MANIFEST in listing.files else (None, [])
    course.wrong += wrong
    if manifest is None:
        return course.verdict("records are not examined: there is no manifest")
    course.wrong += manifests.compared(manifest, folder, listing.files)
    found = list(_records(folder, listing.files, course))
    course.wrong += _source(folder, manifest, listing.files)
    now = datetime.now(UTC)
    if manifest.created > now + CLOCKS:
        course.wrong.append(Disagreement(MANIFEST, f"created is {manifest.created.isoformat()}, in the future"))
    for where, record in found:
        course.wrong += at(where, identity(record, manifest, now))
        course.wrong += at(where, scores(record))
        if where != layout.record_name(record.id):
            course.wrong.append(Disagreement(where, f"is named otherwise than its id, {record.id}"))
    course.wrong += [Disagreement(where, what) for where, what in together(found)]
    if found and all(record.status != "ok" for _, record in found):
        course.wrong.append(Disagreement(RECORDS, "holds no completed run"))
    ordered = sorted((record for _, record in found), key=lambda r: (*r.board, r.strategy.entry, r.seed))
    if not course.wrong:
        course.wrong += _pages(folder, manifest, ordered, published, course.notes)
    try:
        course.wrong += _costs(found, tables)
    except UsageError:
        if not course.wrong:
            raise
    if course.wrong:
        return course.verdict("no run is repeated: the submission does not agree with itself")
    return _repeated(folder, manifest, found, course, repeat, tables, published, said)


def _records(folder: Path, files: dict[str, int], course: _Course) -> Iterator[tuple[str, Record]]:
    """The records of a submission that can be read; what is wrong with the others is noted."""
    for path in files:
        if not path.startswith(f"{RECORDS}/"):
            continue
        try:
            record = records.load(folder / path)
            if repeated := manifests.repeated_key(read_whole(folder / path, records.MAX_BYTES)):
                course.wrong.append(Disagreement(path, f"has the key {shown(repeated)} twice"))
            yield path, record
        except (ValueError, OSError) as error:
            course.wrong.append(Disagreement(path, str(error)))


def _source(folder: Path, manifest: Manifest, files: dict[str, int]) -> Iterator[Disagreement]:
    """Compare the hash of the strategy's source with the manifest's."""
    told, file = manifest.strategy.source, manifest.strategy.file
    if told.builtin:
        try:
            here = strategy_source(manifest.strategy.name).sha256
        except UsageError:
            yield Disagreement(MANIFEST, f"names {shown(manifest.strategy.name)}, which is no strategy of the package")
            return
        if here != told.sha256:
            yield Disagreement(
                MANIFEST,
                f"the source of {manifest.strategy.name} in pvnas_bench {release.VERSION} has SHA-256 {here[:12]}, the "
                f"runs were made with {told.sha256[:12]}",
            )
    elif file in files:
        if registry.is_name_of_package(manifest.strategy.name):
            yield Disagreement(file, f"has the name of a strategy of the package, {manifest.strategy.name}")
        here = sources.digest(folder / file)
        if here != told.sha256:
            yield Disagreement(file, f"has SHA-256 {here[:12]} with its imports, the manifest says {told.sha256[:12]}")
        used = {path.relative_to(folder).as_posix() for path in sources.files(folder / file)}
        for path in sorted(path for path in files if path.startswith(f"{layout.STRATEGY}/") and path not in used):
            yield Disagreement(path, "is not imported by the strategy")


def _pages(
    folder: Path, manifest: Manifest, found: Sequence[Record], published: Sequence[Record], notes: list[str]
) -> Iterator[Disagreement]:
    """Compare results, README and checklist with the records."""
    expected = manifests.results(found)
    for told, row in zip(manifest.results, expected, strict=False):
        for name in type(row).model_fields:
            if getattr(told, name) != getattr(row, name):
                mine, other = shown(getattr(told, name)), shown(getattr(row, name))
                yield Disagreement(MANIFEST, f"results: {name} of {row.entry} is {mine}, the records give {other}")
    if len(manifest.results) != len(expected):
        yield Disagreement(MANIFEST, f"results: {len(manifest.results)} rows, the records give {len(expected)}")
    elif manifest.pvnas_bench != release.VERSION:
        notes.append(f"README and checklist are of pvnas_bench {manifest.pvnas_bench} and were not compared")
        return
    elif _text(folder / README) != page.to_markdown(manifest.model_copy(update={"results": expected}), found):
        yield Disagreement(README, "is not the page of these records")
    text = _text(folder / CHECKLIST)
    yield from at(CHECKLIST, checklist.changed(checklist.items(found, published, source=where_source(manifest)), text))
    if left := checklist.open_items(text):
        notes.append(f"{left} items of the checklist wait for the author")


def _text(path: Path) -> str:
    return read_whole(path, layout.limit(path.name)).decode("utf-8", "replace")


def _costs(found: Sequence[tuple[str, Record]], tables: Path | None) -> Iterator[Disagreement]:
    from pvnas_bench.submission.costs import Recomputation

    recomputation = Recomputation(tables)
    for where, record in found:
        yield from at(where, recomputation.disagreements(record))


def _repeated(
    folder: Path,
    manifest: Manifest,
    found: Sequence[tuple[str, Record]],
    course: _Course,
    repeat: Repeat,
    tables: Path | None,
    published: Sequence[Record],
    said: Said,
) -> Verdict:
    """Compare the clips, let the strategy describe itself, and repeat runs."""
    chosen = _drawn(manifest, found, repeat)
    if not chosen:
        return course.verdict("no run was repeated")
    from pvnas_bench.runs.observer import Observer
    from pvnas_bench.submission import repetition

    place = repetition.Place(repeat.datasets, tables, repeat.threads, repeat.cache)
    clips = repetition.Clips(place, Observer())
    for where, record in found:
        if not table_of(record):
            course.wrong += at(where, clips.disagreements(record))
    if course.wrong:
        return course.verdict("no run is repeated: the clips are others")
    with repetition.workplace(folder, manifest, place) as here:
        said(f"{manifest.strategy.name} describes itself")
        course.wrong += repetition.described(found, manifest, here)
        if course.wrong:
            return course.verdict("no run is repeated: the strategy is another")
        known = [*(record for _, record in found), *published]
        for where, record in chosen:
            said(f"repeating {where}: {record.strategy.entry}, seed {record.seed}")
            again = here.repeat(record)
            if isinstance(again, str):
                course.wrong.append(Disagreement(where, f"cannot be repeated: {again}"))
                continue
            compared = repetition.compared(record, again, known)
            course.wrong += at(where, compared.messages)
            if compared.how:
                course.notes.append(f"repeated {where}: {compared.how}")
    return course.verdict()


def _drawn(manifest: Manifest, found: Sequence[tuple[str, Record]], repeat: Repeat) -> list[tuple[str, Record]]:
    """The runs to repeat: those named, or the first in an order that a hash of content and salt gives.

    Raises:
        UsageError: no completed run has a given identifier.
    """
    completed = {record.id: (where, record) for where, record in found if record.status == "ok"}
    for name in repeat.named:
        if name not in completed:
            known = ", ".join(sorted(completed)[:8])
            raise UsageError(f"no completed run {name!r} in this submission: --cell may be {known}")
    if repeat.named:
        return [completed[name] for name in dict.fromkeys(repeat.named)]
    content = manifests.content_hash(manifest)
    order = sorted(completed, key=lambda name: hashlib.sha256(f"{content}\0{repeat.salt}\0{name}".encode()).digest())
    return [completed[name] for name in order[: repeat.cells]]
