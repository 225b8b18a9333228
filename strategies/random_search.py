"""Random search: train random architectures for a short time each, return the best.

The baseline that any search has to beat (Li & Talwalkar 2020; Yu et al. 2020).
"""

from collections.abc import Mapping
from typing import Any

from pvnas_bench import Architecture, Evaluation, Info, Problem, Strategy


class RandomSearch(Strategy):
    info = Info(
        name="random_search",
        title="Random search",
        paper="Li & Talwalkar, Random Search and Reproducibility for Neural Architecture Search, UAI 2019",
        year=2019,
        levels=("structural", "modular"),
        published="independent uniform samples, each trained stand-alone at one fidelity; the best is returned",
    )

    def setup(self, problem: Problem) -> None:
        self.problem = problem
        self.best: Evaluation | None = None
        self.fallback = problem.sample(problem.rng("sample"))

    def step(self) -> None:
        evaluation = self.problem.evaluate(self.problem.sample(self.problem.rng("sample")))
        if self.best is None or evaluation.top1 > self.best.top1:
            self.best = evaluation
        self.problem.log(val_top1=self.best.top1)

    def incumbent(self) -> Architecture:
        return self.fallback if self.best is None else self.best.architecture

    def state_dict(self) -> dict[str, Any]:
        if self.best is None:
            return {"best": None}
        return {"best": [str(self.best.architecture), self.best.top1, self.best.loss, self.best.epochs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = None if state["best"] is None else self.problem.restore(*state["best"])
