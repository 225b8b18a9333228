"""The commands and their options. Bodies import what they need: see the package's docstring."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Compare architecture-search strategies for video recognition.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
data = typer.Typer(help="Make clips ready for training.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")

Json = Annotated[bool, typer.Option("--json", help="Print what a program would read.")]
Results = Annotated[Path, typer.Option(help="Folder of the records.", metavar="DIR")]
Dataset = Annotated[
    str, typer.Option(help="A name of `list datasets`, a folder ROOT/<class>/<clip>, or a manifest .csv.")
]
Protocol = Annotated[str, typer.Option(help="What is equal for all: quick (minutes) or standard (for tables).")]
Reference = Annotated[
    bool, typer.Option("--reference/--no-reference", help="Show the published runs of the same board.")
]


class Kind(StrEnum):
    """What `list` lists."""

    strategies = "strategies"
    spaces = "spaces"
    datasets = "datasets"


class Format(StrEnum):
    """How `leaderboard` writes."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def _version(wanted: bool) -> None:
    if wanted:
        from pvnas_bench import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Compare architecture-search strategies for video recognition."""


@app.command()
def run(
    strategy: Annotated[str, typer.Option(help="A name of `list strategies`, or a .py file of your own.")],
    space: Annotated[str, typer.Option(help="A name of `list spaces`, or a .py file of your own.")] = "st_default",
    dataset: Dataset = "synthetic_motion",
    protocol: Protocol = "quick",
    cap: Annotated[
        str | None, typer.Option(help="Most MACs: one of the space's caps, or a number.  [default: the space's first]")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Of the search, in reference trainings.  [default: the protocol's]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyper-parameter of the strategy; may be repeated."),
    ] = None,
    results: Results = Path("results/runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads.  [default: every core]", min=1)] = None,
    reference: Reference = True,
    json: Json = False,
) -> int:
    """Search, train what was found, test it, and show it on its leaderboard.

    The last line of standard output is the path of the run's record.json.
    """
    from pvnas_bench.cli import _run
    from pvnas_bench.cli._quiet import quiet

    with quiet():
        from pvnas_bench.runner import Request

        request = Request(
            strategy=strategy,
            space=space,
            dataset=dataset,
            protocol=protocol,
            cap=cap,
            budget=budget,
            seed=seed,
            settings=_run.parse_settings(settings or ()),
            results=results,
            device=device,
            threads=threads,
        )
        return _run.run(request, reference=reference, as_json=json)


@app.command()
def compare(
    grid: Annotated[
        Path | None, typer.Argument(help="A TOML file with what the options say.", metavar="[GRID.toml]")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="A strategy, as in expert[network=tsm]; may be repeated.")
    ] = None,
    space: Annotated[list[str] | None, typer.Option(help="A space; may be repeated.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="A data set; may be repeated.")] = None,
    protocol: Annotated[str | None, typer.Option(help="quick or standard.")] = None,
    cap: Annotated[str | None, typer.Option(help="Most MACs: one of the space's caps, or a number.")] = None,
    budget: Annotated[float | None, typer.Option(help="Of each search, in reference trainings.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds 0, 1, ... of each.", min=1)] = None,
    results: Results = Path("results/runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Runs side by side.  [default: every core]", min=1)] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of each run.", min=1)] = 1,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    reference: Reference = True,
) -> int:
    """Run a grid of strategies, spaces, data sets and seeds side by side, and show the leaderboards.

    A cell whose record exists is not run again, so the same command goes on where it was stopped.
    """
    from pvnas_bench.cli import _compare
    from pvnas_bench.cli._quiet import quiet

    given = {
        "strategies": strategy,
        "spaces": space,
        "datasets": dataset,
        "protocol": protocol,
        "cap": cap,
        "budget": budget,
        "seeds": seeds,
    }
    with quiet():
        return _compare.compare(
            grid,
            {key: value for key, value in given.items() if value},
            results=results,
            device=device,
            workers=workers,
            threads=threads,
            retry_failed=retry_failed,
            reference=reference,
        )


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def test(
    strategy: Annotated[
        str, typer.Argument(help="A name of `list strategies`, or a .py file of your own.", metavar="STRATEGY")
    ],
) -> int:
    """Check that a strategy keeps to the contract: a line for each check, exit code 1 if one fails."""
    from pvnas_bench.cli import _test
    from pvnas_bench.cli._quiet import quiet

    with quiet():
        return _test.test(strategy)


@app.command("list")
def list_(
    what: Annotated[Kind, typer.Argument(help="What to list.", metavar="strategies|spaces|datasets")],
    json: Json = False,
) -> int:
    """List the strategies, spaces or data sets that have a name."""
    from pvnas_bench.cli import _list
    from pvnas_bench.cli._quiet import quiet

    with quiet():
        return _list.show(what.value, as_json=json)


@data.command()
def prepare(
    dataset: Dataset = "synthetic_motion",
    protocol: Protocol = "quick",
    json: Json = False,
) -> int:
    """Decode every clip once into the cache, which `run` does as well where it has not been done."""
    from pvnas_bench.cli import _data

    return _data.prepare(dataset, protocol, as_json=json)
