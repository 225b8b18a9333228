"""The commands and their options. Bodies import what they need: see the package's docstring."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.errors import UsageError

app = typer.Typer(
    help="Compare architecture-search strategies for video recognition.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
data = typer.Typer(
    help="Find, examine and show data sets, and make their clips ready.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(data, name="data")
table = typer.Typer(
    help="Train every architecture of a small space once, to search it in no time.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(table, name="table")

Strategy = Annotated[str, typer.Option(help="A name of `list strategies`, or a .py file of your own.")]
Space = Annotated[str, typer.Option(help="A name of `list spaces`, or a .py file of your own.")]
Budget = Annotated[float | None, typer.Option(help="Of the search, in reference trainings.  [default: the protocol's]")]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A hyper-parameter of the strategy; may be repeated."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads.  [default: every core]", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print what a program would read.")]
Results = Annotated[Path, typer.Option(help="Folder of the records.", metavar="DIR")]
Dataset = Annotated[
    str, typer.Option(help="A name of `list datasets`, a folder, a manifest .csv, or a description .toml.")
]
Workers = Annotated[int | None, typer.Option(help="Processes that decode.  [default: every core]", min=1)]
Cached = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Keep decoded clips on the disk, or decode anew in every epoch."),
]
Protocol = Annotated[
    str, typer.Option(help="What is equal for all: quick (minutes), standard (for tables), something or kinetics.")
]
AnyProtocol = Annotated[
    str | None,
    typer.Option(
        help="What is equal for all: quick, standard, micro, something or kinetics.  [default: quick, or the table's]"
    ),
]
Tabular = Annotated[
    bool,
    typer.Option("--tabular", help="Look evaluations up in the space's table for the data set, named by its name."),
]
Tables = Annotated[
    Path | None,
    typer.Option(help="Folder of tables.  [default: results/tables, then the published ones]", metavar="DIR"),
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Search only among the architectures of a table that is not complete.")
]
MicroSpace = Annotated[str, typer.Option(help="A small space: a name of `list spaces`, or a .py file of your own.")]
MicroProtocol = Annotated[str, typer.Option(help="The recipe of every training.")]
Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds after which a run is given up; its record says so.", min=1.0, metavar="SECONDS"),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic/--no-deterministic",
        help="Use algorithms that give the same result each time; on a GPU, fail where there is none.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="Of passes through networks: float32, or bfloat16, which recent GPUs compute faster. Results of "
        "either are on boards of their own."
    ),
]
Reference = Annotated[
    bool, typer.Option("--reference/--no-reference", help="Show the published runs of the same board.")
]


RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Of a Ray cluster, for --executor ray.  [default: RAY_ADDRESS, or a Ray of its own]", metavar="HOST:PORT"
    ),
]


class Trainer(StrEnum):
    """What trains the trials of a `run`."""

    serial = "serial"
    ray = "ray"


class Executor(StrEnum):
    """Where `compare` runs its cells."""

    processes = "processes"
    ray = "ray"


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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Compare architecture-search strategies for video recognition."""
    # torchrun started this process: what `torch.distributed.is_torchelastic_launched` asks, without torch.
    if "TORCHELASTIC_RUN_ID" in os.environ and context.invoked_subcommand != "run":
        raise UsageError(f"torchrun starts `run` only: start `{context.invoked_subcommand}` without it")


@app.command()
def run(
    strategy: Strategy,
    space: Space = "st_default",
    dataset: Dataset = "synthetic_motion",
    protocol: AnyProtocol = None,
    cap: Annotated[
        str | None, typer.Option(help="Most MACs: one of the space's caps, or a number.  [default: the space's first]")
    ] = None,
    budget: Budget = None,
    seed: Seed = 0,
    settings: Settings = None,
    results: Results = Path("results/runs"),
    device: Device = "auto",
    threads: Threads = None,
    tabular: Tabular = False,
    tables: Tables = None,
    partial: Partial = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on where a run of the same options was stopped or killed.")
    ] = True,
    checkpoint_every: Annotated[
        float, typer.Option(help="Least seconds between two checkpoints; 0: after every step.", min=0.0)
    ] = 60.0,
    timeout: Timeout = None,
    deterministic: Deterministic = True,
    precision: Precision = "float32",
    cached: Cached = True,
    executor: Annotated[
        Trainer, typer.Option(help="Train trials one by one in the run itself, or side by side in workers of Ray.")
    ] = Trainer.serial,
    ray_address: RayAddress = None,
    workers: Annotated[
        int | None, typer.Option(help="Trials side by side on Ray.  [default: what there is room for]", min=1)
    ] = None,
    reference: Reference = True,
    json: Json = False,
) -> int:
    """Search, train what was found, test it, and show it on its leaderboard.

    The last line of standard output is the path of the run's record.json.
    """
    from pvnas_bench.cli import _run
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.run.request import Request

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
            tabular=tabular,
            tables=tables,
            partial=partial,
            resume=resume,
            checkpoint_seconds=checkpoint_every,
            timeout=timeout,
            deterministic=deterministic,
            precision=precision,
            cached=cached,
        )
        on = _run.on_ray(executor.value, workers, ray_address)
        return _run.run(request, reference=reference, as_json=json, on=on)


