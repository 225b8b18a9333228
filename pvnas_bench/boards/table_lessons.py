"""What a table teaches, in numbers: spread, noise, operators and positions, and what predicts accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table.table import Table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """How much of the accuracies is the architecture and how much is chance, from architectures with several seeds.

    Attributes:
        architectures: with several seeds.
        seeds: of each, on average.
        seed_deviation: standard deviation of a training over seeds, pooled over architectures.
        spread: standard deviation of true accuracy over architectures: what the variance of the means leaves when the
            variance of a mean is taken off.
        tau: Kendall's τ between the rankings of two seeds, the mean over pairs of seeds.
    """

    architectures: int
    seeds: float
    seed_deviation: float
    spread: float
    tau: float

    @property
    def standard_error(self) -> float:
        """Of an architecture's mean over its seeds."""
        return self.seed_deviation / math.sqrt(self.seeds)


def noise(values: Floats) -> Noise | None:
    """The noise of accuracies (architectures, seeds), nan where not trained; None without two seeds of three.

    Architectures with a single seed are left out.
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
    """The mean test top-1 of each architecture of a table, in its order."""
    return np.array([table.top1(architecture) for architecture in table.architectures])


def _known(space: SearchSpace, table: Table) -> tuple[list[Architecture], Floats]:
    """Every architecture of a space whose network is in the table, isomorphic ones included, and its accuracy.

    In a complete table the options of different decisions are then balanced.
    """
    known = [architecture for architecture in space.enumerate() if str(architecture) in table]
    return known, np.array([table.top1(str(architecture)) for architecture in known])


def effects(space: SearchSpace, table: Table) -> dict[str, dict[str, float]]:
    """By decision and option, the mean truth of the architectures with it, less the mean of all.

    Decisions with a single option are left out, and options that no architecture of the table has.
    """
    parsed, values = _known(space, table)
    found: dict[str, dict[str, float]] = {}
    for i, decision in enumerate(space.decisions):
        chosen = np.array([architecture.choices[i] for architecture in parsed])
        if len(decision.options) > 1:
            found[decision.name] = {
                option: float(values[chosen == o].mean() - values.mean())
                for o, option in enumerate(decision.options)
                if (chosen == o).any()
            }
    return found


def additive_share(space: SearchSpace, table: Table) -> float:
    """The share of the truth's variance that a sum of one effect for each option explains (R² of least squares).

    nan where nothing varies.
    """
    parsed, values = _known(space, table)
    codes = np.stack([space.encode(architecture) for architecture in parsed]).astype(np.float64)
    fitted = codes @ np.linalg.lstsq(codes, values, rcond=None)[0]
    total = float(((values - values.mean()) ** 2).sum())
    return 1 - float(((values - fitted) ** 2).sum()) / total if total else math.nan


def fidelity(table: Table) -> list[float]:
    """Of each number of epochs, Kendall's τ between the search-val top-1 after so many and the truth.

    The search-val accuracy is that of one training, the first of an architecture's seeds.
    """
    curves = np.array([table.trainings(a)[0].val_top1 for a in table.architectures])
    values = truth(table)
    return [kendall_tau(curves[:, epoch], values) for epoch in range(curves.shape[1])]


def exhaustive_regret(table: Table) -> float:
    """Regret of exhaustive search: every network trained once, the best on search-val taken; the mean over trainings.

    The k-th trainings count if every network has one. Where networks have a single training, the truth comes from the
    same one.
    """
    seen = table.matrix("val_top1")
    whole = seen[:, ~np.isnan(seen).any(0)]
    if not whole.size:
        return math.nan
    return float(np.mean([table.regret(table.architectures[best]) for best in whole.argmax(0)]))


def predictors(table: Table, scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Kendall's τ of what is known without a training with the truth.

    Args:
        scores: of untrained networks, by name, in the order of the table's architectures.
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
    """The truths of the architectures that both tables have."""
    both = [architecture for architecture in one.architectures if architecture in other]
    return np.array([one.top1(a) for a in both]), np.array([other.top1(a) for a in both])
