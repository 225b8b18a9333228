"""Statistics of leaderboards and plots. Leaderboards need numpy only; nothing imports torch.

All functions are pure. Scores are fractions, higher is better.
"""

from pvnas_bench.boards.statistics.curves import mean_band, performance_profile, step_values
from pvnas_bench.boards.statistics.fronts import attainment, box, hypervolume, nondominated
from pvnas_bench.boards.statistics.hypothesis import (
    Friedman,
    cliques,
    friedman,
    holm,
    mann_whitney,
    pairs_needed,
    pairwise,
    smallest_p,
    tie_groups,
    wilcoxon,
)
from pvnas_bench.boards.statistics.practical import Posterior, signed_rank_posterior
from pvnas_bench.boards.statistics.ranking import Floats, kendall_tau, ranks
from pvnas_bench.boards.statistics.reliability import (
    Reliability,
    power,
    reliability,
    seeds_needed,
    tau_between_halves,
    tau_between_seeds,
)
from pvnas_bench.boards.statistics.resampling import (
    Interval,
    Statistic,
    bootstrap,
    difference,
    iqm,
    rank_intervals,
    relative_improvement,
)

__all__ = [
    "Floats",
    "Friedman",
    "Interval",
    "Posterior",
    "Reliability",
    "Statistic",
    "attainment",
    "bootstrap",
    "box",
    "cliques",
    "difference",
    "friedman",
    "holm",
    "hypervolume",
    "iqm",
    "kendall_tau",
    "mann_whitney",
    "mean_band",
    "nondominated",
    "pairs_needed",
    "pairwise",
    "performance_profile",
    "power",
    "rank_intervals",
    "ranks",
    "relative_improvement",
    "reliability",
    "seeds_needed",
    "signed_rank_posterior",
    "smallest_p",
    "step_values",
    "tau_between_halves",
    "tau_between_seeds",
    "tie_groups",
    "wilcoxon",
]
