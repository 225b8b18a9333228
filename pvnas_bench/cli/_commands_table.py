"""The commands `table …`, `ranks`, `reliability`, and `retrain`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Cells, Dataset, Json, On, PageFormat, RayAddress, Results, Tables, declared
from pvnas_bench.runs.request import Request

MicroSpace = Annotated[str, typer.Option("--space", help="A name from `list spaces`, or the path of a .py file.")]
RETRAINED = Path("results/retrained")
"""Default folder of retrainings."""
MicroProtocol = Annotated[str, typer.Option("--protocol", help="Protocol with the recipe of every training.")]


def build(
    space: MicroSpace = "st_micro",
    dataset: Dataset = Request.dataset,
    protocol: MicroProtocol = "micro",
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of the trainings; may be repeated.  [default: 0]", min=0)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="Number of random architectures, the same for every seed; 0: none.  [default: all]", min=0),
    ] = None,
    cap: Annotated[str | None, declared("cap")] = None,
    visited: Annotated[
        Path | None,
        typer.Option(help="Folder of records, whose incumbents are trained too.  [default: none]", metavar="DIR"),
    ] = None,
    found: Annotated[
        Path | None,
        typer.Option(
            help="Folder of records, whose networks at the end are trained too.  [default: none]", metavar="DIR"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Parallel trainings, one thread each.  [default: one per core]", min=1)
    ] = None,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    tables: Tables = None,
) -> int:
    """Train every network of a small space, or a sample of a large one, and store the results in a table.

    After an interruption the same command resumes. On several machines that share the folder, it divides the trainings
    among them. The last line of standard output is the table's path.
    """
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.build(
            space,
            dataset,
            protocol,
            seed or [0],
            sample,
            cap,
            visited,
            found,
            tables,
            workers,
            executor=executor.value,
            address=ray_address,
        )


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders with tables of one recipe.", metavar="DIR...")],
    space: MicroSpace = "st_micro",
    dataset: Dataset = Request.dataset,
    tables: Tables = None,
) -> int:
    """Add the trainings of other folders' tables to a table, and print its path.

    Of a training in several folders the first is kept, and one in the table before all.
    """
    from pvnas_bench.cli import _table

    return _table.merge(folders, space, dataset, tables)


def info(
    space: MicroSpace = "st_micro", dataset: Dataset = Request.dataset, tables: Tables = None, json: Json = False
) -> int:
    """Show the content and the provenance of a table."""
    from pvnas_bench.cli import _table

    return _table.info(space, dataset, tables, as_json=json)


def query(
    architecture: Annotated[
        str, typer.Argument(help="String of the architecture, as other commands print it.", metavar="ARCH")
    ],
    space: MicroSpace = "st_micro",
    dataset: Dataset = Request.dataset,
    tables: Tables = None,
    json: Json = False,
) -> int:
    """Show the results of an architecture with each seed."""
    from pvnas_bench.cli import _table

    return _table.query(architecture, space, dataset, tables, as_json=json)


def verify(
    space: MicroSpace = "st_micro",
    dataset: Dataset = Request.dataset,
    sample: Annotated[int, typer.Option(help="Number of architectures to train again.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of architectures.", min=0)] = 0,
    tables: Tables = None,
) -> int:
    """Train a random sample of a table again; exit code 1 if the results differ more than those of two seeds."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _table.verify(space, dataset, sample, seed, tables)


def report(
    space: MicroSpace = "st_micro",
    dataset: Annotated[
        list[str] | None, typer.Option(help=f"Data set with a table; may be repeated.  [default: {Request.dataset}]")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of records of runs on the tables, for regret curves.", metavar="DIR")
    ] = None,
    baseline: Annotated[str, typer.Option(help="Entry that the others are compared with.")] = "random_search",
    tables: Tables = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Add zero-cost scores of every architecture; needs the clips, and minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file; its plots go to the same folder.  [default: results/SPACE.md]", metavar="FILE"
        ),
    ] = None,
) -> int:
    """Write a page about the tables of a space and the searches on them, and print its path."""
    from pvnas_bench.cli import _table
    from pvnas_bench.system.quiet import quiet

    with quiet():
        page = output or Path("results", f"{Path(space).stem}.md")
        return _table.report(
            space, dataset or [Request.dataset], results, tables, page, scores=scores, baseline=baseline
        )


