"""Building blocks of strategies, all public, one module per idea.

- `ask_tell`: black-box search.
- `bilevel`: alternating gradient-based search on a supernet (DARTS and its relatives).
- `shared_weights`, `lazy_optimisers`: optimisation of a supernet's weights.
- `distribution`: categorical distributions over architectures.
- `gates`: gradients for architecture parameters from one or two sampled paths.
- `importance`: gradients from importance-weighted samples.
- `knapsack`: the architecture with the best additive score under a cap.
- `edge_candidates`: the operators of temporal cells, edge by edge.
- `signals`: does a gradient search learn? Loss against chance, share of a cost term, and a guard.
- `evolution`, `path_evolution`: evolution with a cheap fitness, such as a supernet's accuracy.
- `pareto`: Pareto fronts of accuracy and MACs.
- `zero_cost`: search with a score of untrained networks.
- `optuna_search`, `optuna_storage`: Optuna's samplers, and studies that runs share.
- `nni_search`, `nni_candidates`, `nni_training`, `nni_apart`: NNI's one-shot strategies.

Names of the last two groups are imported from their modules: Optuna and NNI are loaded only where they are used.
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
    GatesConfig,
    cost_term,
    gumbel_loss,
    gumbel_one_hot,
    input_loss,
    one_path_plan,
    sample_input,
    straight_through,
    thrifty,
    two_path_loss,
    two_path_plan,
)
from pvnas_bench.methods.importance import alpha_loss, cost_shares, excess, importance_weights
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
from pvnas_bench.methods.signals import (
    ChanceGuard,
    CostShare,
    GuardConfig,
    chance_loss,
    clearly_below,
    log_held_out_loss,
    recorded,
)
from pvnas_bench.methods.zero_cost import ZeroCost, ZeroCostConfig

__all__ = [
    "AskTell",
    "Asked",
    "Bilevel",
    "BilevelConfig",
    "BinaryGates",
    "CandidateScores",
    "ChanceGuard",
    "CostShare",
    "Edge",
    "EdgeCandidates",
    "Evolution",
    "EvolutionRecipe",
    "FactorisedDistribution",
    "FixedInputConfig",
    "FixedInputSearch",
    "GatesConfig",
    "GuardConfig",
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
    "alpha_loss",
    "best",
    "best_under_caps",
    "break_ties",
    "chance_loss",
    "clearly_below",
    "cost_shares",
    "cost_term",
    "crowded_tournament",
    "crowding_distance",
    "decision_scores",
    "dominates",
    "excess",
    "fix_input",
    "gradients",
    "gumbel_loss",
    "gumbel_one_hot",
    "hypervolume",
    "importance_weights",
    "input_loss",
    "learnt_entropy",
    "log_held_out_loss",
    "make_weight_optimiser",
    "mixture_plan",
    "next_generation",
    "objectives",
    "one_path_plan",
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
