"""The command `reliability`."""

import sys
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.api import progress as bars
from pvnas_bench.api.executors import executor_of
from pvnas_bench.boards import reliability as analysis
from pvnas_bench.cli import INTERRUPTED, OK, _results
from pvnas_bench.cli._table import note
from pvnas_bench.grid import table_build as building
from pvnas_bench.grid.executors import Name
from pvnas_bench.space import Caps
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, load
from pvnas_bench.table.table import Table


def reliability(
    space: str,
    dataset: str,
    protocol: str,
    cap: str | None,
    architectures: int,
    seeds: int,
    output: Path,
    workers: int | None,
    *,
    executor: Name,
    address: str | None,
    as_json: bool,
) -> int:
    """Train what is missing, write the report, and print it: as text with the path of its file, or as JSON alone.

    Raises:
        UsageError: a name does not exist, or the folder holds trainings of another recipe.
    """
    recipe = building.TableRecipe(space, dataset, protocol, final=True, cap=cap)
    running = executor_of(executor, workers, building.NEEDS.threads, "cpu", address)
    path = None
    try:
        with bars.display() as display:
            trained = building.build(
                recipe, output, seeds=range(seeds), sample=architectures, executor=running, observer=bars.Shown(display)
            )
            for progress in trained:
                path = progress.path
                display.show("trainings", progress.done, progress.asked, note(progress.known, progress.last))
    except KeyboardInterrupt:
        print("interrupted: the same command resumes", file=sys.stderr)
        return INTERRUPTED
    assert path is not None
    known = registry.get_space(space)
    table = load(Files(output, path.stem), known)
    caps = Caps.parse(known, cap)
    report = analysis.report(_asked(table, caps, seeds), caps.name)
    target = path.with_suffix(".json")
    with _results.writing(output):
        write_atomically(target, (report.model_dump_json(indent=1) + "\n").encode())
    if as_json:
        print(report.model_dump_json())
    else:
        print(analysis.text(report), target, sep="\n")
    return OK


def _asked(table: Table, caps: Caps, seeds: int) -> Table:
    """The trainings of a table with the first seeds, of architectures under the caps."""
    every = (training for name in table.architectures for training in table.trainings(name))
    asked = [training for training in every if training.seed < seeds and caps.allow(training)]
    return Table(table.about, table.sessions, asked)
