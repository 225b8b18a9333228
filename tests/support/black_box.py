"""Driver of a black-box method on synthetic accuracies, without training."""

from collections.abc import Callable
from pathlib import Path

from driven import Driven

from pvnas_bench import Architecture, Evaluation

Accuracy = Callable[[Architecture, int], float]


class BlackBox(Driven):
    """A strategy with known accuracies; `asked` lists its evaluations with their epochs."""

    def __init__(
        self, strategy: str, dataset: Path, accuracy: Accuracy, budget: float = 1e6, seed: int = 0, **settings: object
    ) -> None:
        super().__init__(strategy, dataset, budget, seed, **settings)
        self.asked: list[tuple[Architecture, int]] = []
        problem = self.problem

        def evaluate(architecture: Architecture, epochs: int | None = None) -> Evaluation:
            epochs = epochs or problem.proxy_epochs
            assert problem.feasible(architecture)
            self.asked.append((architecture, epochs))
            problem.ledger.require(
                cost := round(problem.evaluation_cost(architecture, epochs) * problem.ledger.reference)
            )
            problem.ledger.charge(cost)
            known = problem.cost(architecture)
            return Evaluation(architecture, accuracy(architecture, epochs), 1.0, epochs, known.macs, known.parameters)

        problem.evaluate = evaluate  # type: ignore[method-assign]
