"""Random search: train random architectures for a short time each, return the best.

The baseline that any search has to beat (Li & Talwalkar 2020; Yu et al. 2020).
"""

from collections.abc import Iterator
from copy import deepcopy

from pvnas_bench import Architecture, Info
from pvnas_bench.methods.ask_tell import AskTell


class RandomSearch(AskTell):
    info = Info(
        name="random_search",
        title="Random search",
        paper="Li & Talwalkar, Random Search and Reproducibility for Neural Architecture Search, UAI 2019",
        year=2019,
        levels=("structural", "modular"),
        published="independent uniform samples, each trained stand-alone at one fidelity; the best is returned",
    )

    def ask(self) -> Architecture:
        return self.problem.sample(self.problem.rng("sample"))

    def upcoming(self) -> Iterator[Architecture]:
        rng = deepcopy(self.problem.rng("sample"))
        while True:
            yield self.problem.sample(rng)
