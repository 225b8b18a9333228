"""The manifest of a submission: its strategy, its files with their hashes, its results."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pvnas_bench.boards import leaderboard
from pvnas_bench.records import Record, Seed, Source
from pvnas_bench.submission.findings import Disagreement, shown
from pvnas_bench.submission.layout import CHECKLIST, MANIFEST, MOST_PAGE, RECORDS, STRATEGY, limit
from pvnas_bench.system.files import read_whole

SCHEMA_VERSION: Final = 1
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class File(_Model):
    """A file of the submission; the path is relative to it."""

    path: str
    bytes: int = Field(ge=0)
    sha256: Sha256


class StrategyFile(_Model):
    """The strategy of all records, and its file in the submission; a strategy of the package has none."""

    name: str
    source: Source
    file: str | None


class Result(_Model):
    """An entry on a board, as the leaderboard scores it: means over seeds."""

    entry: str
    space: str
    data: str
    protocol: str
    cap_macs: int
    budget: float
    seeds: tuple[Seed, ...]
    failures: int
    top1_mean: float
    top5: float
    mean_class: float
    search_reference_trainings: float | None


class Manifest(_Model):
    """Content of `manifest.json`. The checklist is not among its files: its author completes it by hand."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created: AwareDatetime
    pvnas_bench: str
    strategy: StrategyFile
    files: tuple[File, ...]
    results: tuple[Result, ...]

    def json_text(self) -> str:
        """The file's content."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


class Reading(NamedTuple):
    """A manifest, where it could be read, and what is wrong with it."""

    manifest: Manifest | None
    disagreements: list[Disagreement]


def results(found: Sequence[Record]) -> tuple[Result, ...]:
    """The rows of a leaderboard of these records alone."""
    seeds: dict[tuple[Any, ...], set[int]] = {}
    for record in found:
        seeds.setdefault((*leaderboard.board_key(record).values(), record.strategy.entry), set()).add(record.seed)
    rows = []
    for board in leaderboard.build(found):
        prints = board.fingerprints
        key = (prints["space"], prints["data"], prints["protocol"], board.cap_macs, board.budget)
        rows += [
            Result(
                entry=row.entry,
                space=prints["space"],
                data=prints["data"],
                protocol=prints["protocol"],
                cap_macs=board.cap_macs,
                budget=board.budget,
                seeds=tuple(sorted(seeds.get((*key, row.entry), ()))),
                failures=row.failures,
                top1_mean=row.top1_mean,
                top5=row.top5,
                mean_class=row.mean_class,
                search_reference_trainings=row.search_reference_trainings,
            )
            for row in board.rows
        ]
    return tuple(rows)


def file_entry(folder: Path, path: str) -> File:
    """The entry of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or no regular file.
    """
    content = read_whole(folder / path, limit(path))
    return File(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def read(folder: Path) -> Reading:
    """Read the manifest of a submission."""
    try:
        text = read_whole(folder / MANIFEST, MOST_PAGE)
        if repeated := repeated_key(text):
            return Reading(None, [Disagreement(MANIFEST, f"has the key {shown(repeated)} twice")])
        return Reading(Manifest.model_validate_json(text), [])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        return Reading(None, [Disagreement(MANIFEST, f"is no manifest: {where}: {first['msg']}")])
    except (OSError, ValueError) as error:
        return Reading(None, [Disagreement(MANIFEST, f"cannot be read: {error}")])


def compared(manifest: Manifest, folder: Path, files: Iterable[str]) -> Iterator[Disagreement]:
    """Compare the manifest with the files of the submission."""
    told = {file.path: file for file in manifest.files}
    if len(told) != len(manifest.files):
        yield Disagreement(MANIFEST, "names a file twice")
    there = [path for path in files if path not in (MANIFEST, CHECKLIST)]
    for path in sorted(told.keys() - set(there)):
        yield Disagreement(MANIFEST, f"names {shown(path)}, which is not in the submission")
    for path in there:
        if path not in told:
            yield Disagreement(path, "is not in the manifest")
            continue
        try:
            entry = file_entry(folder, path)
        except (OSError, ValueError) as error:
            yield Disagreement(path, f"cannot be read: {error}")
            continue
        if entry != told[path]:
            yield Disagreement(path, "has another content than the manifest says (SHA-256 or size)")
    yield from _places(manifest, set(there))


def _places(manifest: Manifest, files: set[str]) -> Iterator[Disagreement]:
    """Check which file is the strategy."""
    file, inside = manifest.strategy.file, {path for path in files if path.startswith(f"{STRATEGY}/")}
    if manifest.strategy.source.builtin != (file is None):
        yield Disagreement(MANIFEST, "a strategy has a file if and only if it is not one of the package")
    elif file is None and inside:
        yield Disagreement(min(inside), "is there, yet the strategy is one of the package")
    elif file is not None and (file not in inside or file.count("/") != 1):
        yield Disagreement(MANIFEST, f"names {shown(file)} as the strategy, which is no file of {STRATEGY}/")


def content_hash(manifest: Manifest) -> str:
    """SHA-256 of records and sources: it changes with every byte of them."""
    whole = hashlib.sha256()
    for file in sorted(manifest.files, key=lambda file: file.path):
        if file.path.partition("/")[0] in (RECORDS, STRATEGY):
            whole.update(f"{file.path}\0{file.sha256}\0".encode())
    return whole.hexdigest()


def repeated_key(text: bytes) -> str | None:
    """A key that an object of this JSON has twice: readers disagree which one counts.

    Raises:
        ValueError: the text is not JSON.
    """
    repeated: list[str] = []

    def noted(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend(key for key in keys if keys.count(key) > 1)

    try:
        json.loads(text, object_pairs_hook=noted)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return repeated[0] if repeated else None
