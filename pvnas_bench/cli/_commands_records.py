"""The commands that read records: `leaderboard`, `plot`, `report`, `check`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Reference, Results


class Format(StrEnum):
    """How `leaderboard` writes."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def leaderboard(
    results: Results = Path("results/runs"),
    format: Annotated[
        Format | None, typer.Option(help="[default: terminal, or what the output file's suffix says]")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A file to write instead of standard output.")] = None,
    reference: Reference = True,
) -> int:
    """Show the leaderboards of the records in a folder, one for each space, data set and protocol."""
    from pvnas_bench.cli import _leaderboard

    return _leaderboard.show(results, format.value if format else None, output, reference=reference)


def plot(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            help="anytime, tradeoff, profiles, critical, costs, diversity, ranking, architecture; all unless named.",
            metavar="[KIND]...",
        ),
    ] = None,
    results: Results = Path("results/runs"),
    output: Annotated[
        Path | None, typer.Option(help="Folder of the files.  [default: plots in the results folder]", metavar="DIR")
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="png or svg; may be repeated.  [default: both]")
    ] = None,
    axis: Annotated[str, typer.Option(help="Cost axis of anytime: cost, wall or step.")] = "cost",
    reference: Reference = True,
) -> int:
    """Draw the records in a folder, and print the path of each file."""
    from pvnas_bench.cli import _plot

    return _plot.plot(results, kinds or (), output or results / "plots", formats or (), axis, reference=reference)


def report(
    results: Results = Path("results/runs"),
    output: Annotated[
        Path | None, typer.Option(help="The page.  [default: report.html in the results folder]", metavar="FILE")
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", help="Show test clips of this data set; may be repeated.")
    ] = None,
    reference: Reference = True,
) -> int:
    """Write one self-contained HTML page of the records in a folder, and print its path."""
    from pvnas_bench.cli import _report

    return _report.report(results, output or results / "report.html", datasets or (), reference=reference)


def check(
    baseline: Annotated[Path, typer.Option(help="Reference records: a folder, or the file that --update wrote.")],
    results: Results = Path("results/runs"),
    margin: Annotated[float, typer.Option(help="Tolerated loss of mean top-1, a fraction.", min=0, max=1)] = 0.02,
    alpha: Annotated[float, typer.Option(help="Error of all accuracy tests together.", min=0, max=1)] = 0.01,
    slowdown: Annotated[float, typer.Option(help="Tolerated ratio of relative seconds.", min=1)] = 1.25,
    require_all: Annotated[
        bool, typer.Option("--require-all", help="An entry of the baseline without a fresh run is a regression.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the comparisons as JUnit XML.", metavar="FILE")] = None,
    github: Annotated[bool, typer.Option("--github", help="Print regressions as GitHub annotations.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Write the fresh records as the baseline instead of comparing.")
    ] = False,
) -> int:
    """Compare the records in a folder with reference ones, for CI: exit code 1 if anything got worse."""
    from pvnas_bench.cli import _check

    if update:
        return _check.update(results, baseline)
    limits = _check.Limits(margin=margin, alpha=alpha, slowdown=slowdown, require_all=require_all)
    return _check.check(results, baseline, limits, junit=junit, github=github)
