"""The command `run`: shows the progress of a run, then its result."""

import json
import math
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.cli import FAILED, INTERRUPTED, OK, USAGE, _leaderboard, _progress, _results
from pvnas_bench.errors import UsageError
from pvnas_bench.run import checkpoints
from pvnas_bench.run.observer import Observer
from pvnas_bench.run.request import Request
from pvnas_bench.run.runner import Run
from pvnas_bench.run.search import OtherProcesses
from pvnas_bench.run.setup import Setup
from pvnas_bench.system.masking import masked
from pvnas_bench.system.text import counted
from pvnas_bench.training.distributed import RankLost, World, joined

EXIT_CODES: dict[records.Status, int] = {"ok": OK, "failed": FAILED, "timeout": FAILED, "interrupted": INTERRUPTED}


class Shown(Observer):
    """Shows a run on a display."""

    def __init__(self, display: _progress.Display) -> None:
        self._display = display
        self._val_top1 = math.nan
        """The incumbent's accuracy on search-val in the last step that logged it."""

    def making(self, done: int, total: int) -> None:
        self._display.show("making clips", done, total, f"{done:,} of {total:,} drawn and encoded")

    def timing(self, done: int, total: int) -> None:
        self._display.show("latency", done, total, f"{done:,} of {total:,} layers and networks timed")

    def preparing(self, done: int, total: int) -> None:
        self._display.show("clips", done, total, f"{done:,} of {total:,} prepared")

    def training_backbone(self, epoch: int, epochs: int) -> None:
        self._display.show("backbone", epoch, epochs, f"epoch {epoch} of {epochs}")

    def extracting(self, done: int, total: int) -> None:
        self._display.show("features", done, total, f"{done:,} of {total:,} clips")

    def resuming(self, step: int) -> None:
        self._display.say(f"resuming from the checkpoint after step {step}")

    def warned(self, message: str) -> None:
        self._display.say(masked(f"warning: {message}"))

    def searching(self, budget: float) -> None:
        self._display.show("search", 0, budget, f"budget {budget:g} reference trainings")

    def stepped(self, step: records.Step, budget: float) -> None:
        self._val_top1 = step.metrics.get("val_top1", self._val_top1)
        accuracy = "" if math.isnan(self._val_top1) else f" and {self._val_top1:.1%} on search-val"
        incumbent = f"incumbent with {step.macs / 1e6:.1f} MMACs{accuracy}"
        self._display.show(
            "search", step.cost, budget, f"step {step.step}, {step.cost:.2f} of {budget:g} rt, {incumbent}"
        )

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        done = (retraining - 1) * epochs + epoch
        which = f"{retraining} of {retrainings}, " if retrainings > 1 else ""
        self._display.show("final training", done, retrainings * epochs, f"{which}epoch {epoch} of {epochs}")


@dataclass(frozen=True)
class OnRay:
    """Settings for training trials on Ray.

    Attributes:
        workers: number of parallel trials; None: as many as fit.
        address: address of a cluster; None: RAY_ADDRESS, else a local Ray.
    """

    workers: int | None
    address: str | None


def on_ray(executor: str, workers: int | None, address: str | None) -> OnRay | None:
    """Check the options of the executor; None if trials are trained in the run itself.

    Raises:
        UsageError: an option of Ray without --executor ray, or Ray is not installed.
    """
    if executor == "ray":
        from pvnas_bench.grid.ray import Connection

        Connection(address)  # fails before clips are prepared
        return OnRay(workers, address)
    if workers is not None or address is not None:
        raise UsageError("--workers and --ray-address apply to Ray only: add --executor ray")
    return None


def run(request: Request, *, reference: bool, as_json: bool, on: OnRay | None = None) -> int:
    """Run a request and print its result; the last line is the path of the record.

    Args:
        on: train the trials on Ray; None: in the run itself.

    Raises:
        UsageError: the request cannot work; nothing was written to the results.
    """
    try:
        with joined() as world:
            if world.size > 1 and on is not None:
                raise UsageError(
                    "torchrun and --executor ray cannot be combined: torchrun splits each training, Ray distributes "
                    "the trials of a search; choose one"
                )
            if not world.first:
                return _follow(request, world)
            with _progress.display() as display:
                prepared = Run(request, Shown(display), world)
                with _trials(prepared.setup, on) as trials:
                    record, path = prepared(trials=trials)
    except KeyboardInterrupt:
        print("interrupted before the search began: no record was written", file=sys.stderr)
        return INTERRUPTED
    except RankLost as lost:
        print(f"{lost} before the search began: no record was written", file=sys.stderr)
        return FAILED
    if record.error:
        print(f"{record.status}: {record.error}", file=sys.stderr)
    if checkpoints.found(path.parent):
        print("repeat the command to resume from the checkpoint", file=sys.stderr)
    if as_json:
        print(json.dumps(summary(record, path)))
    else:
        print(describe(record))
        print(board(record, request.results, reference=reference))
        print(path)
    return EXIT_CODES[record.status]


