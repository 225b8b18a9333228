"""Zero-cost scores of every architecture of a table, stored as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.table.table import Table


def to_csv(scores: Mapping[str, Sequence[float]], table: Table) -> str:
    """Render scores as CSV: a row for each architecture, a column for each score.

    Args:
        scores: scores by name, in the order of the table's architectures.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["architecture", *scores])
    for architecture, *values in zip(table.architectures, *scores.values(), strict=True):
        writer.writerow([architecture, *(f"{value:.6g}" for value in values)])
    return text.getvalue()


def from_csv(path: Path, table: Table) -> dict[str, list[float]]:
    """Read the scores written by `to_csv`, in the order of the table's architectures.

    Raises:
        UsageError: the file cannot be read, or lacks an architecture of the table.
    """
    try:
        (_, *names), *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        values = {row[0]: list(map(float, row[1:])) for row in rows}
        return {name: [values[a][i] for a in table.architectures] for i, name in enumerate(names)}
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"{path} does not fit the table ({error}): write it again with --scores") from None
