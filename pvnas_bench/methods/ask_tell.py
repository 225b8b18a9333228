"""Black-box search by ask and tell: a method asks for trainings of architectures and is told their accuracies.

A method implements `ask`, and `tell` if `history` is not enough. The base class trains the architectures, records every
evaluation, and never trains the same network twice.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pvnas_bench.problem import Evaluation
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.strategy import C, SearchFinished, Strategy

REPEATS = 100
"""Maximum number of consecutive architectures of known networks; then the search ends."""


@dataclass(frozen=True)
class Trial:
    """An architecture to train, with its number of epochs; None: the protocol's proxy epochs."""

    architecture: Architecture
    epochs: int | None = None


Asked = Architecture | Trial | Sequence[Architecture | Trial]


class AskTell(Strategy[C, SearchSpace]):
    """Base class of strategies that use only the accuracy of architectures after a short training.

    Attributes:
        history: all evaluations, in order.
    """

    history: list[Evaluation]

    def setup(self) -> None:
        """Start with an empty history; a subclass that overrides this calls it first."""
        self.history = []
        self.waiting: deque[tuple[Architecture, int]] = deque()
        """Pending trials, asked for and not yet told: (architecture, epochs)."""
        self.known: dict[tuple[Architecture, int], Evaluation] = {}
        """Evaluations by (canonical architecture, epochs): one for each network."""
        self.best: Evaluation | None = None
        self.fallback = self.problem.sample()

    def ask(self) -> Asked:
        """Return the next architecture to train, under the cap, or several, which may be trained in parallel.

        A `Trial` sets another number of epochs than the protocol's proxy; an empty list ends the search. The next
        call follows once all results are told.
        """
        raise NotImplementedError

    def tell(self, evaluation: Evaluation) -> None:
        """Receive an evaluation, in the order of `ask`; `history` already contains it."""

    def step(self) -> None:
        """Train the next architecture whose network has not been trained yet.

        Raises:
            SearchFinished: `ask` returned an empty list, or `REPEATS` consecutive networks were known.
        """
        for _ in range(REPEATS):
            if not self.waiting:
                self.waiting.extend(self._trials(self.ask()))
            if not self.waiting:
                break
            architecture, epochs = self.waiting[0]
            earlier = self.known.get((self.problem.space.canonical(architecture), epochs))
            if earlier is None:
                self.problem.prefetch([a for a, e in self.waiting if e == epochs], epochs)
                evaluation = self.problem.evaluate(architecture, epochs)
            else:
                evaluation = replace(earlier, architecture=architecture)
            self.waiting.popleft()
            best = self._remember(evaluation)
            self.tell(evaluation)
            if earlier is None:
                self.problem.log(val_top1=best.top1)
                return
        raise SearchFinished

    def _trials(self, asked: Asked) -> list[tuple[Architecture, int]]:
        several = [asked] if isinstance(asked, Architecture | Trial) else asked
        trials = [one if isinstance(one, Trial) else Trial(one) for one in several]
        return [(t.architecture, self.problem.proxy_epochs if t.epochs is None else t.epochs) for t in trials]

    def _remember(self, evaluation: Evaluation) -> Evaluation:
        """Add an evaluation to the history; update the best: most epochs, then most accurate, then earliest."""
        self.history.append(evaluation)
        self.known[self.problem.space.canonical(evaluation.architecture), evaluation.epochs] = evaluation
        if self.best is None or (evaluation.epochs, evaluation.top1) > (self.best.epochs, self.best.top1):
            self.best = evaluation
        return self.best

    def incumbent(self) -> Architecture:
        """The most accurate of the architectures trained longest; a random one before the first evaluation."""
        return self.best.architecture if self.best else self.fallback
