"""Building blocks of strategies, all public, one module per idea.

- `ask_tell`: black-box search.
- `bilevel`: alternating gradient-based search on a supernet (DARTS and its relatives).
- `shared_weights`, `lazy_optimisers`: optimisation of a supernet's weights.
- `distribution`: categorical distributions over architectures.
- `gates`: gradients for architecture parameters from two sampled paths.
- `knapsack`: the architecture with the best additive score under a cap.
- `edge_candidates`: the operators of temporal cells, edge by edge.
- `evolution`, `path_evolution`: evolution with a cheap fitness, such as a supernet's accuracy.
- `pareto`: Pareto fronts of accuracy and MACs.
- `zero_cost`: search with a score of untrained networks.
"""

from pvnas_bench.methods.ask_tell import Asked, AskTell, Trial
from pvnas_bench.methods.bilevel import (
    Bilevel,
    BilevelConfig,
    FixedInputConfig,
    FixedInputSearch,
    MixtureSearch,
    Weights,
    fix_input,
    gradients,
    learnt_entropy,
    mixture_plan,
    skips,
)
from pvnas_bench.methods.distribution import FactorisedDistribution, JointDistribution
from pvnas_bench.methods.edge_candidates import Edge, EdgeCandidates
from pvnas_bench.methods.evolution import Evolution, EvolutionRecipe, best, next_generation
from pvnas_bench.methods.gates import (
    BinaryGates,
    input_loss,
    sample_input,
    straight_through,
    thrifty,
    two_path_loss,
    two_path_plan,
)
from pvnas_bench.methods.knapsack import CandidateScores, Ties, best_under_caps, break_ties, decision_scores
from pvnas_bench.methods.lazy_optimisers import LazyAdamW, LazySGD
from pvnas_bench.methods.pareto import (
    crowded_tournament,
    crowding_distance,
    dominates,
    hypervolume,
    objectives,
    pareto_front,
)
from pvnas_bench.methods.path_evolution import PathEvolution, PathEvolutionConfig
from pvnas_bench.methods.shared_weights import (
    OptimiserConfig,
    SharedWeights,
    WeightsConfig,
    make_weight_optimiser,
    rate_at,
    set_rate,
)
from pvnas_bench.methods.signals import CostShare, log_held_out_loss, recorded
from pvnas_bench.methods.zero_cost import ZeroCost, ZeroCostConfig

__all__ = [
    "AskTell",
    "Asked",
    "Bilevel",
    "BilevelConfig",
    "BinaryGates",
    "CandidateScores",
    "CostShare",
    "Edge",
    "EdgeCandidates",
    "Evolution",
    "EvolutionRecipe",
    "FactorisedDistribution",
    "FixedInputConfig",
    "FixedInputSearch",
    "JointDistribution",
    "LazyAdamW",
    "LazySGD",
    "MixtureSearch",
    "OptimiserConfig",
    "PathEvolution",
    "PathEvolutionConfig",
    "SharedWeights",
    "Ties",
    "Trial",
    "Weights",
    "WeightsConfig",
    "ZeroCost",
    "ZeroCostConfig",
    "best",
    "best_under_caps",
    "break_ties",
    "crowded_tournament",
    "crowding_distance",
    "decision_scores",
    "dominates",
    "fix_input",
    "gradients",
    "hypervolume",
    "input_loss",
    "learnt_entropy",
    "log_held_out_loss",
    "make_weight_optimiser",
    "mixture_plan",
    "next_generation",
    "objectives",
    "pareto_front",
    "rate_at",
    "recorded",
    "sample_input",
    "set_rate",
    "skips",
    "straight_through",
    "thrifty",
    "two_path_loss",
    "two_path_plan",
]
