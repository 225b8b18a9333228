"""Tables in a folder: a Parquet file for each space and data set, next to the journals of running builds."""

import json
import math
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pvnas_bench.errors import UsageError
from pvnas_bench.records import without_cycle_collection
from pvnas_bench.space import SearchSpace
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.leases import InUse, claimed
from pvnas_bench.system.text import either
from pvnas_bench.table import journal
from pvnas_bench.table.journal import Content
from pvnas_bench.table.schema import About, KnownTraining, Session
from pvnas_bench.table.table import Table

KEY = b"pvnas_bench"
"""Key of the description in a Parquet file's metadata."""
PUBLISHED = "pvnas_bench.reference"
CURVES = ("train_loss", "val_top1", "val_loss")
REALS = ("seconds", "latency_ms", "test_top1", "test_top5", "test_mean_class", "test_loss")
ORDERS = ("test_top1_reversed", "test_top1_shuffled")
"""Columns that files of earlier versions lack."""


def default_folder() -> Path:
    """Default folder of built tables."""
    return Path("results/tables")


@dataclass(frozen=True)
class Files:
    """The files of a table: a Parquet file, and a journal for each build that has not been merged into it."""

    folder: Path
    stem: str

    @property
    def parquet(self) -> Path:
        return self.folder / f"{self.stem}.parquet"

    @property
    def journals(self) -> list[Path]:
        """Existing journals, in the order of their numbers."""
        pattern = re.compile(rf"{re.escape(self.stem)}(?:\.([0-9]{{1,6}}))?\.jsonl")
        numbered = [(match, path) for path in self.folder.glob("*.jsonl") if (match := pattern.fullmatch(path.name))]
        return [path for _, path in sorted((int(match[1] or 1), path) for match, path in numbered)]

    def journal(self, number: int = 1) -> Path:
        """Path of the journal with this number; builds at the same time have different ones."""
        return self.folder / (f"{self.stem}.jsonl" if number == 1 else f"{self.stem}.{number}.jsonl")

    def read(self) -> Content:
        """Read all finished trainings, from the Parquet file and the journals.

        Raises:
            UsageError: a file cannot be read, or the recipes differ.
        """
        return self._merged(self.journals)

    def _merged(self, journals: Sequence[Path]) -> Content:
        later = [(path, journal.read(path)) for path in journals]  # first: what leaves a journal is in the Parquet file
        content = read_parquet(self.parquet) if self.parquet.exists() else Content()
        for path, more in later:
            if content.about and more.about and content.about.recipe != more.about.recipe:
                raise UsageError(f"{path} has another recipe than {self.parquet}: keep one of them")
            content.add(more)
        return content

    def compact(self) -> None:
        """Merge the journals of ended builds into the Parquet file.

        After a crash every training is in one of the files. Does nothing while another process compacts.

        Raises:
            UsageError: a file cannot be read or written, or the recipes differ.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(claimed(self.parquet))
            except InUse:
                return
            free = []
            for path in self.journals:
                with suppress(InUse):
                    stack.enter_context(claimed(path))
                    free.append(path)
            content = self._merged(free)
            if free and content.trainings:
                write_atomically(self.parquet, to_parquet(content))
            for path in free:
                path.unlink(missing_ok=True)


def to_parquet(content: Content) -> bytes:
    """Encode a table as a Parquet file: a row for each training, sorted by architecture and seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert content.about is not None
    trainings = sorted(content.trainings, key=lambda training: training.key)

    def column(name: str) -> list[Any]:
        return [getattr(training, name) for training in trainings]

    curve = pa.list_(pa.float32(), content.about.epochs)
    columns = {
        "architecture": pa.array(column("architecture"), pa.string()),
        "seed": pa.array(column("seed"), pa.int32()),
        "session": pa.array(column("session"), pa.int32()),
        **{name: pa.array(column(name), pa.int64()) for name in ("macs", "parameters", "training_macs")},
        **{name: pa.array(column(name), curve) for name in CURVES},
        **{name: pa.array(column(name), pa.float32()) for name in (*REALS, *ORDERS)},
    }
    description = {
        "about": json.loads(content.about.model_dump_json()),
        "sessions": [json.loads(session.model_dump_json()) for session in content.sessions],
    }
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(description).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=19, use_dictionary=["architecture"])
    return bytes(sink.getvalue())


