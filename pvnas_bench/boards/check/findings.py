"""Findings of a check, and the scores that its comparisons use."""

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
    """Result of one comparison."""

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
        """Findings that make the check fail."""
        return tuple(finding for finding in self.findings if finding.verdict == "regressed")

    @property
    def exit_code(self) -> int:
        """1 if anything regressed, else 0."""
        return 1 if self.regressed else 0


def board(record: Record) -> str:
    """Title of a record's board."""
    surrogate = ", surrogate" if record.surrogate else ""
    return f"{record.space.name} (cap {record.space.cap}) · {record.data.name} · {record.protocol.name}{surrogate}"


def seed_scores(runs: Sequence[Record]) -> dict[int, float]:
    """Top-1 of each seed with a completed run; several runs of a seed are averaged."""
    seeds: dict[int, list[float]] = defaultdict(list)
    for record in runs:
        result = leaderboard.score(record)
        if result is not None:
            seeds[record.seed].append(result.top1)
    return {seed: float(np.mean(scores)) for seed, scores in seeds.items()}
