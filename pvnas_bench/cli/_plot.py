"""The command `plot`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pvnas_bench.boards.plots import FORMATS, KINDS
from pvnas_bench.boards.plots import plot as draw
from pvnas_bench.boards.trajectories import Measure
from pvnas_bench.cli import OK, _results

TRUTH = "incumbents"
"""The plot that needs tables."""


def plot(
    results: Path,
    kinds: Sequence[str],
    output: Path,
    formats: Sequence[str],
    axis: str,
    tables: Path | None,
    *,
    reference: bool,
) -> int:
    """Draw plots of each kind for each board of the records; print their paths, and reasons for missing plots.

    Raises:
        UsageError: no record in the folder, an unknown kind, format or axis, or an output that cannot be written.
    """
    records, _ = _results.load(results, reference=reference, detail="curves", or_published=True)
    truth = _truth(tables) if not kinds or TRUTH in kinds else None
    with _results.writing(output):
        drawn = [
            plot
            for kind in kinds or KINDS
            for plot in draw(records, kind, output, formats=formats or FORMATS, axis=axis, truth=truth)
        ]
    for plot in drawn:
        if plot.reason is not None:
            print(f"no plot {plot.kind} of {plot.subject}: {plot.reason}", file=sys.stderr)
        for file in plot.files:
            print(file)
    return OK


def _truth(tables: Path | None) -> Measure:
    """What tells the accuracies of incumbents; it computes the costs of networks, for which it needs torch."""
    from pvnas_bench.runs.truths import Truths

    return Truths(tables)
