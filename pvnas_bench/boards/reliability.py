"""Reliability of a protocol: how well final scores on a space and a data set tell architectures apart.

It follows from a table of random architectures, each trained with several seeds in the conditions of a final training.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from pvnas_bench.boards import statistics
from pvnas_bench.errors import UsageError
from pvnas_bench.records import RETRAINED, Record
from pvnas_bench.system.files import read_whole
from pvnas_bench.system.text import counted
from pvnas_bench.table.schema import KnownTraining, recipe_of
from pvnas_bench.table.surrogate import Surrogate
from pvnas_bench.table.table import Table

SCHEMA_VERSION: Final = 1
DIFFERENCES = (0.03, 0.05, 0.10)
"""Differences in accuracy to tell apart."""
LARGEST = 2**20
"""Largest size of a report in bytes."""
PUBLISHED = "pvnas_bench.reference"


class ReliabilityReport(BaseModel):
    """Reliability of final scores. Accuracies and their deviations are fractions.

    Attributes:
        space: fingerprint of the space and name of the cap, as in records.
        data, data_name: fingerprint and name of the data set.
        protocol, recipe: name of the protocol, and the settings that determine a training.
        mean, lowest, highest: of the architectures' mean test accuracies.
        scores: variance components and intraclass correlations; its entries are architectures.
        tau: Kendall's τ between the orders by two seeds, mean over pairs of seeds.
        tau_of_halves: the same between the orders by means of two disjoint halves of the seeds; None: fewer than four.
        seeds_needed: by difference in points, fewest seeds for 80 % power of a paired t-test; None: over 10,000.
        tau_by_epoch: Kendall's τ of the validation accuracy after each epoch with the mean score; None: no validation.
        seconds: mean CPU seconds of a training.
        reversed_top1, shuffled_top1: mean test top-1 with reversed and with shuffled frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    schema_version: Literal[1] = SCHEMA_VERSION
    space: str
    data: str
    data_name: str
    protocol: str
    recipe: dict[str, Any]
    mean: float
    lowest: float
    highest: float
    scores: statistics.Reliability
    tau: float
    seeds_needed: dict[str, int | None]
    tau_by_epoch: tuple[float, ...] | None
    seconds: float
    reversed_top1: float | None
    shuffled_top1: float | None
    tau_of_halves: float | None = None

    def of(self, run: Record) -> bool:
        """Return True if a record has the space, cap, data set and recipe of this report, and is judged by training."""
        recipe = recipe_of(run.protocol)
        looked_up = run.tabular and RETRAINED not in run.protocol.fingerprint
        return not looked_up and (run.space.fingerprint, run.data.fingerprint, recipe) == (
            self.space,
            self.data,
            self.recipe,
        )


def report(table: Table, cap: str) -> ReliabilityReport:
    """Analyse a table of final trainings; only architectures that have every seed count.

    Args:
        cap: name of the cap that the architectures are under.

    Raises:
        UsageError: fewer than three architectures have every seed, or there is a single seed.
    """
    complete = _complete(table, table.architectures)
    if not complete:
        raise UsageError(
            "reliability needs three architectures with two seeds at least: raise --architectures or --seeds"
        )
    scores = np.array([[training.test_top1 for training in rows] for rows in complete])
    found, means = statistics.reliability(scores), scores.mean(1)
    curves = np.array([np.mean([training.val_top1 for training in rows], axis=0) for rows in complete])
    trainings = [training for rows in complete for training in rows]
    return ReliabilityReport(
        space=f"{table.about.space.fingerprint}:{cap}",
        data=table.about.data.fingerprint,
        data_name=table.about.data.name,
        protocol=table.about.protocol.name,
        recipe=recipe_of(table.about.protocol),
        mean=float(means.mean()),
        lowest=float(means.min()),
        highest=float(means.max()),
        scores=found,
        tau=statistics.tau_between_seeds(scores),
        seeds_needed={f"{100 * d:g}": statistics.seeds_needed(d, found.noise) for d in DIFFERENCES},
        tau_by_epoch=None if np.isnan(curves).any() else tuple(_taus(curves, means)),
        seconds=fmean(training.seconds for training in trainings),
        reversed_top1=_mean([training.test_top1_reversed for training in trainings]),
        shuffled_top1=_mean([training.test_top1_shuffled for training in trainings]),
        tau_of_halves=statistics.tau_between_halves(scores) if scores.shape[1] > 3 else None,
    )


def of_table(table: Table, allowed: Callable[[str], bool]) -> statistics.Reliability | None:
    """Reliability of one training of a table, from the networks that have every seed.

    Args:
        allowed: condition on the architectures, such as a cap.

    Returns:
        None where fewer than three of the networks have every seed, there is a single seed, or trainings do not differ;
        None of a surrogate, whose table is a sample.
    """
    complete = [] if isinstance(table, Surrogate) else _complete(table, filter(allowed, table.architectures))
    if not complete:
        return None
    found = statistics.reliability([[training.test_top1 for training in rows] for rows in complete])
    return found if found.noise else None


def _complete(table: Table, architectures: Iterable[str]) -> list[tuple[KnownTraining, ...]]:
    """A training of each seed, of the architectures that have all; empty if they do not suffice for an analysis.

    A network that several architectures build may have several trainings of a seed: the first counts.
    """
    by_seed = ({t.seed: t for t in reversed(table.trainings(name))} for name in architectures)
    complete = [tuple(of[seed] for seed in table.seeds) for of in by_seed if len(of) == len(table.seeds)]
    return complete if len(complete) > 2 and len(table.seeds) > 1 else []


