"""Leaderboards as data frames."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvnas_bench.api import results as reading
from pvnas_bench.boards import leaderboard as boards
from pvnas_bench.boards import render
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(
    results: str | os.PathLike[str] | Iterable[Record] = reading.RUNS, *, reference: bool = True, null: bool = False
) -> "pd.DataFrame":
    """The leaderboards of a folder's records: one row for each entry of each board, best first.

    Columns: the board (`space`, `cap`, `cap_macs`, `data`, `protocol`, `budget` and the three fingerprints), then the
    fields of `pvnas_bench.boards.leaderboard.Row`. Accuracies are fractions, costs are in reference trainings. The
    notes of the boards, such as too few seeds for a winner, are in ``frame.attrs["notes"]``.

    Args:
        results: folder of the records, or records. While the default folder is empty: the published runs.
        reference: True to add the published runs of the same boards to those of a folder.
        null: True for the boards of a folder's null searches instead of the real ones.

    Raises:
        UsageError: there is no record.
    """
    if isinstance(results, str | os.PathLike):
        loaded = reading.load(Path(results), reference=reference, detail="scores", or_published=True, null=null)
        for line in loaded.remarks:
            warnings.warn(line, stacklevel=2)
        records: Sequence[Record] = loaded.records
    else:
        records = list(results)
        if not records:
            raise UsageError("no records: run a search first")
    return frame(boards.build(records))


def frame(listed: Sequence[boards.Board]) -> "pd.DataFrame":
    """The rows of boards as a data frame."""
    import pandas as pd

    table = pd.DataFrame(render.table(listed))
    for column in table.columns:
        if pd.api.types.infer_dtype(table[column], skipna=True) not in ("string", "boolean"):
            table[column] = pd.to_numeric(table[column])
    table.attrs["notes"] = [f"{board.title}: {note}" for board in listed for note in board.notes]
    return table