def _follow(request: Request, world: World) -> int:
    """Take part in a run as another than the first process, which shows it; print only this process's failure."""
    where = f"process {world.rank} (of 0 to {world.size - 1})"
    try:
        record, _ = Run(request, world=world)()
    except (KeyboardInterrupt, RankLost):
        return INTERRUPTED
    except UsageError as error:
        print(masked(f"{where}: {error}"), file=sys.stderr)
        return USAGE
    if record.status == "failed":
        print(f"{where}: {record.error}", file=sys.stderr)
    return EXIT_CODES[record.status]


def _trials(setup: Setup, on: OnRay | None) -> AbstractContextManager[OtherProcesses | None]:
    """Trainer of a search's trials; None: the run itself."""
    if on is None:
        return nullcontext()
    from pvnas_bench.grid.ray_trials import RayTrials

    return RayTrials(setup, on.workers, on.address)


def board(record: records.Record, results: Path, *, reference: bool) -> str:
    """Render the leaderboard of a record."""
    listed, _ = _results.load(results, reference=reference, detail="scores", null=record.null)
    return str(_leaderboard.rendered(leaderboard.build(_results.on_board(listed, record)), "terminal"))


def summary(record: records.Record, path: Path) -> dict[str, Any]:
    """Main results of a run as JSON values; the record at `path` has the rest."""
    outcome, score = record.outcome, leaderboard.score(record)
    return {
        "record": str(path),
        "status": record.status,
        "error": record.error,
        "entry": record.strategy.entry,
        "null": record.null,
        "space": record.space.name,
        "cap": record.space.cap,
        "cap_macs": record.space.cap_macs,
        "dataset": record.data.name,
        "protocol": record.protocol.name,
        "seed": record.seed,
        "architecture": outcome and outcome.architecture,
        "macs": outcome and outcome.macs,
        "parameters": outcome and outcome.parameters,
        "test_top1": score and score.top1,
        "test_top5": score and score.top5,
        "test_mean_class": score and score.mean_class,
        "search_reference_trainings": record.search.reference_trainings,
        "search_wall_seconds": record.search.wall_seconds,
    }


def _cost(record: records.Record, outcome: records.Outcome) -> str:
    """The costs of a network, each with its cap."""
    caps = record.space.caps or {"macs": record.space.cap_macs}
    macs = f" of {caps['macs'] / 1e6:.2f} allowed" if "macs" in caps else ""
    parameters = f" of {caps['params']:,.0f} allowed" if "params" in caps else ""
    latency = ""
    if "latency" in caps:
        latency = f" ({outcome.predicted_latency_ms or math.nan:.2f} predicted, of {caps['latency']:g} allowed)"
    return (
        f"{outcome.macs / 1e6:.2f} MMACs{macs}, {outcome.parameters:,} parameters{parameters}, "
        f"{outcome.latency_ms:.2f} ms per clip{latency}"
    )


def describe(record: records.Record) -> str:
    """Summarise the result of a run in a few lines."""
    outcome, score, search = record.outcome, leaderboard.score(record), record.search
    lines = [
        f"{record.strategy.entry} on {record.space.name} (cap {record.space.cap}), {record.data.name}, "
        f"{record.protocol.name}, seed {record.seed}: {record.status}"
    ]
    if outcome is not None:
        lines += [
            f"  architecture  {outcome.architecture}",
            f"  cost          {_cost(record, outcome)}",
        ]
    if score is not None:
        lines.append(
            f"  test          top-1 {score.top1:.1%}, top-5 {score.top5:.1%}, mean over classes {score.mean_class:.1%}"
        )
    lines.append(
        f"  search        {search.reference_trainings:.2f} of {record.protocol.budget:g} reference trainings, "
        f"{search.wall_seconds:.0f} s, {counted(search.architectures_evaluated, 'architecture')} evaluated"
    )
    if record.data.skipped:
        lines.append(
            f"  left out      {counted(len(record.data.skipped), 'clip')} that cannot be read, listed in the record"
        )
    return "\n".join(lines) + "\n"
