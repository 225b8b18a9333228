"""Training of networks for a table: shared by the commands `table build`, `reliability` and `retrain`."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from pvnas_bench.api import progress as bars
from pvnas_bench.api.executors import executor_of
from pvnas_bench.grid import table_build as building
from pvnas_bench.grid.executors import Name
from pvnas_bench.system.text import counted
from pvnas_bench.table import KnownTraining


def train(
    recipe: building.TableRecipe,
    folder: Path,
    *,
    seeds: Sequence[int],
    sample: int | None,
    more: Sequence[str] = (),
    workers: int | None,
    executor: Name,
    address: str | None,
) -> Path | None:
    """Train what a table in a folder does not have yet, with a progress bar.

    Args:
        sample: number of random architectures; None: all.
        more: further architectures.

    Returns:
        Path of the table; None after an interruption, which is said.

    Raises:
        UsageError: a name does not exist, or the folder holds trainings of another recipe.
    """
    running = executor_of(executor, workers, building.NEEDS.threads, "cpu", address)
    path = None
    try:
        with bars.display() as display:
            for progress in building.build(
                recipe, folder, seeds=seeds, sample=sample, more=more, executor=running, observer=bars.Shown(display)
            ):
                path = progress.path
                display.show("trainings", progress.done, progress.asked, _note(progress.known, progress.last))
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return None
    assert path is not None
    return path


def _note(known: int, last: KnownTraining | None) -> str:
    if last is None:
        return f"{counted(known, 'training')} finished before"
    validated = "" if math.isnan(last.val_top1[-1]) else f"search-val {last.val_top1[-1]:.1%}, "
    return f"{last.architecture} seed {last.seed}: {validated}test {last.test_top1:.1%}, {last.seconds:.1f} s"
