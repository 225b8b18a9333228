"""The command `reliability`."""

from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.boards import reliability as analysis
from pvnas_bench.cli import INTERRUPTED, OK, _results, _trainings
from pvnas_bench.grid.executors import Name
from pvnas_bench.grid.table_build import TableRecipe
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
    recipe = TableRecipe(space, dataset, protocol, final=True, cap=cap)
    path = _trainings.train(
        recipe, output, seeds=range(seeds), sample=architectures, workers=workers, executor=executor, address=address
    )
    if path is None:
        return INTERRUPTED
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
