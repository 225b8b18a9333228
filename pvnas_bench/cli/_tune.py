"""The command `tune`."""

import sys
from collections import defaultdict
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.api.grids import compare
from pvnas_bench.boards import tuning
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import records_of
from pvnas_bench.records import Record
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.text import counted


def tune(
    declaration: Path,
    only: list[str],
    runs: Path,
    tables: Path | None,
    workers: int | None,
    retry_failed: bool,
    output: Path,
) -> int:
    """Run the searches that are missing, and write what was tuned.

    Raises:
        UsageError: the declaration cannot be tuned, or a file cannot be written.
    """
    declared = tuning.Declaration.load(declaration)
    unknown = [name for name in only if name not in declared.strategies]
    if unknown:
        raise UsageError(f"{declaration} does not declare {unknown[0]}: change --strategy")
    tried: dict[str, dict[str, tuning.Settings]] = {}
    for name in only or declared.strategies:
        default = registry.get_strategy(name).Config().model_dump()
        drawn = tuning.draw(name, declared.strategies[name], default, declared.configurations)
        tried[name] = {tuning.entry(name, one, default): one for one in drawn}
        if len(drawn) < declared.configurations:
            fewer = f"{counted(len(drawn), 'configuration')} of {declared.configurations}"
            print(f"{name}: {fewer}, since its declared values have no more", file=sys.stderr)
    entries = [entry for each in tried.values() for entry in each]
    try:
        ended = compare(
            entries,
            spaces=declared.space,
            datasets=declared.dataset,
            seeds=declared.seeds,
            budget=declared.budget,
            tabular=True,
            partial=True,
            tables=tables,
            results=runs,
            workers=workers,
            retry_failed=retry_failed,
        )
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return INTERRUPTED
    known, found = records_of(ended.cells), defaultdict[str, list[Record]](list)
    for cell, entry in zip(ended.cells, entries * declared.seeds, strict=True):  # the order of a grid: by seed
        if cell.id in known:
            found[entry].append(known[cell.id])
    missing = [entry for entry in entries if len(found[entry]) < declared.seeds]
    with _results.writing(output):
        output.mkdir(parents=True, exist_ok=True)
        for name, each in tried.items():
            if not any(entry in missing for entry in each):
                tries = [(settings, found[entry]) for entry, settings in each.items()]
                source = registry.source(registry.get_strategy(name))
                tuning.tuned(name, source.sha256 if source else "", tries, declared).write(output)
        write_atomically(output / "README.md", tuning.to_markdown(tuning.load(output)).encode())
    for entry in missing:
        print(f"no record of every seed of {entry}: the same command runs it again", file=sys.stderr)
    print(output / "README.md")
    return FAILED if missing else OK
