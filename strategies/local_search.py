"""Local search: move from a random architecture to the first better neighbour; restart where there is none.

A neighbour differs in one decision; taking the first better one ("query until lower") spares most trainings.
"""

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, SearchFinished, StrategyConfig
from pvnas_bench.methods import AskTell


class LocalSearchConfig(StrategyConfig):
    """Hyper-parameters of local search."""

    restart: bool = Field(True, description="start anew at a local optimum; otherwise the search ends there")


class LocalSearch(AskTell[LocalSearchConfig]):
    """Hill climbing over single changes, with restarts."""

    info = Info(
        name="local_search",
        title="Local search",
        paper="White, Nolen & Savani, Exploring the Loss Landscape in Neural Architecture Search, UAI 2021",
        year=2021,
        levels=("structural", "modular"),
        published="hill climbing on the graph of single changes from a random start, restarted at a local optimum; "
        "the variant that moves to the first better neighbour",
        reconstructed="no neighbours above the cap; a decision that a change switches on takes its first option",
    )

    def setup(self) -> None:
        """Start without a current architecture."""
        super().setup()
        self.here: Evaluation | None = None
        self.queue: list[Architecture] = []  # neighbours still to ask for
        self.optima = 0

    def ask(self) -> Architecture:
        """The next neighbour, or a random start.

        Raises:
            SearchFinished: the search is at a local optimum, without `restart`.
        """
        if self.here is not None and not self.queue:  # no neighbour is better
            self.optima += 1
            self.problem.note(local_optima=self.optima)
            if not self.config.restart:
                raise SearchFinished
            self.here = None
        if self.here is None:
            return self.problem.sample(self.problem.rng("start"))
        return self.queue.pop()

    def tell(self, evaluation: Evaluation) -> None:
        """Move to the first better neighbour."""
        if self.here is None or evaluation.top1 > self.here.top1:
            self.here = evaluation
            near = [a for a in self.problem.space.neighbours(evaluation.architecture) if self.problem.feasible(a)]
            self.queue = [near[i] for i in self.problem.rng("order").permutation(len(near))]
