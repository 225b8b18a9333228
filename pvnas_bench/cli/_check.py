"""The command `check`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pvnas_bench.boards.check import compare, load_baseline, render_terminal, save_baseline, to_github, to_junit
from pvnas_bench.cli import OK, _results
from pvnas_bench.system.files import write_atomically


@dataclass(frozen=True)
class Limits:
    """Tolerances of a check, see `pvnas_bench.boards.check.compare`."""

    margin: float
    alpha: float
    slowdown: float
    require_all: bool


def check(results: Path, baseline: Path, limits: Limits, *, junit: Path | None, github: bool) -> int:
    """Compare records with a baseline and print the regressions; the exit code is 1 if there are any.

    Raises:
        UsageError: no record in the folder, an invalid baseline, nothing to compare, or a file that cannot be written.
    """
    fresh, _ = _results.load(results, reference=False)
    outcome = compare(fresh, load_baseline(baseline), **asdict(limits))
    if junit is not None:
        with _results.writing(junit, "--junit"):
            write_atomically(junit, to_junit(outcome).encode())
    sys.stdout.write(render_terminal(outcome))
    if github:
        sys.stdout.write(to_github(outcome))
    return outcome.exit_code


def update(results: Path, baseline: Path) -> int:
    """Write the records of a folder as the baseline, and print its path.

    Raises:
        UsageError: no record in the folder, or a baseline that cannot be written.
    """
    fresh, _ = _results.load(results, reference=False)
    with _results.writing(baseline, "--baseline"):
        save_baseline(fresh, baseline)
    print(baseline)
    return OK
