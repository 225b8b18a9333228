"""The command `report`."""

from pathlib import Path

from pvnas_bench.cli import OK, _results
from pvnas_bench.records import Record
from pvnas_bench.report import write


def report(results: Path, output: Path, *, reference: bool) -> int:
    """Write the page of the records and print its path.

    Raises:
        UsageError: no record in the folder, or a page that cannot be written.
    """
    records, unreadable = _results.load(results, Record, reference=reference)
    with _results.writing(output):
        write(output, records, unreadable)
    print(output)
    return OK
