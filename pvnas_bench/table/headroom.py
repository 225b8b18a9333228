"""Headroom of a task: how far the best known network is above the best hand-designed one under the same caps.

The highest of many noisy scores overstates its network: of equal ones, the lucky one is selected. Each network's mean
is therefore shrunk towards the mean of all by its reliability (empirical Bayes with normal errors, by moments: Morris,
Parametric Empirical Bayes Inference, JASA 1983). If true accuracies are normal too, the shrunken score of the selected
network is right on average. A surrogate's predictions are shrunk already, as the means of a Gaussian process.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table.surrogate import Surrogate
from pvnas_bench.table.table import Table

LEAST_POINTS, LEAST_ERRORS = 0.03, 5.0
"""Headroom that a board needs: this many of the test clips, or this many standard errors of a score."""
REPEATED = 3
"""Fewest networks with several trainings from which the noise of one is measured."""

Floats = npt.NDArray[np.float64]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Headroom:
    """The best known network and the best hand-designed one under the caps of a board. Accuracies are test top-1.

    Attributes:
        best: of the best known network, corrected for its selection.
        expert: name of the best hand-designed network.
        expert_top1: its accuracy, corrected in the same way.
        highest: the highest uncorrected mean of a network's trainings; None: `best` is a surrogate's prediction.
        standard_error: of a score: the noise of one training over the root of the number of trainings that a score is
            the mean of; on a surrogate the noise of one training. None: no trainings were repeated to measure it, and
            nothing is corrected.
    """

    best: Fraction
    expert: str
    expert_top1: Fraction
    highest: Fraction | None
    standard_error: Fraction | None

    @property
    def difference(self) -> float:
        """The headroom, as a fraction of the test clips."""
        return self.best - self.expert_top1

    @property
    def suffices(self) -> bool:
        """True if the headroom is 3 points or five standard errors of a score; an unknown error does not help."""
        enough = self.standard_error is not None and self.difference >= LEAST_ERRORS * self.standard_error > 0
        return self.difference >= LEAST_POINTS or enough

    def __str__(self) -> str:
        if self.highest is None:
            meant = "both are predicted"
        elif self.standard_error is None:
            meant = "no training was repeated to correct the luck of the best"
        else:
            highest = f"{100 * self.highest:.1f} %"
            meant = f"both are shrunk towards the mean of all, since the highest mean of trainings, {highest}, is lucky"
        points = f"{100 * self.difference:.1f} points"
        if self.standard_error:
            points += f", {self.difference / self.standard_error:.1f} times the standard error of a score"
        return (
            f"the best known architecture under the cap has {100 * self.best:.1f} %, the best hand-designed one "
            f"({self.expert}) {100 * self.expert_top1:.1f} %: {points}, "
            f"{'as many as' if self.suffices else 'fewer than'} a board needs ({100 * LEAST_POINTS:.0f} points, or "
            f"{LEAST_ERRORS:.0f} standard errors); {meant}"
        )


def headroom(table: Table, space: SearchSpace, allowed: Callable[[Architecture], bool]) -> Headroom | None:
    """Headroom of a table, or of a surrogate.

    Args:
        allowed: condition on the networks, such as a cap.

    Returns:
        The headroom; None if no hand-designed network is known and allowed.
    """
    experts = {name: str(one) for name, one in space.experts.items() if allowed(one) and str(one) in table}
    if not experts:
        return None
    if isinstance(table, Surrogate):
        predicted = {name: table.top1(string) for name, string in experts.items()}
        expert = max(predicted, key=predicted.__getitem__)
        best = max(table.best(allowed), predicted[expert])
        return Headroom(best, expert, predicted[expert], None, min(table.noise, 1.0))
    names = [name for name in table.architectures if allowed(space.parse(name))]
    counts = np.array([len(table.trainings(name)) for name in names], float)
    means, noise = np.array([table.top1(name) for name in names]), training_noise(table)
    scores = means if noise is None else np.clip(shrunk(means, counts, noise), 0, 1)
    score_of = dict(zip(names, scores.tolist(), strict=True))
    of_expert = {name: score_of[table.network(string)] for name, string in experts.items()}
    expert = max(of_expert, key=of_expert.__getitem__)
    error = None if noise is None else min(noise * math.sqrt(float((1 / counts).mean())), 1.0)
    return Headroom(float(scores.max()), expert, of_expert[expert], float(means.max()), error)


def shrunk(means: Floats, counts: Floats, noise: float) -> Floats:
    """Shrink the means of networks' trainings towards the mean of all by their reliability.

    The variance of true accuracies is that of the means, less what the noise explains.

    Args:
        means: mean over the trainings of each network.
        counts: number of trainings of each network.
        noise: standard deviation of one training.
    """
    if len(means) < 2:
        return means
    errors = noise**2 / counts
    true = max(float(means.var(ddof=1) - errors.mean()), 0.0)
    if true == 0:
        return np.full_like(means, np.average(means, weights=counts))
    center = float(np.average(means, weights=1 / (true + errors)))
    return np.asarray(center + true / (true + errors) * (means - center), np.float64)


def training_noise(table: Table) -> float | None:
    """Standard deviation of one training's test top-1, pooled over the networks with several trainings.

    Returns:
        The deviation; None if fewer than `REPEATED` networks have several.
    """
    values = table.matrix("test_top1")
    several = values[(~np.isnan(values)).sum(1) > 1]
    if len(several) < REPEATED:
        return None
    degrees = int((~np.isnan(several)).sum()) - len(several)
    return math.sqrt(float(np.nansum((several - np.nanmean(several, axis=1, keepdims=True)) ** 2)) / degrees)
