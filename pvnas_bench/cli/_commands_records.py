"""The commands that read records: `leaderboard`, `plot`, `report`, `learnt`, `check`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import PageFormat, Reference, Results, Tables


class Format(StrEnum):
    """Output formats of `leaderboard`."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def leaderboard(
    results: Results = Path("results/runs"),
    format: Annotated[
        Format | None, typer.Option(help="Output format.  [default: from the output file's suffix, else terminal]")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
    null: Annotated[
        bool, typer.Option("--null", help="Show the boards of null searches instead of real ones.")
    ] = False,
    retrained: Annotated[
        Path | None,
        typer.Option(help="Folder of `retrain`, whose trainings judge the records.  [default: none]", metavar="DIR"),
    ] = None,
    reference: Reference = True,
) -> int:
    """Show the leaderboards of the records in a folder, one per space, data set and protocol."""
    from pvnas_bench.cli import _leaderboard

    return _leaderboard.show(
        results, format.value if format else None, output, reference=reference, null=null, retrained=retrained
    )


def plot(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            help="Plots: anytime, incumbents, tradeoff, profiles, critical, costs, diversity, ranking, architecture.  "
            "[default: all]",
            metavar="[KIND]...",
        ),
    ] = None,
    results: Results = Path("results/runs"),
    output: Annotated[
        Path | None, typer.Option(help="Folder of the plots.  [default: plots in the results folder]", metavar="DIR")
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="File format, png or svg; may be repeated.  [default: both]")
    ] = None,
    axis: Annotated[
        str,
        typer.Option(
            help="Horizontal axis of the plots anytime and incumbents: cost (reference trainings), wall (seconds) or "
            "step."
        ),
    ] = "cost",
    tables: Tables = None,
    reference: Reference = True,
) -> int:
    """Plot the records in a folder, and print the paths of the files."""
    from pvnas_bench.cli import _plot

    folder = output or results / "plots"
    return _plot.plot(results, kinds or (), folder, formats or (), axis, tables, reference=reference)


def report(
    results: Results = Path("results/runs"),
    output: Annotated[
        Path | None, typer.Option(help="HTML file.  [default: report.html in the results folder]", metavar="FILE")
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", help="Data set whose test clips to show; may be repeated.")
    ] = None,
    reference: Reference = True,
) -> int:
    """Write a self-contained HTML report of the records in a folder, and print its path."""
    from pvnas_bench.cli import _report

    return _report.report(results, output or results / "report.html", datasets or (), reference=reference)


def learnt(
    records: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of records, real and null.  [default: results/runs]", metavar="[RECORDS]..."),
    ] = None,
    format: Annotated[PageFormat, typer.Option(help="Output format.")] = PageFormat.markdown,
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
) -> int:
    """State for each strategy whether its searches learn: real ones against null ones (`run --null`)."""
    from pvnas_bench.cli import _learnt

    return _learnt.show(records or [Path("results/runs")], format.value, output)


def check(
    baseline: Annotated[Path, typer.Option(help="Baseline records: a folder, or a file written by --update.")],
    results: Results = Path("results/runs"),
    margin: Annotated[
        float, typer.Option(help="Tolerated drop of the mean test top-1, a fraction.", min=0, max=1)
    ] = 0.02,
    alpha: Annotated[
        float, typer.Option(help="Family-wise error rate of all accuracy tests together.", min=0, max=1)
    ] = 0.01,
    slowdown: Annotated[
        float, typer.Option(help="Tolerated ratio of relative seconds, fresh to baseline.", min=1)
    ] = 1.25,
    require_all: Annotated[
        bool, typer.Option("--require-all", help="Count an entry of the baseline without a fresh run as a regression.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="File for the comparisons as JUnit XML.", metavar="FILE")] = None,
    github: Annotated[bool, typer.Option("--github", help="Print regressions as GitHub annotations.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Write the fresh records as the baseline instead of comparing.")
    ] = False,
) -> int:
    """Compare the records in a folder with a baseline, for CI; exit code 1 if there is a regression."""
    from pvnas_bench.cli import _check

    if update:
        return _check.update(results, baseline)
    limits = _check.Limits(margin=margin, alpha=alpha, slowdown=slowdown, require_all=require_all)
    return _check.check(results, baseline, limits, junit=junit, github=github)
