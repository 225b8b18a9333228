"""Reading results for a command: remarks go to standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pvnas_bench import records
from pvnas_bench.api import results
from pvnas_bench.errors import UsageError


def load(
    folder: Path,
    *,
    reference: bool,
    detail: records.Detail = "full",
    or_published: bool = False,
    null: bool | None = False,
) -> tuple[list[records.Record], list[records.Unreadable]]:
    """The records of `api.results.load`, and the files that were left out: these are named on standard error.

    Raises:
        UsageError: the folder has no such records.
    """
    loaded = results.load(folder, reference=reference, detail=detail, or_published=or_published, null=null)
    for line in loaded.remarks:
        print(line, file=sys.stderr)
    return loaded.records, loaded.unreadable


@contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[None]:
    """Turn an OSError within the context into a UsageError about the output named by this option."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {output} ({error.strerror}): choose another path with {option}") from None
