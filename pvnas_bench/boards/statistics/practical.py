"""Bayesian comparison of two entries, with "practically equal" as an answer.

Source: Benavoli, Corani, Demšar and Zaffalon, "Time for a change: a tutorial for comparing multiple classifiers through
Bayesian analysis", JMLR 2017, section 4.2 (Bayesian signed-rank test).
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pvnas_bench.boards.statistics.resampling import SEED

SAMPLES = 4000
"""Draws from the posterior."""
PRIOR = 0.5
"""Weight of the prior's pseudo-observation, a difference of zero."""
CERTAIN = 0.95
"""Posterior probability from which on a comparison is decided."""

Answer = Literal["worse", "practically equal", "better"]


class Posterior(NamedTuple):
    """Posterior probabilities that the first entry is worse, practically equal, or better; their sum is 1."""

    worse: float
    equal: float
    better: float

    @property
    def answer(self) -> Answer | None:
        """The answer with a probability of at least `CERTAIN`; None: undecided."""
        named: tuple[tuple[float, Answer], ...] = (
            (self.worse, "worse"),
            (self.equal, "practically equal"),
            (self.better, "better"),
        )
        return next((answer for probability, answer in named if probability >= CERTAIN), None)


def signed_rank_posterior(first: ArrayLike, second: ArrayLike, region: float) -> Posterior:
    """Posterior of the Bayesian signed-rank test between paired scores.

    Pairs are weighted by draws from a Dirichlet distribution. In each draw the weight of all pairs of pairs is divided
    by whether the mean of their two differences is below, within or above the region; the largest share is the draw's
    answer.

    Args:
        first, second: scores (pairs,) of the two entries.
        region: half the width of the region of practical equivalence, in the units of the scores.

    Raises:
        ValueError: the scores differ in number, there are none, one is not finite, or the region is negative.
    """
    ours, theirs = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if ours.shape != theirs.shape or ours.ndim != 1 or not len(ours):
        raise ValueError("a comparison needs pairs of scores")
    if not np.isfinite([ours, theirs]).all() or not region >= 0:
        raise ValueError("scores must be finite and the region not negative")
    differences = np.append(ours - theirs, 0.0)
    order = np.argsort(differences, kind="stable")
    ordered = differences[order]
    alpha = np.append(np.ones(len(ours)), PRIOR)[order]
    weights = np.random.default_rng([SEED, len(ours)]).dirichlet(alpha, SAMPLES)
    sums = np.concatenate([np.zeros((SAMPLES, 1)), np.cumsum(weights, axis=1)], axis=1)
    below = np.searchsorted(ordered, -2 * region - ordered, side="left")  # partners that bring the mean below
    up_to = np.searchsorted(ordered, 2 * region - ordered, side="right")
    worse = (weights * sums[:, below]).sum(1)
    equal = (weights * sums[:, up_to]).sum(1) - worse
    shares = np.stack([worse, equal, 1 - worse - equal], axis=1)
    answers = np.bincount(shares.argmax(1), minlength=3) / SAMPLES
    return Posterior(*answers.tolist())
