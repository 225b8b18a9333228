"""The command `run`: shows the progress of a run, then its result."""

import json
import sys
from pathlib import Path

from pvnas_bench import records
from pvnas_bench.api import progress as bars
from pvnas_bench.api import results
from pvnas_bench.api.outcome import RunResult, describe
from pvnas_bench.api.runs import OnRay, execute
from pvnas_bench.boards import leaderboard
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, USAGE, _leaderboard, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.runs import checkpoints
from pvnas_bench.runs.request import Request
from pvnas_bench.system.masking import masked
from pvnas_bench.training.distributed import RankLost, World, joined

EXIT_CODES: dict[records.Status, int] = {"ok": OK, "failed": FAILED, "timeout": FAILED, "interrupted": INTERRUPTED}


def run(request: Request, *, reference: bool, as_json: bool, on: OnRay | None = None) -> int:
    """Run a request and print its result; the last line is the path of the record.

    Args:
        on: train the trials on Ray; None: in the run itself.

    Raises:
        UsageError: the request cannot work; nothing was written to the results.
    """
    try:
        with joined() as world:
            if not world.first:
                return _follow(request, on, world)
            with bars.display() as display:
                result = execute(request, bars.Shown(display), on, world)
    except KeyboardInterrupt:
        print("interrupted before the search began: no record was written", file=sys.stderr)
        return INTERRUPTED
    except RankLost as lost:
        print(f"{lost} before the search began: no record was written", file=sys.stderr)
        return FAILED
    record, path = result.record, result.path
    if record.error:
        print(f"{record.status}: {record.error}", file=sys.stderr)
    if checkpoints.found(path.parent):
        print("repeat the command to resume from the checkpoint", file=sys.stderr)
    if as_json:
        print(json.dumps(result.summary))
    else:
        print(describe(record))
        print(board(record, request.results, reference=reference))
        if result.placed is not None:
            print(result.placed)
        print(path)
    return EXIT_CODES[record.status]


def _follow(request: Request, on: OnRay | None, world: World) -> int:
    """Take part in a run as another than the first process, which shows it; print only this process's failure."""
    where = f"process {world.rank} (of 0 to {world.size - 1})"
    try:
        result: RunResult = execute(request, None, on, world)
    except (KeyboardInterrupt, RankLost):
        return INTERRUPTED
    except UsageError as error:
        print(masked(f"{where}: {error}"), file=sys.stderr)
        return USAGE
    if result.status == "failed":
        print(f"{where}: {result.record.error}", file=sys.stderr)
    return EXIT_CODES[result.status]


def board(record: records.Record, folder: Path, *, reference: bool) -> str:
    """Render the leaderboard of a record."""
    listed, _ = _results.load(folder, reference=reference, detail="scores", null=record.null)
    return str(_leaderboard.rendered(leaderboard.build(results.on_board(listed, record)), "terminal"))
