"""Black-box methods: they name architectures to train, and hear how good each is.

A method fills in `ask`, and `tell` where it learns from more than `history`. This class trains what was asked for,
remembers every answer, and never pays twice for the same one.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pvnas_bench.problem import Evaluation
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.strategy import C, SearchFinished, Strategy

REPEATS = 100
"""Architectures asked for in a row, all known already, after which a method has nothing left to ask."""


@dataclass(frozen=True)
class Trial:
    """An architecture to train, and for how many epochs; None: the protocol's proxy."""

    architecture: Architecture
    epochs: int | None = None


Asked = Architecture | Trial | Sequence[Architecture | Trial]


class AskTell(Strategy[C, SearchSpace]):
    """A strategy that sees nothing of an architecture but its accuracy after a short training.

    Attributes:
        history: every answer, in order.
    """

    history: list[Evaluation]

    def setup(self) -> None:
        """Begin without answers; a subclass that extends it calls it first."""
        self.history = []
        self.waiting: deque[tuple[Architecture, int]] = deque()
        """Asked for and not told yet."""
        self.known: dict[tuple[Architecture, int], Evaluation] = {}
        self.best: Evaluation | None = None
        self.fallback = self.problem.sample()

    def ask(self) -> Asked:
        """The next architecture to train, under the cap, or several of them, which may be trained side by side.

        A `Trial` names a fidelity other than the protocol's proxy; an empty list ends the search. Called when all that
        it named before was told.
        """
        raise NotImplementedError

    def tell(self, evaluation: Evaluation) -> None:
        """Hear an answer, in the order of `ask`; `history` has it already."""

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
        """Add to the history; the most accurate of those trained longest, the first of equals."""
        self.history.append(evaluation)
        self.known[evaluation.architecture, evaluation.epochs] = evaluation
        if self.best is None or (evaluation.epochs, evaluation.top1) > (self.best.epochs, self.best.top1):
            self.best = evaluation
        return self.best

    def incumbent(self) -> Architecture:
        """The most accurate architecture of those trained longest; a random one before the first answer."""
        return self.best.architecture if self.best else self.fallback
