"""SPOS: single path one-shot search with uniform sampling.

Guo et al. train a supernet along one uniformly sampled path per batch (their equations 5 and 6), which favours no
path, then search it by evolution. An architecture's fitness is its accuracy on search-val with the
supernet's weights, its batch-norm statistics first recalibrated on clips of search-train (their section 3.4). Paths are
sampled under the cap (uniform constraint sampling).
"""

from collections.abc import Callable

import numpy as np

from pvnas_bench import Architecture, Info
from pvnas_bench.methods import PathEvolution

PRICED = 200
"""Random architectures whose mean cost prices a validation in the evolution's plan."""


class SPOS(PathEvolution):
    """Evolution on a supernet trained along uniform paths (SPOS)."""

    info = Info(
        name="spos",
        title="SPOS: single path one-shot, then evolution",
        paper="Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="uniform path sampling under the cap, recalibrated batch-norm, the evolution's proportions, "
        "label smoothing",
        reconstructed="the shares of the budget; population and generations shrink alike to what the budget holds; "
        "AdamW in place of SGD (0.5, linear); `verify`",
    )

    logged = "val_top1"

    def epoch_over(self) -> None:
        """Shrink the evolution to the remaining budget, at the price of validating random paths."""
        if not self.trained:
            return
        problem, config, rng = self.problem, self.config, self.problem.rng("plan")
        clips = problem.clips_in("val") + config.recalibration * problem.batch_size
        macs = np.mean([problem.cost(problem.sample(rng)).macs for _ in range(PRICED)])
        reference = problem.space.reference
        at_cap = problem.evaluation_cost(reference) * problem.cap / problem.cost(reference).macs
        left = max(problem.ledger.left - config.verify * at_cap, 0.0)
        self.evolution.plan(left / (float(macs) * clips / problem.ledger.reference))

    def fitness(self) -> Callable[[Architecture], float]:
        """Top-1 on search-val with inherited weights and recalibrated batch-norm."""
        return self.validated
