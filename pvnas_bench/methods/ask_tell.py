"""Black-box methods: they name an architecture to train, and hear how good it is.

A method fills in `ask`, and `tell` where it learns from more than `history`. This class trains what was asked for,
remembers every answer, and never pays twice for the same one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pvnas_bench.problem import Evaluation, Problem
from pvnas_bench.space import Architecture
from pvnas_bench.strategy import SearchFinished, Strategy

REPEATS = 100
"""Asks in a row, all for what is known already, after which a method has nothing left to ask."""


@dataclass(frozen=True)
class Trial:
    """What to train, and for how many epochs; None: the protocol's proxy."""

    architecture: Architecture
    epochs: int | None = None


class AskTell(Strategy):
    """A strategy that sees nothing of an architecture but its accuracy after a short training."""

    trial_based = True
    problem: Problem
    history: list[Evaluation]
    """Everything that was told, in order."""

    def setup(self, problem: Problem) -> None:
        self.problem, self.history = problem, []
        self._known: dict[tuple[Architecture, int], Evaluation] = {}
        self._best: Evaluation | None = None
        self.fallback = problem.sample(problem.rng("sample"))
        self.prepare()

    def prepare(self) -> None:
        """What a method needs before its first `ask`."""

    def ask(self) -> Architecture | Trial:
        """The next architecture to train, under the cap; a `Trial` for a fidelity other than the protocol's proxy."""
        raise NotImplementedError

    def upcoming(self) -> Iterable[Architecture]:
        """What `ask` will return next, whatever it is told, at the fidelity of the last; it changes no state.

        Where trials are trained side by side, these are. May be without end.
        """
        return ()

    def tell(self, evaluation: Evaluation) -> None:
        """The answer to the last `ask`; `history` has it already."""

    def step(self) -> None:
        """Train the next architecture that is not known yet.

        Raises:
            SearchFinished: there was none in `REPEATS` asks.
        """
        for _ in range(REPEATS):
            asked = self.ask()
            trial = asked if isinstance(asked, Trial) else Trial(asked)
            epochs = trial.epochs or self.problem.proxy_epochs
            found = self._known.get((trial.architecture, epochs))
            if found is None:
                self.problem.prefetch(chain([trial.architecture], self.upcoming()), epochs)
            evaluation = found or self.problem.evaluate(trial.architecture, epochs)
            best = self._remember(evaluation)
            self.tell(evaluation)
            if found is None:
                self.problem.log(val_top1=best.top1)
                return
        raise SearchFinished

    def _remember(self, evaluation: Evaluation) -> Evaluation:
        """Add to the history; the most accurate of those trained longest, the first of equals."""
        self.history.append(evaluation)
        self._known[evaluation.architecture, evaluation.epochs] = evaluation
        best = self._best
        if best is None or (evaluation.epochs, evaluation.top1) > (best.epochs, best.top1):
            self._best = best = evaluation
        return best

    def incumbent(self) -> Architecture:
        return self._best.architecture if self._best else self.fallback

    def state_dict(self) -> dict[str, Any]:
        return {"history": [[str(e.architecture), e.top1, e.loss, e.epochs] for e in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history, self._known, self._best = [], {}, None
        for told in state["history"]:
            self._remember(self.problem.restore(*told))
