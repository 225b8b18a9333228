"""The commands `table …`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from pvnas_bench import registry
from pvnas_bench.api import progress as bars
from pvnas_bench.boards.reliability import of_table, sentence
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Name
from pvnas_bench.records import Record
from pvnas_bench.space import SearchSpace
from pvnas_bench.system.text import counted
from pvnas_bench.table import About, Table, default_folder, find
from pvnas_bench.table.store import stem_of
from pvnas_bench.table.surrogate import LEAST, Quality
from pvnas_bench.table.table import is_large


def build(
    space: str,
    dataset: str,
    protocol: str,
    seeds: Sequence[int],
    sample: int | None,
    cap: str | None,
    visited: Path | None,
    found: Path | None,
    tables: Path | None,
    workers: int | None,
    *,
    executor: Name = "processes",
    address: str | None = None,
) -> int:
    """Build or extend a table, and print its path.

    Raises:
        UsageError: there is nothing to train, or a folder has no records.
    """
    from pvnas_bench.cli import _trainings
    from pvnas_bench.grid.table_build import TableRecipe

    more = [step.incumbent for record in _records(visited) for step in record.trajectory]
    more += [record.outcome.architecture for record in _records(found) if record.outcome is not None]
    if sample == 0 and not more:
        raise UsageError("there is nothing to train: give a --sample above 0, or records with --visited or --found")
    path = _trainings.train(
        TableRecipe(space, dataset, protocol, cap=cap),
        tables or default_folder(),
        seeds=tuple(dict.fromkeys(seeds)),
        sample=sample,
        more=more,
        workers=workers,
        executor=executor,
        address=address,
    )
    if path is None:
        return INTERRUPTED
    print(path)
    return OK


def _records(folder: Path | None) -> Sequence[Record]:
    return () if folder is None else _results.load(folder, reference=False, null=None)[0]


def merge(folders: Sequence[Path], space: str, dataset: str, tables: Path | None) -> int:
    """Merge tables and print the path of the result.

    Raises:
        UsageError: a folder has no such table, or tables are of different recipes.
    """
    from pvnas_bench.grid.table_build import merge as merged

    stem = stem_of(registry.get_space(space), dataset)
    with _results.writing(tables or default_folder()):
        print(merged(folders, stem, tables or default_folder()).parquet)
    return OK


def info(space: str, dataset: str, tables: Path | None, *, as_json: bool) -> int:
    """Print the content and the provenance of a table."""
    known = registry.get_space(space)
    table = find(known, dataset, tables)
    about, facts, qualities = table.about, _facts(table), _qualities(table, known)
    found = of_table(table, lambda _: True)
    if as_json:
        surrogate = {"surrogate": {under: asdict(one) for under, one in qualities.items()}} if qualities else {}
        repeated = {"reliability": asdict(found)} if found else {}
        print(json.dumps(facts | repeated | surrogate, ensure_ascii=False))
        return OK
    lines = [
        f"{about.stem}: {len(table)} networks of {about.space.architectures} architectures, "
        f"{counted(facts['trainings'], 'training')} ({', '.join(f'seed {s}: {n}' for s, n in facts['seeds'].items())})",
        f"  space         {about.space.fingerprint}",
        f"  data          {about.data.name}, {counted(len(about.data.classes), 'class')}, "
        f"{about.data.fingerprint[:12]}",
        f"  clips         {_clips(about)}",
        f"  recipe        {about.protocol.name} version {about.protocol.version}, {counted(about.epochs, 'epoch')}",
        f"  test top-1    {facts['lowest']:.1%} to {facts['highest']:.1%}, mean {facts['mean']:.1%}",
        f"  training      {facts['seconds']:.1f} CPU seconds on average, {facts['hours']:.1f} hours in total",
        f"  built by      {counted(len(table.sessions), 'build')}, pvnas-bench {', '.join(facts['versions'])}, "
        f"{', '.join(facts['processors'])}",
        f"  fingerprint   {table.fingerprint}",
        *([f"  reliability   {sentence(found, 'networks')}"] if found else []),
    ]
    for under, quality in qualities.items():
        lines.append(f"  surrogate     {under}: {quality}")
    print("\n".join(lines))
    return OK


def _qualities(table: Table, space: SearchSpace) -> dict[str, Quality]:
    """How well a surrogate of a large space predicts the networks of its table, all and under each cap."""
    if not is_large(space) or len(table) < LEAST:
        return {}
    from pvnas_bench.runs.surrogates import surrogate_of

    surrogate = surrogate_of(table, space)

    def under(macs: int) -> Quality | None:
        return surrogate.quality(lambda one: surrogate.cost(one).macs <= macs)

    found = {"all": surrogate.quality(), **{f"cap {name}": under(macs) for name, macs in space.caps.items()}}
    return {name: quality for name, quality in found.items() if quality is not None}


def _clips(about: About) -> str:
    clips = about.clips
    return f"{clips['train']} for training, {clips['val']} for validation, {clips['test']} for the test"


def _facts(table: Table) -> dict[str, Any]:
    trainings = [t for architecture in table.architectures for t in table.trainings(architecture)]
    truths = [table.top1(architecture) for architecture in table.architectures]
    return {
        "space": table.about.space.name,
        "space_fingerprint": table.about.space.fingerprint,
        "dataset": table.about.data.name,
        "data_fingerprint": table.about.data.fingerprint,
        "recipe": table.about.protocol.settings,
        "architectures": len(table),
        "architectures_in_space": table.about.space.architectures,
        "trainings": len(trainings),
        "seeds": {seed: sum(t.seed == seed for t in trainings) for seed in table.seeds},
        "lowest": min(truths),
        "highest": max(truths),
        "mean": fmean(truths),
        "seconds": fmean(t.seconds for t in trainings),
        "hours": sum(t.seconds for t in trainings) / 3600,
        "versions": sorted({session.pvnas_bench for session in table.sessions}),
        "processors": sorted({str(session.hardware.get("processor", "unknown")) for session in table.sessions}),
        "fingerprint": table.fingerprint,
    }


def query(architecture: str, space: str, dataset: str, tables: Path | None, *, as_json: bool) -> int:
    """Print the results of an architecture.

    Raises:
        UsageError: the string is not an architecture of the space, or the table has no training of it.
    """
    known = registry.get_space(space)
    string, table = str(known.parse(architecture)), find(known, dataset, tables)
    trainings = table.trainings(string)
    if not trainings and is_large(known) and len(table) >= LEAST:
        return _predict(string, table, known, as_json=as_json)
    if not trainings:
        raise UsageError(
            f"{string} was not trained yet: the table has {len(table)} of {table.about.space.architectures} "
            "architectures; train the others with `table build`"
        )
    if as_json:
        print(json.dumps([training._asdict() for training in trainings]))
        return OK
    first = trainings[0]
    print(f"{string} on {table.about.data.name}: {first.macs / 1e6:.2f} MMACs, {first.parameters:,} parameters")
    for t in trainings:
        print(
            f"  seed {t.seed}        search-val {t.val_top1[-1]:.1%}, test top-1 {t.test_top1:.1%}, "
            f"top-5 {t.test_top5:.1%}, loss {t.test_loss:.3f}; {t.seconds:.1f} s, {t.latency_ms:.2f} ms per clip"
        )
        print(f"    by epoch    {' '.join(f'{value:.1%}' for value in t.val_top1)}")
    values = [t.test_top1 for t in trainings]
    spread = f" ± {stdev(values):.1%} over seeds" if len(values) > 1 else ""
    rank = 1 + sum(table.top1(other) > table.top1(string) for other in table.architectures)
    print(f"  test top-1    {fmean(values):.1%}{spread}, rank {rank} of {len(table)}")
    return OK


def _predict(string: str, table: Table, space: SearchSpace, *, as_json: bool) -> int:
    """Print what a surrogate predicts of an architecture."""
    from pvnas_bench.runs.surrogates import surrogate_of

    (one,) = surrogate_of(table, space).scoring(string)
    if as_json:
        print(json.dumps([one._asdict() | {"surrogate": True}]))
        return OK
    print(f"{string} on {table.about.data.name}: {one.macs / 1e6:.2f} MMACs, {one.parameters:,} parameters")
    print(
        f"  surrogate     search-val {one.val_top1[-1]:.1%}, test top-1 {one.test_top1:.1%}, predicted from "
        f"{counted(len(table), 'other network')}"
    )
    return OK


def verify(space: str, dataset: str, sample: int, seed: int, tables: Path | None) -> int:
    """Train a sample of a table again and print the comparison."""
    from pvnas_bench.grid import table_verify as verifying

    table = find(registry.get_space(space), dataset, tables)
    pairs: list[verifying.Pair] = []
    try:
        with bars.display() as display:
            for pair in verifying.pairs(table, space, dataset, sample, seed, bars.Shown(display)):
                pairs.append(pair)
                display.show("trainings", len(pairs), sample, f"{pair.told.architecture}: {pair.difference:+.1%}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    for pair in pairs:
        print(
            f"{pair.told.architecture} seed {pair.told.seed}: test top-1 {pair.told.test_top1:.1%} in the table, "
            f"{pair.again.test_top1:.1%} again{' (equal to the last bit)' if pair.equal else ''}"
        )
    verdict = verifying.judge(table, pairs)
    print(verdict.words)
    return OK if verdict.agrees else FAILED


def report(
    space: str,
    datasets: Sequence[str],
    results: Path | None,
    tables: Path | None,
    output: Path,
    *,
    scores: bool,
    baseline: str,
) -> int:
    """Write the page and print its path."""
    from pvnas_bench.boards.report import table_page as reporting

    known = registry.get_space(space)
    opened = [find(known, dataset, tables) for dataset in datasets]
    scored = {}
    if scores:
        from pvnas_bench.grid.table_scores import score_all

        for table, dataset in zip(opened, datasets, strict=True):
            scored[table.about.data.name] = score_all(table, space, dataset, tables)
    with _results.writing(output):
        reporting.write(known, opened, scored, results, output, baseline)
    print(output)
    return OK
