"""Local search: from a random architecture to the first better neighbour, until there is none; then from another one.

A neighbour differs in one decision. Taking the first better one instead of the best of all ("query until lower") spares
most of the some 70 trainings that the whole neighbourhood would take.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, SearchFinished, StrategyConfig
from pvnas_bench.methods.ask_tell import AskTell


class LocalSearch(AskTell):
    info = Info(
        name="local_search",
        title="Local search",
        paper="White, Nolen & Savani, Exploring the Loss Landscape in Neural Architecture Search, UAI 2021",
        year=2021,
        levels=("structural", "modular"),
        published="hill climbing on the graph of single changes from a random start, restarted at a local optimum; "
        "the variant that moves to the first better neighbour",
        reconstructed="neighbours above the cap are left out; a decision that a change switches on takes its first "
        "option",
    )

    class Config(StrategyConfig):
        restart: bool = Field(True, description="start anew at a local optimum; otherwise the search ends there")

    def prepare(self) -> None:
        self.here: Evaluation | None = None
        self.queue: list[Architecture] = []
        """Neighbours of `here` that were not asked for yet, in random order."""
        self.optima = 0

    def ask(self) -> Architecture:
        if self.here is not None and not self.queue:  # no neighbour is better
            self.optima += 1
            if not self.config.restart:
                raise SearchFinished
            self.here = None
        if self.here is None:
            return self.problem.sample(self.problem.rng("start"))
        return self.queue.pop()

    def tell(self, evaluation: Evaluation) -> None:
        if self.here is None or evaluation.top1 > self.here.top1:
            self.here = evaluation
            near = [a for a in self.problem.space.neighbours(evaluation.architecture) if self.problem.feasible(a)]
            self.queue = [near[i] for i in self.problem.rng("order").permutation(len(near))]

    def diagnostics(self) -> Mapping[str, Any]:
        return {"local_optima": self.optima}

    def state_dict(self) -> dict[str, Any]:
        here = None if self.here is None else [str(self.here.architecture), *_numbers(self.here)]
        own = {"here": here, "queue": list(map(str, self.queue)), "optima": self.optima}
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.here = None if state["here"] is None else self.problem.restore(*state["here"])
        self.queue = [self.problem.space.parse(string) for string in state["queue"]]
        self.optima = state["optima"]


def _numbers(evaluation: Evaluation) -> list[Any]:
    return [evaluation.top1, evaluation.loss, evaluation.epochs]