def ranks(
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="Strategy to run on the table, with its settings in brackets; may be repeated."),
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="TOML file of a grid; an option overrides it.", metavar="FILE")
    ] = None,
    space: MicroSpace = "st_micro",
    dataset: Dataset = Request.dataset,
    budget: Annotated[
        float | None, typer.Option(help="Budget of each search, in reference trainings.  [default: the protocol's]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds of each strategy.  [default: the grid's, else 3]", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Searches side by side, one thread each.  [default: one per core]", min=1)
    ] = None,
    results: Results = Path("results/ranks"),
    tables: Tables = None,
    format: Annotated[PageFormat, typer.Option(help="Output format.")] = PageFormat.markdown,
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
) -> int:
    """Measure how well a supernet's scores rank a space: Kendall's τ with the true accuracies of its table.

    Searches, then scores 200 random architectures of the table; beside it stand MACs, parameters, random scores and
    another training. `--strategy "spos[supernet_share=0.95]"` trains a supernet on uniform paths. After an interruption
    the same command resumes. Without a strategy it reads the records that are there.
    """
    from pvnas_bench.cli import _ranks
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _ranks.ranks(
            strategy or [], grid, space, dataset, budget, seeds, workers, results, tables, format.value, output
        )


def tune(
    declaration: Annotated[
        Path, typer.Argument(help="TOML file with the task, the means and the values to choose from.", metavar="FILE")
    ],
    strategy: Annotated[
        list[str] | None, typer.Option(help="Strategy to tune; may be repeated.  [default: all in the file]")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the records.", metavar="DIR")] = Path("results/runs/tuning"),
    tables: Tables = None,
    workers: Annotated[
        int | None, typer.Option(help="Searches side by side, one thread each.  [default: one per core]", min=1)
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed searches again.")] = False,
    output: Annotated[Path, typer.Option(help="Folder of the tunings and their page.", metavar="DIR")] = Path(
        "results/tuning"
    ),
) -> int:
    """Tune strategies by equal means: one number of configurations for each, drawn from declared values, on a table.

    The default is the first configuration, and the one with the least mean true regret wins. After an interruption the
    same command resumes. The last line is the path of the page.
    """
    from pvnas_bench.cli import _tune
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _tune.tune(declaration, strategy or [], runs, tables, workers, retry_failed, output)


def reliability(
    space: Annotated[
        str, typer.Option("--space", help="A name from `list spaces`, or the path of a .py file.")
    ] = Request.space,
    dataset: Dataset = Request.dataset,
    protocol: Annotated[str, typer.Option(help="Protocol with the recipe of final trainings.")] = "quick",
    cap: Annotated[str | None, declared("cap")] = None,
    architectures: Annotated[int, typer.Option(help="Number of random architectures under the cap.", min=3)] = 24,
    seeds: Annotated[int, typer.Option(help="Number of trainings of each.", min=2)] = 2,
    workers: Annotated[
        int | None, typer.Option(help="Parallel trainings, one thread each.  [default: one per core]", min=1)
    ] = None,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    output: Annotated[Path, typer.Option(help="Folder of the trainings and the report.", metavar="DIR")] = Path(
        "results/reliability"
    ),
    json: Json = False,
) -> int:
    """Measure how well final scores tell architectures apart: noise, ICC, and the seeds that a comparison needs.

    Trains random architectures as the final phase of a run does. After an interruption the same command resumes, and
    with more architectures or seeds it extends. The last line of the text is the report's path.
    """
    from pvnas_bench.cli import _reliability
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _reliability.reliability(
            space,
            dataset,
            protocol,
            cap,
            architectures,
            seeds,
            output,
            workers,
            executor=executor.value,
            address=ray_address,
            as_json=json,
        )


def retrain(
    what: Annotated[
        list[str],
        typer.Argument(help="Records, folders of records, or strings of architectures.", metavar="RECORD|ARCH..."),
    ],
    space: Annotated[str | None, typer.Option(help="Space of the architectures.  [default: the records']")] = None,
    dataset: Annotated[
        str | None, typer.Option(help=f"Data set to train on.  [default: the records', else {Request.dataset}]")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol with the recipe of the trainings.  [default: the records', else quick]")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of trainings of each network, of common seeds.", min=1)] = 3,
    workers: Annotated[
        int | None, typer.Option(help="Parallel trainings, one thread each.  [default: one per core]", min=1)
    ] = None,
    executor: On = Cells.processes,
    ray_address: RayAddress = None,
    output: Annotated[Path, typer.Option(help="Folder of the trainings.", metavar="DIR")] = RETRAINED,
) -> int:
    """Train the networks of records or architectures again, as the final phase of a run does, with common seeds.

    The trainings are a table of their own, and no record changes: `leaderboard --retrained` judges records by it. After
    an interruption the same command resumes; with more seeds or records it extends. The last line is the table's path.
    """
    from pvnas_bench.cli import _retrain
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _retrain.retrain(
            what, space, dataset, protocol, seeds, output, workers, executor=executor.value, address=ray_address
        )