def _taus(curves: statistics.Floats, means: statistics.Floats) -> list[float]:
    taus = (statistics.kendall_tau(curve, means) for curve in curves.T)
    return [0.0 if math.isnan(tau) else tau for tau in taus]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def sentence(scores: statistics.Reliability, of: str = "random architectures") -> str:
    """The reliability of a training in a sentence, for the notes of a board.

    Args:
        of: what its entries are.
    """
    needed = statistics.seeds_needed(0.05, scores.noise)
    seeds = "over 10,000 seeds" if needed is None else counted(needed, "seed")
    return (
        f"one training has a noise of {100 * scores.noise:.1f} points and an ICC of {scores.icc:.2f} "
        f"[{scores.icc_low:.2f}, {scores.icc_high:.2f}] ({scores.entries} {of} × {scores.seeds} "
        f"seeds): two architectures that differ by 5 points need {seeds} for 80 % power."
    )


def text(one: ReliabilityReport) -> str:
    """A report in lines, for people."""
    scores = one.scores
    needed = ", ".join(
        f"{points} points {'over 10,000' if seeds is None else seeds}" for points, seeds in one.seeds_needed.items()
    )
    halves = f", {one.tau_of_halves:.2f} between means of {scores.seeds // 2}" if one.tau_of_halves is not None else ""
    lines = [
        f"{one.space} · {one.data_name} · {one.protocol}: {scores.entries} random architectures × {scores.seeds} seeds",
        f"  test top-1    mean {one.mean:.1%}, from {one.lowest:.1%} to {one.highest:.1%}",
        f"  noise         {100 * scores.noise:.1f} points, one training about its architecture and seed",
        f"  seed effect   {100 * scores.seed_effect:.1f} points, common to all architectures",
        f"  spread        {100 * scores.spread:.1f} points, true scores of architectures",
        f"  ICC           {scores.icc:.2f} [{scores.icc_low:.2f}, {scores.icc_high:.2f}] of one score "
        f"(F = {scores.f:.1f}, p = {scores.p:.2g}), {scores.of_mean(3):.2f} of a mean of three; "
        f"{scores.icc_oneway:.2f} without seeds as blocks",
        f"  tau           {one.tau:.2f} between two seeds{halves}",
        f"  seeds needed  {needed} (paired t-test, 80 % power)",
        f"  a training    {one.seconds:.1f} CPU seconds",
    ]
    if one.tau_by_epoch is not None:
        taus = " ".join(f"{tau:.2f}" for tau in one.tau_by_epoch)
        lines.append(f"  by epoch      tau of validation with the mean score: {taus}")
    if one.reversed_top1 is not None and one.shuffled_top1 is not None:
        lines.append(f"  frame order   {one.reversed_top1:.1%} reversed, {one.shuffled_top1:.1%} shuffled")
    return "\n".join(lines)


def read(path: Path) -> ReliabilityReport:
    """Read a report.

    Raises:
        UsageError: the file is not a report of this version.
    """
    try:
        return ReliabilityReport.model_validate_json(read_whole(path, LARGEST))
    except (OSError, ValueError, ValidationError) as error:
        raise UsageError(f"{path} is not a reliability report of this version ({type(error).__name__})") from None


def published() -> Iterator[ReliabilityReport]:
    """The reports that come with the package."""
    with resources.as_file(resources.files(PUBLISHED)) as folder:
        for path in sorted((folder / "reliability").glob("*.json")):
            yield read(path)


def of_board(runs: Sequence[Record], reports: Sequence[ReliabilityReport]) -> ReliabilityReport | None:
    """The report of a board, from any of its records; None: there is none."""
    return next((one for one in reports if runs and one.of(runs[0])), None)


def shared(scores: Sequence[Mapping[int, float]]) -> list[list[float]] | None:
    """Scores of the entries of a board, by the seeds that all of them share; None: fewer than two of either.

    Args:
        scores: of each entry, by seed.
    """
    seeds = sorted(set.intersection(*(set(one) for one in scores))) if scores else []
    if len(scores) < 2 or len(seeds) < 2:
        return None
    return [[one[seed] for seed in seeds] for one in scores]


def consistency_sentence(scores: Sequence[Mapping[int, float]]) -> str | None:
    """How much of the scores of a board's searches is the strategy, and how stable their order is.

    Args:
        scores: of each search, by seed.

    Returns:
        None where fewer than two searches share two seeds.
    """
    table = shared(scores)
    if table is None:
        return None
    found = statistics.reliability(table)
    said = (
        f"the choice of strategy accounts for {max(found.icc, 0):.0%} of the variance between scores: ICC "
        f"{found.icc:.2f} [{found.icc_low:.2f}, {found.icc_high:.2f}] of a score and {found.of_mean(found.seeds):.2f} "
        f"of the mean, F = {found.f:.2f}, p = {found.p:.2g}, over {found.entries} searches × "
        f"{counted(found.seeds, 'seed')}, seeds as blocks"
    )
    if found.entries > 2 and found.seeds > 3:
        said += f"; their order by one half of the seeds and by the other: τ {statistics.tau_between_halves(table):.2f}"
    return f"{said}."
