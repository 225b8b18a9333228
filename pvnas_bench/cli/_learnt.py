"""The command `learnt`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pvnas_bench.boards import learnt
from pvnas_bench.boards.learnt_page import to_json, to_markdown
from pvnas_bench.cli import OK, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import write_atomically


def show(folders: Sequence[Path], format: Literal["markdown", "json"], output: Path | None) -> int:
    """Write the comparison of real with null searches to a file or to standard output.

    Raises:
        UsageError: no records in a folder, no null searches at all, or a file that cannot be written.
    """
    records = [record for folder in folders for record in _results.load(folder, reference=False, null=None)[0]]
    if not any(record.null for record in records):
        raise UsageError(f"no null searches in {', '.join(map(str, folders))}: run some with --null")
    boards = learnt.compare(records)
    content = to_json(boards) if format == "json" else to_markdown(boards)
    if output is None:
        sys.stdout.write(content)
    else:
        with _results.writing(output):
            write_atomically(output, content.encode())
    return OK
