"""Baselines: records in one file or in a folder."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.system.files import read_whole, write_atomically

LARGEST = 2**30
"""Largest size of a baseline in bytes."""


def load_baseline(path: Path) -> list[Record]:
    """Read a baseline: a folder of records, one record, or a JSON array of records.

    Unlike a results folder, a baseline must not have invalid records, since a missing comparison cannot fail.

    Raises:
        UsageError: the file does not exist, or an entry is not a record.
    """
    if path.is_dir():
        loaded, unreadable = records.require_records(path)
        if unreadable:
            raise UsageError(f"baseline {unreadable[0].path} is unreadable ({unreadable[0].reason}): fix or remove it")
        return loaded
    try:
        if path.name.endswith(records.FILE_NAME):
            return [records.load(path)]
        return TypeAdapter(list[Record]).validate_json(read_whole(path, LARGEST))
    except OSError as error:
        raise UsageError(
            f"cannot read baseline {path} ({error.strerror}): name a file or folder of records with --baseline"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise UsageError(
            f"baseline {path} is not a JSON array of records ({where}: {first['msg']}): write it again with --update"
        ) from None
    except ValueError as error:
        raise UsageError(f"baseline {path} is unreadable ({error}): write it again with --update") from None


def save_baseline(fresh: Sequence[Record], path: Path) -> None:
    """Write records as the JSON array that `load_baseline` reads, sorted so that changes are easy to read."""
    ordered = sorted(fresh, key=lambda r: (r.board, r.strategy.entry, r.seed, r.id))
    lines = ",\n".join(record.model_dump_json() for record in ordered)
    write_atomically(path, f"[\n{lines}\n]\n".encode())
