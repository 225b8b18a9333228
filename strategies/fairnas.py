"""FairNAS: every candidate of a block trains exactly once per round (strict fairness), then evolution.

A round draws, for each block, a permutation of its candidates. Path k takes the k-th of each, so that no candidate
trains more often than another; the gradients of the round's paths on one batch are added, and one update follows
(Chu et al., algorithm 1). An architecture's fitness is its accuracy on search-val with the supernet's weights.

All paths of a round have the same frames, size and depths, drawn uniformly: these are no choices between candidates.
Where a decision has fewer options than the round has paths, permutations follow one another, and the numbers of uses
differ by at most one.
"""

import math

import numpy as np
from pydantic import Field

from pvnas_bench import Architecture, Info, SearchSpace
from pvnas_bench.methods import PathEvolutionConfig
from pvnas_bench.strategies.spos import SPOS


def fair_round(space: SearchSpace, rng: np.random.Generator) -> list[Architecture]:
    """Paths that use the options of every modular decision equally often, with the same structural options.

    Returns:
        As many paths as the largest modular decision has options.
    """
    paths = max((len(d.options) for d in space.decisions if d.level == "modular"), default=1)
    columns = []
    for decision in space.decisions:
        count = len(decision.options)
        if decision.level == "structural":
            columns.append(np.full(paths, rng.integers(count)))
        else:
            rounds = [rng.permutation(count) for _ in range(math.ceil(paths / count))]
            columns.append(np.concatenate(rounds)[:paths])
    return [space.architecture(choices) for choices in np.stack(columns, axis=1).tolist()]


class FairNASConfig(PathEvolutionConfig):
    """Hyper-parameters of FairNAS."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    supernet_share: float = Field(0.4, gt=0, lt=1, description="part of the budget that trains the supernet (R, tuned)")


class FairNAS(SPOS):
    """Evolution on a supernet trained with strict fairness (FairNAS)."""

    Config = FairNASConfig
    info = Info(
        name="fairnas",
        title="FairNAS: strict fairness, then evolution",
        paper="Chu, Zhang & Xu, FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search, "
        "ICCV 2021",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="rounds in which every candidate trains exactly once, one update per round",
        reconstructed="operator, expansion and squeeze-excitation are permuted each; a round's gradient is the mean of "
        "its paths'; paths above the cap train too, as fairness needs them; evolution and budget are those of spos in "
        "place of NSGA-II",
    )

    def paths(self, rng: np.random.Generator) -> list[Architecture]:
        """Paths of a fair round."""
        return fair_round(self.problem.space, rng)
