"""What a comparison finds, and what all comparisons ask of records."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvnas_bench.boards import leaderboard
from pvnas_bench.records import Record

Kind = Literal["accuracy", "exact", "speed", "failure"]
Verdict = Literal["ok", "regressed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One comparison."""

    verdict: Verdict
    kind: Kind
    board: str
    entry: str
    quantity: str
    baseline: str
    fresh: str
    message: str


@dataclass(frozen=True)
class Check:
    """All comparisons of fresh records with a baseline."""

    findings: tuple[Finding, ...]

    @property
    def regressed(self) -> tuple[Finding, ...]:
        """What makes the check fail."""
        return tuple(finding for finding in self.findings if finding.verdict == "regressed")

    @property
    def exit_code(self) -> int:
        """1 if anything regressed."""
        return 1 if self.regressed else 0


def board(record: Record) -> str:
    return f"{record.space.name} (cap {record.space.cap}) · {record.data.name} · {record.protocol.name}"


def seed_scores(found: Sequence[Record]) -> dict[int, float]:
    """The top-1 of each seed with a completed run; several runs of a seed are averaged."""
    seeds: dict[int, list[float]] = defaultdict(list)
    for record in found:
        result = leaderboard.score(record)
        if result is not None:
            seeds[record.seed].append(result.top1)
    return {seed: float(np.mean(scores)) for seed, scores in seeds.items()}