@app.command()
def profile(
    strategy: Strategy,
    space: Space = "st_default",
    dataset: Dataset = "synthetic_motion",
    protocol: AnyProtocol = None,
    budget: Budget = None,
    seed: Seed = 0,
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
    functions: Annotated[int, typer.Option(help="How many functions of strategy and harness to name.", min=0)] = 8,
    json: Json = False,
) -> int:
    """Show where a run's time goes, by activity, and between strategy and harness. No record is kept."""
    from pvnas_bench.cli import _profile, _run
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.run.request import Request

        request = Request(
            strategy=strategy,
            space=space,
            dataset=dataset,
            protocol=protocol,
            budget=budget,
            seed=seed,
            settings=_run.parse_settings(settings or ()),
            device=device,
            threads=threads,
        )
        return _profile.profile(request, functions=functions, as_json=json)


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
    protocol: AnyProtocol = None,
    cap: Annotated[str | None, typer.Option(help="Most MACs: one of the space's caps, or a number.")] = None,
    budget: Annotated[float | None, typer.Option(help="Of each search, in reference trainings.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds 0, 1, ... of each.", min=1)] = None,
    results: Results = Path("results/runs"),
    device: Device = "auto",
    workers: Annotated[
        int | None,
        typer.Option(help="Runs side by side.  [default: every core, or what a cluster has room for]", min=1),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of each run.", min=1)] = 1,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    tabular: Tabular = False,
    tables: Tables = None,
    partial: Partial = False,
    timeout: Timeout = None,
    deterministic: Deterministic = True,
    precision: Precision = "float32",
    executor: Annotated[
        Executor, typer.Option(help="Processes of this machine, or Ray: on this machine or on a cluster.")
    ] = Executor.processes,
    ray_address: RayAddress = None,
    reference: Reference = True,
) -> int:
    """Run a grid of strategies, spaces, data sets and seeds side by side, and show the leaderboards.

    A cell whose record exists is not run again, so the same command goes on where it was stopped, also beside another
    such command on the same results.
    """
    from pvnas_bench.cli import _compare
    from pvnas_bench.system.quiet import quiet

    given = {
        "strategies": strategy,
        "spaces": space,
        "datasets": dataset,
        "protocol": protocol,
        "cap": cap,
        "budget": budget,
        "seeds": seeds,
        "tabular": tabular,
        "partial": partial,
    }
    with quiet():
        return _compare.compare(
            grid,
            {key: value for key, value in given.items() if value},
            results=results,
            device=device,
            workers=workers,
            threads=threads,
            tables=tables,
            timeout=timeout,
            deterministic=deterministic,
            precision=precision,
            retry_failed=retry_failed,
            reference=reference,
            executor=executor.value,
            address=ray_address,
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
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _test.test(strategy)


@app.command("list")
def list_(
    what: Annotated[Kind, typer.Argument(help="What to list.", metavar="strategies|spaces|datasets")],
    json: Json = False,
) -> int:
    """List the strategies, spaces or data sets that have a name."""
    from pvnas_bench.cli import _list
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _list.show(what.value, as_json=json)


@data.command("list")
def data_list(
    folder: Annotated[Path, typer.Argument(help="Where to look for data sets.", metavar="[FOLDER]")] = Path(),
    formats: Annotated[bool, typer.Option("--formats", help="List the layouts that are understood instead.")] = False,
    json: Json = False,
) -> int:
    """List the data sets that have a name and those in a folder, with the layout that each is kept in."""
    from pvnas_bench.cli import _data_list

    return _data_list.show(folder, formats=formats, as_json=json)


@data.command()
def prepare(
    dataset: Dataset = "synthetic_motion",
    protocol: Protocol = "quick",
    workers: Workers = None,
    tolerate: Annotated[
        float, typer.Option(help="Share of clips that may be unreadable, and are left out.", min=0, max=1)
    ] = 0.1,
    json: Json = False,
) -> int:
    """Decode every clip once into the cache, which `run` does as well where it has not been done.

    Says first what that needs on the disk. The same command goes on where it was stopped or killed.
    """
    from pvnas_bench.cli import _data

    return _data.prepare(dataset, protocol, workers=workers, tolerated=tolerate, as_json=json)


@data.command("verify")
def data_verify(
    dataset: Dataset = "synthetic_motion",
    min_frames: Annotated[int, typer.Option(help="A clip with fewer frames is too short.", min=1)] = 2,
    workers: Workers = None,
    json: Json = False,
) -> int:
    """Decode every clip and name the missing, corrupt, too short, duplicate and leaking ones: exit code 1 if any."""
    from pvnas_bench.cli import _data

    return _data.verify(dataset, min_frames=min_frames, workers=workers, as_json=json)


@data.command("show")
def data_show(
    dataset: Dataset = "synthetic_motion",
    output: Annotated[Path, typer.Option(help="Folder of the pictures.", metavar="DIR")] = Path("sheets"),
    classes: Annotated[list[str] | None, typer.Option("--class", help="Of all; may be repeated.")] = None,
    clips: Annotated[int, typer.Option(help="Clips of a class.", min=1)] = 8,
    frames: Annotated[int, typer.Option(help="Frames of a clip.", min=1)] = 8,
) -> int:
    """Write a contact sheet of each class as a PNG, and print the path of each file."""
    from pvnas_bench.cli import _data

    return _data.show(dataset, output, classes or (), clips=clips, frames=frames)


@table.command()
def build(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    protocol: MicroProtocol = "micro",
    seed: Annotated[
        list[int] | None, typer.Option(help="Of the trainings; may be repeated.  [default: 0]", min=0)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only so many random architectures, the same for every seed.", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings side by side, one thread each.  [default: every core]", min=1)
    ] = None,
    tables: Tables = None,
) -> int:
    """Train every architecture of a small space, and keep what each reaches.

    The same command goes on where it was stopped or killed. The last line of standard output is the table's path.
    """
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.build(space, dataset, protocol, seed or [0], sample, workers, tables)


