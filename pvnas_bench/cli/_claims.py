"""The commands `claims …`."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.claims import Claim, Judged, Result, judged, load_all, packaged, read, write
from pvnas_bench.claims import page as pages
from pvnas_bench.claims.judgement import verdicts
from pvnas_bench.claims.results import EntryRuns
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Name

ALL = "all"


def show(folder: Path | None, output: Path, *, as_json: bool) -> int:
    """List the claims with their verdicts."""
    claims = _claims(folder)
    found = judged(claims, _stored(claims, output))
    if as_json:
        print(json.dumps([_fields(one) for one in found], indent=1, ensure_ascii=False))
        return OK
    wide = max(map(len, claims))
    for one in found:
        print(f"{one.claim.name:{wide}}  {one.state:10}  {one.claim.title}")
    return OK


def _fields(one: Judged) -> dict[str, object]:
    return {
        "name": one.claim.name,
        "title": one.claim.title,
        "system": one.claim.system,
        "sha256": one.claim.sha256,
        "state": one.state,
        "p": None if math.isnan(one.p) else one.p,
        "stands": one.stands,
        "needs": one.claim.needs,
    }


def page(folder: Path | None, output: Path) -> int:
    """Write the page from the stored results."""
    claims = _claims(folder)
    _write(output, claims)
    print(output)
    return OK


def run(
    names: Sequence[str],
    folder: Path | None,
    results: Path,
    more: Sequence[Path],
    clips: Sequence[str],
    output: Path,
    *,
    tables: Path | None,
    device: str,
    workers: int | None,
    retry_failed: bool,
    publishing: bool,
    executor: Name,
    address: str | None,
) -> int:
    """Run claims, store their results, and write the page; its path is the last line.

    Args:
        more: folders whose records serve too.
        clips: ``NAME=PATH`` of data sets.
        publishing: True to pack the records into the folder beside the results.

    Raises:
        UsageError: a name or path is wrong, or the only claim cannot run.
    """
    from pvnas_bench.api.claims import Ground, publish, run_claim, served_from
    from pvnas_bench.system import signals

    claims = _claims(folder)
    chosen = _chosen(names, claims)
    folder_of_results = output.with_suffix("")
    beside = folder_of_results / "records"
    published, served = served_from([beside] if beside.is_dir() else []), served_from(more)
    ground = Ground(results, published, served, _paths(clips), tables, device, workers, retry_failed, executor, address)
    complete = True
    for claim in chosen:
        if claim.needs is not None:
            print(f"{claim.name}: not run, as it needs {claim.needs}", file=sys.stderr)
            continue
        print(f"{claim.name}: {claim.title}", file=sys.stderr)
        try:
            with signals.terminable():
                ended = run_claim(claim, ground)
        except KeyboardInterrupt:
            print("interrupted: repeat the command to resume", file=sys.stderr)
            return INTERRUPTED
        except UsageError as refused:
            if len(chosen) == 1:
                raise
            print(f"{claim.name}: not run: {refused}", file=sys.stderr)
            complete = False
            continue
        complete &= ended.complete
        with _results.writing(output):
            write(folder_of_results, ended.result)
            if publishing:
                publish(ended, beside)
    for one in _write(output, claims):
        if one.claim in chosen:
            print(f"{one.claim.name}: {one.state}{f' ({one.reason})' if one.reason else ''}")
    print(output)
    return OK if complete else FAILED


def _claims(folder: Path | None) -> dict[str, Claim]:
    return packaged() if folder is None else load_all(folder)


def _chosen(names: Sequence[str], claims: Mapping[str, Claim]) -> list[Claim]:
    """The named claims.

    Raises:
        UsageError: a name is unknown.
    """
    if list(names) == [ALL]:
        return list(claims.values())
    for name in names:
        if name not in claims:
            raise UsageError(f"no claim {name!r}: choose among {', '.join(claims)}, or {ALL} alone")
    return [claims[name] for name in dict.fromkeys(names)]


def _paths(clips: Sequence[str]) -> dict[str, str]:
    """Paths of data sets by name.

    Raises:
        UsageError: a word has another form.
    """
    paths = {}
    for word in clips:
        name, equals, path = word.partition("=")
        if not name or not equals or not path:
            raise UsageError(f"--clips takes NAME=PATH, got {word!r}")
        paths[name] = path
    return paths


def _stored(claims: Mapping[str, Claim], output: Path) -> dict[str, Result]:
    """The stored results of claims; those of another definition are named on standard error."""
    found: dict[str, Result] = {}
    for name, claim in claims.items():
        result = read(output.with_suffix(""), claim)
        if result is None:
            continue
        if result.of(claim):
            found[name] = result
        else:
            print(f"{name}: its result is of another version of the claim, and not used: run it again", file=sys.stderr)
    return found


def _write(output: Path, claims: Mapping[str, Claim]) -> list[Judged]:
    found = _stored(claims, output)
    with _results.writing(output):
        written = pages.write(output, claims, found, changed(found))
    print(", ".join(f"{n} {state}" for state, n in verdicts(written).items()), file=sys.stderr)
    return written


def changed(results: Mapping[str, Result]) -> dict[str, list[str]]:
    """By claim, the entries with runs of an earlier version of their strategy's source."""
    return {name: [one.entry for one in result.entries if _changed(one)] for name, result in results.items()}


def _changed(runs: EntryRuns) -> bool:
    now = registry.source_named(runs.entry.partition("[")[0])
    return now is not None and not all(now.sha256.startswith(then) for then in runs.sources)
