"""What `train` is given as an architecture: a string, a record, a model, or the rank of an entry in a table."""

import re
from dataclasses import dataclass
from pathlib import Path

from pvnas_bench import records, registry
from pvnas_bench.deploy.model import model_path
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import Protocol, get_protocol, recorded_protocol
from pvnas_bench.runs.request import Request
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table import find as find_table
from pvnas_bench.training.model_file import load
from pvnas_bench.video import list_datasets

DEFAULT_PROTOCOL = "quick"
_RANK = re.compile(r"table:(\d+)")


@dataclass(frozen=True)
class Named:
    """An architecture with what is trained on unless said otherwise."""

    space: SearchSpace
    architecture: Architecture
    dataset: str
    protocol: Protocol


def named(
    word: str, *, space: str | None, dataset: str | None, protocol: str | None, tables: Path | None = None
) -> Named:
    """The architecture that a word names, and the data set and protocol of where it is from.

    Args:
        word: an architecture's string; the path of a record, of a model, or of a folder that holds one; or ``table:N``,
            the N-th best architecture of the table of the space and the data set.
        space, dataset, protocol: as given; they win over those of a record or a model.

    Raises:
        UsageError: the word names nothing, or the space is unknown or another one than it was found in.
    """
    if match := _RANK.fullmatch(word):
        return _of_table(int(match[1]), space, dataset, protocol, tables)
    path = Path(word)
    if path.is_dir() or path.suffix in (".json", ".safetensors"):
        return _of_file(path, space, dataset, protocol)
    known = registry.get_space(space or Request.space)
    return Named(known, known.parse(word), dataset or Request.dataset, get_protocol(protocol or DEFAULT_PROTOCOL))


def _of_table(rank: int, space: str | None, dataset: str | None, protocol: str | None, tables: Path | None) -> Named:
    known = registry.get_space(space or "st_micro")
    dataset = dataset or Request.dataset
    table = find_table(known, dataset, tables)
    ranked = sorted(table.architectures, key=lambda string: -table.top1(string))
    if not 1 <= rank <= len(ranked):
        raise UsageError(f"table:{rank}: the table {table.about.stem} has ranks 1 to {len(ranked)}")
    return Named(known, known.parse(ranked[rank - 1]), dataset, _recipe(protocol, table.about.protocol))


def _of_file(path: Path, space: str | None, dataset: str | None, protocol: str | None) -> Named:
    record = record_path(path)
    if record is not None:
        try:
            found = records.load(record)
        except (OSError, ValueError) as error:
            raise UsageError(f"{str(record)!r} is not a record: {error}") from None
        return of_record(found, record, space=space, dataset=dataset, protocol=protocol)
    info = load(model_path(path)).info
    known = _space(path, space or info.space.name, info.space.fingerprint)
    return Named(
        known,
        known.parse(info.architecture),
        _dataset(path, dataset, info.data.name),
        _recipe(protocol, info.protocol),
    )


def of_record(
    found: records.Record, path: Path, *, space: str | None, dataset: str | None, protocol: str | None
) -> Named:
    """The architecture that a record names; arguments as of `named`.

    Raises:
        UsageError: the run returned no architecture, or its space or data set is not to be had by name.
    """
    if found.outcome is None:
        raise UsageError(f"the run of {str(path)!r} returned no architecture: it ended as {found.status!r}")
    known = _space(path, space or found.space.name, found.space.fingerprint.rpartition(":")[0])
    return Named(
        known,
        known.parse(found.outcome.architecture),
        _dataset(path, dataset, found.data.name),
        _recipe(protocol, found.protocol),
    )


def _space(path: Path, name: str, fingerprint: str) -> SearchSpace:
    known = registry.get_space(name)
    if known.fingerprint != fingerprint:
        raise UsageError(
            f"{str(path)!r} is of the space {fingerprint}, {known.name} here is {known.fingerprint}: give that space "
            "with --space"
        )
    return known


def _dataset(path: Path, given: str | None, name: str) -> str:
    if given is None and name not in dict(list_datasets()):
        raise UsageError(f"{str(path)!r} is of the data set {name!r}: give its path with --dataset")
    return given or name


def _recipe(given: str | None, entry: records.ProtocolEntry) -> Protocol:
    """The protocol of this name, else that of a record, a model or a table."""
    return recorded_protocol(entry) if given is None else get_protocol(given)


def record_path(path: Path) -> Path | None:
    """The record that a path names: a file that is no model, or the only record in a folder; None: a model.

    Raises:
        UsageError: the path does not exist, or the folder holds several records.
    """
    if not path.is_dir():
        if not path.exists():
            raise UsageError(f"no such record or model: {str(path)!r}")
        return None if path.suffix == ".safetensors" else path
    found = [file for file in records.find(path) if not records.holds_many(file)]
    if len(found) > 1:
        raise UsageError(f"the folder {str(path)!r} holds {len(found)} records, such as {str(found[0])!r}: name one")
    return found[0] if found else None
