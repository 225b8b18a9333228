"""Black-box methods: they ask for trainings of architectures and are told the accuracies.

A method fills in `ask`, and `tell` where it learns from more than `history`. This class trains the architectures,
remembers every evaluation, and never pays twice for the same one.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pvnas_bench.problem import Evaluation
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.strategy import C, SearchFinished, Strategy

REPEATS = 100
"""Consecutive known architectures after which the search ends."""


@dataclass(frozen=True)
class Trial:
    """An architecture to train, and for how many epochs; None: the protocol's proxy."""

    architecture: Architecture
    epochs: int | None = None


Asked = Architecture | Trial | Sequence[Architecture | Trial]


class AskTell(Strategy[C, SearchSpace]):
    """A strategy that sees only the accuracy of an architecture after a short training.

    Attributes:
        history: every evaluation, in order.
    """

    history: list[Evaluation]

    def setup(self) -> None:
        """Start with an empty history; a subclass that extends this calls it first."""
        self.history = []
        self.waiting: deque[tuple[Architecture, int]] = deque()
        """Trials asked for and not told yet: (architecture, epochs)."""
        self.known: dict[tuple[Architecture, int], Evaluation] = {}
        self.best: Evaluation | None = None
        self.fallback = self.problem.sample()

    def ask(self) -> Asked:
        """The next architecture to train, under the cap, or several of them, which may be trained side by side.

        A `Trial` names a fidelity other than the protocol's proxy; an empty list ends the search. The next
        call follows once all results are told.
        """
        raise NotImplementedError

    def tell(self, evaluation: Evaluation) -> None:
        """Receive an evaluation, in the order of `ask`; `history` already has it."""

    def step(self) -> None:
        """Train the next architecture that is not known yet.

        Raises:
            SearchFinished: there was none among `REPEATS` architectures, or nothing was asked for.
        """
        for _ in range(REPEATS):
            if not self.waiting:
                self.waiting.extend(self._trials(self.ask()))
            if not self.waiting:
                break
            architecture, epochs = self.waiting[0]
            found = self.known.get((architecture, epochs))
            if found is None:
                self.problem.prefetch([a for a, e in self.waiting if e == epochs], epochs)
            evaluation = found or self.problem.evaluate(architecture, epochs)
            self.waiting.popleft()
            best = self._remember(evaluation)
            self.tell(evaluation)
            if found is None:
                self.problem.log(val_top1=best.top1)
                return
        raise SearchFinished

    def _trials(self, asked: Asked) -> list[tuple[Architecture, int]]:
        several = [asked] if isinstance(asked, Architecture | Trial) else asked
        trials = [one if isinstance(one, Trial) else Trial(one) for one in several]
        return [(t.architecture, self.problem.proxy_epochs if t.epochs is None else t.epochs) for t in trials]

    def _remember(self, evaluation: Evaluation) -> Evaluation:
        """Add to the history; update the best: longest trained, then most accurate, then earliest."""
        self.history.append(evaluation)
        self.known[evaluation.architecture, evaluation.epochs] = evaluation
        if self.best is None or (evaluation.epochs, evaluation.top1) > (self.best.epochs, self.best.top1):
            self.best = evaluation
        return self.best

    def incumbent(self) -> Architecture:
        """The most accurate of the longest trained architectures; a random one before the first evaluation."""
        return self.best.architecture if self.best else self.fallback