@table.command()
def info(
    space: MicroSpace = "st_micro", dataset: Dataset = "synthetic_motion", tables: Tables = None, json: Json = False
) -> int:
    """Say what a table holds, and how it was made."""
    from pvnas_bench.cli import _table

    return _table.info(space, dataset, tables, as_json=json)


@table.command()
def query(
    architecture: Annotated[str, typer.Argument(help="Its string, as other commands print it.", metavar="ARCH")],
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    tables: Tables = None,
    json: Json = False,
) -> int:
    """Show what an architecture reached with each seed."""
    from pvnas_bench.cli import _table

    return _table.query(architecture, space, dataset, tables, as_json=json)


@table.command()
def verify(
    space: MicroSpace = "st_micro",
    dataset: Dataset = "synthetic_motion",
    sample: Annotated[int, typer.Option(help="Architectures trained again.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Of the choice of architectures.", min=0)] = 0,
    tables: Tables = None,
) -> int:
    """Train a random sample of a table again: exit code 1 if it differs by more than other seeds do."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.verify(space, dataset, sample, seed, tables)


@table.command("report")
def table_report(
    space: MicroSpace = "st_micro",
    dataset: Annotated[
        list[str] | None, typer.Option(help="A data set with a table; may be repeated.  [default: synthetic_motion]")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Runs on the tables, for regret curves.", metavar="DIR")] = None,
    baseline: Annotated[str, typer.Option(help="The entry that is the line to beat.")] = "random_search",
    tables: Tables = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Score every untrained network too, which needs the clips and minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="The page; its pictures lie beside it.  [default: results/SPACE.md]", metavar="FILE"),
    ] = None,
) -> int:
    """Write a page of what the tables of a space teach, and print its path."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        page = output or Path("results", f"{Path(space).stem}.md")
        return _table.report(
            space, dataset or ["synthetic_motion"], results, tables, page, scores=scores, baseline=baseline
        )
