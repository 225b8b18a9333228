"""Random search: train random architectures for a short time each, return the best.

This is the baseline that any search must beat (Li & Talwalkar 2020; Yu et al. 2020).
"""

from pvnas_bench import Architecture, Info
from pvnas_bench.methods import AskTell

BATCH = 64
"""Architectures drawn at a time; they may be trained side by side."""


class RandomSearch(AskTell):
    """The best of many random architectures."""

    info = Info(
        name="random_search",
        title="Random search",
        paper="Li & Talwalkar, Random Search and Reproducibility for Neural Architecture Search, UAI 2019",
        year=2019,
        levels=("structural", "modular"),
        published="independent uniform samples, each trained stand-alone at one fidelity; the best is returned",
    )

    def ask(self) -> list[Architecture]:
        """Independent random architectures."""
        return [self.problem.sample() for _ in range(BATCH)]
