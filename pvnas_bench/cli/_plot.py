"""The command `plot`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pvnas_bench.boards.plots import FORMATS, KINDS
from pvnas_bench.boards.plots import plot as draw
from pvnas_bench.cli import OK, _results


def plot(
    results: Path, kinds: Sequence[str], output: Path, formats: Sequence[str], axis: str, *, reference: bool
) -> int:
    """Draw plots of each kind for each board of the records; print their paths, and reasons for missing plots.

    Raises:
        UsageError: no record in the folder, an unknown kind, format or axis, or an output that cannot be written.
    """
    records, _ = _results.load(results, reference=reference, detail="curves", or_published=True)
    with _results.writing(output):
        drawn = [
            plot
            for kind in kinds or KINDS
            for plot in draw(records, kind, output, formats=formats or FORMATS, axis=axis)
        ]
    for plot in drawn:
        if plot.reason is not None:
            print(f"no plot {plot.kind} of {plot.subject}: {plot.reason}", file=sys.stderr)
        for file in plot.files:
            print(file)
    return OK
