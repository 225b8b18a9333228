"""The result of a run: its record, where that is, and what a reader asks first."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvnas_bench import records
from pvnas_bench.api import results
from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.leaderboard import Score
from pvnas_bench.system.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from pvnas_bench.runs.placing import Placed


@dataclass(frozen=True)
class RunResult:
    """A finished run. `print` shows it in a few lines.

    Attributes:
        record: everything about the run.
        path: the file of the record.
        placed: place of the network found among random ones; None where no table of the space, the data set and the
            protocol tells.
    """

    record: records.Record
    path: Path
    placed: "Placed | None" = None

    @property
    def status(self) -> records.Status:
        """Outcome of the run: ok, failed, timeout or interrupted."""
        return self.record.status

    @property
    def architecture(self) -> str | None:
        """String of the architecture found; None where the search ended without one."""
        outcome = self.record.outcome
        return None if outcome is None else outcome.architecture

    @property
    def score(self) -> Score | None:
        """Mean test accuracies over the retrainings; None unless the run completed."""
        return leaderboard.score(self.record)

    @property
    def summary(self) -> dict[str, Any]:
        """The values that a program reads first, as ``run --json`` prints them."""
        record, outcome, score = self.record, self.record.outcome, self.score
        return {
            "record": str(self.path),
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
            "placed": self.placed and asdict(self.placed),
        }

    def leaderboard(self, *, reference: bool = True) -> "pd.DataFrame":
        """The board that the run is on, with the other records of its results folder; columns of `leaderboard`.

        Args:
            reference: True to include the published runs.
        """
        from pvnas_bench.api.boards import frame

        loaded = results.load(self.path.parent.parent, reference=reference, detail="scores", null=self.record.null)
        return frame(leaderboard.build(results.on_board(loaded.records, self.record)))

    def __str__(self) -> str:
        return describe(self.record) + (f"{self.placed}\n" if self.placed else "")


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
        f"{record.protocol.name}{', surrogate' if record.surrogate else ''}, seed {record.seed}: {record.status}"
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
