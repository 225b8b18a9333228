"""The command `retrain`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from pvnas_bench import records
from pvnas_bench.cli import INTERRUPTED, OK, _trainings
from pvnas_bench.deploy.architectures import Named, named, of_record
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Name
from pvnas_bench.grid.table_build import TableRecipe
from pvnas_bench.system.text import counted
from pvnas_bench.table.store import Files, load

NO_CAP = "1e18"
"""Cap under which every network is: what was found is trained."""


def retrain(
    words: Sequence[str],
    space: str | None,
    dataset: str | None,
    protocol: str | None,
    seeds: int,
    output: Path,
    workers: int | None,
    *,
    executor: Name,
    address: str | None,
) -> int:
    """Train what is missing, and print the mean of each network and the path of the table.

    Raises:
        UsageError: a word names nothing, or they are of several spaces, data sets or protocols; the folder holds
            trainings of another recipe.
    """
    asked = [one for word in words for one in _named(word, space, dataset, protocol)]
    first = asked[0]
    for part, kinds in (
        ("space", {one.space.fingerprint for one in asked}),
        ("dataset", {one.dataset for one in asked}),
        ("protocol", {one.protocol for one in asked}),
    ):
        if len(kinds) > 1:
            raise UsageError(f"the records are of several kinds: give one --{part} for all, or retrain them apart")
    recipe = TableRecipe(space or first.space.name, first.dataset, first.protocol, final=True, cap=NO_CAP)
    path = _trainings.train(
        recipe,
        output,
        seeds=range(seeds),
        sample=0,
        more=[str(one.architecture) for one in asked],
        workers=workers,
        executor=executor,
        address=address,
    )
    if path is None:
        return INTERRUPTED
    table = load(Files(output, path.stem), first.space)
    for network in dict.fromkeys(table.network(str(one.architecture)) for one in asked):
        scores = [training.test_top1 for training in table.trainings(network)]
        listed = ", ".join(f"{score:.1%}" for score in scores)
        print(f"{network}: test top-1 {fmean(scores):.1%} over {counted(len(scores), 'seed')} ({listed})")
    print(path)
    return OK


def _named(word: str, space: str | None, dataset: str | None, protocol: str | None) -> Iterator[Named]:
    """Yield the architectures that a word names: those of all runs in a folder that ended well, or one.

    Raises:
        UsageError: it names nothing.
    """
    path = Path(word)
    if not path.is_dir() and not records.holds_many(path):
        yield named(word, space=space, dataset=dataset, protocol=protocol)
        return
    files = records.find(path) if path.is_dir() else iter([path])
    found = [(file, one) for file in files for one in records.read(file) if isinstance(one, records.Record)]
    ended = [(file, one) for file, one in found if one.status == "ok" and one.outcome is not None]
    if not ended:
        raise UsageError(f"no records of completed runs in {word!r}: run a search first, or name another folder")
    for file, one in ended:
        yield of_record(one, file, space=space, dataset=dataset, protocol=protocol)
