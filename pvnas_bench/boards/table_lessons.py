"""Analysis of a table: spread and noise of accuracies, effects of options, and predictors of accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table.table import Table, is_large

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Spread of accuracies over architectures and over seeds, from architectures with several seeds.

    Attributes:
        architectures: number of architectures with several seeds.
        seeds: mean number of seeds of these architectures.
        seed_deviation: standard deviation of a training over seeds, pooled over architectures.
        spread: standard deviation of true accuracy over architectures; its square is the variance of the means minus
            the mean variance of a mean.
        tau: Kendall's τ between the rankings of two seeds, mean over pairs of seeds.
    """

    architectures: int
    seeds: float
    seed_deviation: float
    spread: float
    tau: float

    @property
    def standard_error(self) -> float:
        """Standard error of an architecture's mean over its seeds."""
        return self.seed_deviation / math.sqrt(self.seeds)


def noise(values: Floats) -> Noise | None:
    """Estimate the noise of accuracies; architectures with a single seed are left out.

    Args:
        values: accuracies (architectures, seeds), nan where not trained.

    Returns:
        The noise; None if fewer than three architectures have two seeds.
    """
    counts = (~np.isnan(values)).sum(1)
    several = values[counts > 1]
    if len(several) < 3:
        return None
    counts, means = counts[counts > 1], np.nanmean(several, axis=1)
    within = float(np.nansum((several - means[:, None]) ** 2) / (counts.sum() - len(several)))
    left = float(means.var(ddof=1)) - within * float((1 / counts).mean())
    taus = []
    for one, other in combinations(range(values.shape[1]), 2):
        both = several[~np.isnan(several[:, [one, other]]).any(1)]
        if len(both) > 2:
            taus.append(kendall_tau(both[:, one], both[:, other]))
    mean_tau = float(np.mean(taus)) if taus else math.nan
    return Noise(len(several), float(counts.mean()), math.sqrt(within), math.sqrt(max(left, 0.0)), mean_tau)


def truth(table: Table) -> Floats:
    """True accuracy (mean test top-1) of each architecture of a table, in the table's order."""
    return np.array([table.top1(architecture) for architecture in table.architectures])


def _known(space: SearchSpace, table: Table) -> tuple[list[Architecture], Floats]:
    """Every architecture of a space whose network is in the table, isomorphic ones included, and its accuracy.

    In a complete table the options of different decisions are then balanced. Of a large space, the trained ones.
    """
    every = map(space.parse, table.architectures) if is_large(space) else space.enumerate()
    known = [architecture for architecture in every if str(architecture) in table]
    return known, np.array([table.top1(str(architecture)) for architecture in known])


def effects(space: SearchSpace, table: Table) -> dict[str, dict[str, float]]:
    """Effect of each option by decision: mean true accuracy of the architectures with it, minus the mean of all.

    Decisions with a single option and options without an architecture in the table are left out.
    """
    parsed, values = _known(space, table)
    gains: dict[str, dict[str, float]] = {}
    for i, decision in enumerate(space.decisions):
        chosen = np.array([architecture.choices[i] for architecture in parsed])
        if len(decision.options) > 1:
            gains[decision.name] = {
                option: float(values[chosen == o].mean() - values.mean())
                for o, option in enumerate(decision.options)
                if (chosen == o).any()
            }
    return gains


def additive_share(space: SearchSpace, table: Table) -> float:
    """Share of the variance of true accuracies explained by a sum of one effect per option (R² of least squares).

    nan if all accuracies are equal.
    """
    parsed, values = _known(space, table)
    codes = np.stack([space.encode(architecture) for architecture in parsed]).astype(np.float64)
    fitted = codes @ np.linalg.lstsq(codes, values, rcond=None)[0]
    total = float(((values - values.mean()) ** 2).sum())
    return 1 - float(((values - fitted) ** 2).sum()) / total if total else math.nan


def fidelity(table: Table) -> list[float]:
    """Kendall's τ between the search-val top-1 after 1, 2, … epochs and the true accuracy.

    The search-val accuracy is that of the training with the first seed.
    """
    curves = np.array([table.trainings(a)[0].val_top1 for a in table.architectures])
    values = truth(table)
    return [kendall_tau(curves[:, epoch], values) for epoch in range(curves.shape[1])]


def exhaustive_regret(table: Table) -> float:
    """Regret of exhaustive search: every network trained once, the best on search-val taken; the mean over trainings.

    The k-th trainings count if every network has one. If networks have a single training, the true accuracies come from
    the same trainings.
    """
    seen = table.matrix("val_top1")
    whole = seen[:, ~np.isnan(seen).any(0)]
    if not whole.size:
        return math.nan
    return float(np.mean([table.regret(table.architectures[best]) for best in whole.argmax(0)]))


def predictors(table: Table, scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Kendall's τ between predictors that need no training and the true accuracy.

    Args:
        scores: zero-cost scores by name, in the order of the table's architectures.
    """
    first = [table.trainings(a)[0] for a in table.architectures]
    known: dict[str, Sequence[float]] = {
        "MACs": [t.macs for t in first],
        "parameters": [t.parameters for t in first],
        "latency": [t.latency_ms for t in first],
        **scores,
    }
    return {name: kendall_tau(values, truth(table)) for name, values in known.items()}


def shared(one: Table, other: Table) -> tuple[Floats, Floats]:
    """True accuracies, in both tables, of the architectures that both have."""
    both = [architecture for architecture in one.architectures if architecture in other]
    return np.array([one.top1(a) for a in both]), np.array([other.top1(a) for a in both])
