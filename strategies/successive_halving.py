"""Successive halving: train many architectures a little, the best of them longer, until one is trained in full.

A rung trains n·η^-k architectures for R·η^-(s-k) epochs, so that every rung costs about the same. The first rung is
long enough for its accuracies to rank architectures. A bracket is as wide as the budget allows; another one spends the
rest.
"""

from bisect import bisect_left
from collections.abc import Sequence

from pydantic import Field

from pvnas_bench import Architecture, Evaluation, Info, SearchFinished, StrategyConfig
from pvnas_bench.methods import AskTell, Trial


def rung_epochs(most: int, least: int, factor: int) -> list[int]:
    """Epochs of each rung: R, R/η, R/η² … down to `least`, rounded, the shortest first."""
    epochs = [most]
    while round(most / factor ** len(epochs)) >= least and round(most / factor ** len(epochs)) < epochs[-1]:
        epochs.append(round(most / factor ** len(epochs)))
    return epochs[::-1]


def rung_sizes(width: int, rungs: int, factor: int) -> list[int]:
    """Architectures of each rung: n, ⌊n/η⌋, ⌊n/η²⌋ …, at least one."""
    return [max(width // factor**k, 1) for k in range(rungs)]


def widest(budget: float, costs: Sequence[float], factor: int) -> int:
    """The largest n whose bracket fits the budget; 0 where none does.

    Args:
        costs: cost of one training at each rung.
    """

    def too_wide(width: int) -> bool:
        return sum(n * c for n, c in zip(rung_sizes(width, len(costs), factor), costs, strict=True)) > budget

    beyond = 1
    while not too_wide(beyond):
        beyond *= 2
    return bisect_left(range(1, beyond + 1), True, key=too_wide)


class SuccessiveHalvingConfig(StrategyConfig):
    """Hyper-parameters of successive halving."""

    factor: int = Field(4, ge=2, le=16, description="η: kept of a rung, and growth of epochs (tuned; the paper: 2)")
    first_rung: float = Field(
        0.25,
        gt=0,
        le=1,
        description="part of a full training that the first rung has at least (R: the rank correlation with the final "
        "accuracy on the tuning task, results/notes/successive_halving.md; the paper: one iteration)",
    )


class SuccessiveHalving(AskTell[SuccessiveHalvingConfig]):
    """Successive halving in brackets of growing epochs."""

    info = Info(
        name="successive_halving",
        title="Successive halving",
        paper="Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, "
        "AISTATS 2016",
        year=2016,
        levels=("structural", "modular"),
        published="uniform samples; each rung keeps the best 1/η and trains them η times as long",
        reconstructed="the fidelity is the number of epochs, each rung a training from scratch under its own schedule; "
        "a bracket's width follows from the budget and the cost of architectures at the cap",
    )

    def setup(self) -> None:
        """Plan the rungs."""
        super().setup()
        problem = self.problem
        least = max(round(self.config.first_rung * problem.full_epochs), 1)
        self.epochs = rung_epochs(problem.full_epochs, least, self.config.factor)
        reference = problem.space.reference
        share = problem.cap / problem.cost(reference).macs
        self.costs = [share * problem.evaluation_cost(reference, epochs) for epochs in self.epochs]
        self.rung = 0
        self.told: list[Evaluation] = []
        """Evaluations of this rung."""
        self.brackets: list[int] = []

    def ask(self) -> list[Trial]:
        """The next rung: the best of the last one, or the first of a new bracket.

        Raises:
            SearchFinished: no further bracket fits the budget.
        """
        if self.told and self.rung + 1 < len(self.epochs):
            kept = max(len(self.told) // self.config.factor, 1)
            ranked = sorted(self.told, key=lambda evaluation: -evaluation.top1)  # stable: ties go to the earlier
            rung = [evaluation.architecture for evaluation in ranked[:kept]]
            self.rung += 1
        else:
            rung = self._bracket()
            self.rung = 0
        self.told = []
        return [Trial(architecture, self.epochs[self.rung]) for architecture in rung]

    def _bracket(self) -> list[Architecture]:
        width = widest(self.problem.ledger.left, self.costs, self.config.factor)
        if not width and self.brackets:
            raise SearchFinished
        self.brackets.append(max(width, 1))
        self.problem.note(bracket_widths=self.brackets, rung_epochs=self.epochs)
        return [self.problem.sample() for _ in range(self.brackets[-1])]

    def tell(self, evaluation: Evaluation) -> None:
        """Add the evaluation to this rung."""
        self.told.append(evaluation)