def read_parquet(path: Path) -> Content:
    """Read a table's Parquet file.

    Raises:
        UsageError: the file is not a table, or has another schema version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, memory_map=True)
        description = json.loads((table.schema.metadata or {})[KEY])
        about = About.model_validate(description["about"])
        sessions = [Session.model_validate(values) for values in description["sessions"]]
    except (OSError, KeyError, ValueError, ValidationError, pa.ArrowException) as error:
        raise UsageError(f"{path} is not a table of this version ({type(error).__name__}): build it again") from None
    columns: dict[str, list[Any]] = {}
    for name in set(table.column_names) - set(ORDERS):
        values = table[name].combine_chunks()
        if name in CURVES:
            flat = values.flatten().to_numpy(zero_copy_only=False)
            columns[name] = list(map(tuple, flat.reshape(len(table), about.epochs).tolist()))
        else:
            columns[name] = values.to_pylist() if name == "architecture" else values.to_numpy().tolist()
    for name in ORDERS:
        values = table[name].to_pylist() if name in table.column_names else [None] * len(table)
        columns[name] = [None if value is None or math.isnan(value) else value for value in values]
    trainings = list(map(KnownTraining, *(columns[name] for name in KnownTraining._fields)))
    return Content(about, sessions, trainings)


def load(files: Files, space: SearchSpace | None = None) -> Table:
    """Load the table in these files, complete or not.

    Args:
        space: tells which architectures build the same network; None: each builds its own.

    Raises:
        UsageError: the table does not exist, cannot be read, or is of another version of the space.
    """
    with without_cycle_collection():
        content = files.read()
        if content.about is None or not content.trainings:
            raise UsageError(f"no table {files.stem} in {files.folder}: build it with `table build`")
        return Table(content.about, content.sessions, content.trainings, space)


def stem_of(space: SearchSpace, dataset: str) -> str:
    """Name of a table's files, without a suffix.

    Args:
        dataset: a name, or the path of a folder or manifest; the name is its last part without suffix.
    """
    path = Path(dataset)
    return f"{space.name}-{path.stem if path.name not in ('', '..') else path.resolve().name}"


def find(space: SearchSpace, dataset: str, folder: Path | None = None) -> Table:
    """Load the table of a space and a data set.

    Args:
        dataset: a name, or the path of a folder or manifest; the table is named by its last part without suffix.
        folder: folder of tables; None: `default_folder`, then the published tables.

    Raises:
        UsageError: the table does not exist, cannot be read, or is of another version of the space; the message names
            existing tables.
    """
    stem = stem_of(space, dataset)
    folders = [default_folder(), _published()] if folder is None else [folder]
    for place in folders:
        files = Files(place, stem)
        if times := _times(files):
            return _cached(files, times, space)
    known = sorted({path.stem for place in folders for path in place.glob("*.parquet")})
    fit = [stem.removeprefix(f"{space.name}-") for stem in known if stem.startswith(f"{space.name}-")]
    if fit:
        there = f"with this space --dataset can be {either(fit)}"
    else:
        there = f"the tables there are {', '.join(known)}" if known else "there are no tables"
    places = f"{folders[0]}" if folder else f"{folders[0]} or among the published tables"
    raise UsageError(f"no table {stem} for --dataset {dataset!r} in {places}: {there}; build it with `table build`")


def _published() -> Path:
    with resources.as_file(resources.files(PUBLISHED)) as folder:
        return folder / "tables"


def _times(files: Files) -> tuple[int, ...]:
    """Modification time of each file, 0 for an absent one; empty if all are absent."""
    times = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in (files.parquet, *files.journals))
    return times if any(times) else ()


@lru_cache(maxsize=8)
def _cached(files: Files, times: tuple[int, ...], space: SearchSpace) -> Table:
    """Load a table, cached until one of its files changes."""
    return load(files, space)
