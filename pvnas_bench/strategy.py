"""The strategy contract: what a search method is to the benchmark.

A strategy is a file with one class that derives from `Strategy`. The harness drives it: it calls `setup` once and
`step` until the budget is spent, asks for the `incumbent` after every step, and does everything else itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from pvnas_bench.space import Architecture, Level

if TYPE_CHECKING:
    from pvnas_bench.problem import Problem

Role = Literal["search", "random_control", "expert_control"]


class SearchFinished(Exception):
    """Raised by `Strategy.step` when there is nothing left to do, though the budget is not spent."""


@dataclass(frozen=True)
class Info:
    """What a strategy is.

    Attributes:
        name: of the strategy on the command line and in records.
        title, paper, year: of its publication; paper is a citation.
        levels: the decisions it searches.
        published: what follows the publication or its code.
        reconstructed: what is a choice of this benchmark, as the publication does not tell.
        role: a search method, or a control that is always on the board.
        families: of spaces that it works on (`SearchSpace.family`); empty: all.
    """

    name: str
    title: str
    paper: str
    year: int
    levels: tuple[Level, ...]
    published: str
    reconstructed: str = ""
    role: Role = "search"
    families: tuple[str, ...] = ()


class StrategyConfig(BaseModel):
    """Hyper-parameters: frozen, validated, each with its source in its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Strategy:
    """A search method. Subclasses set `info` and `Config`, and fill in `setup`, `step` and `incumbent`."""

    info: ClassVar[Info]
    Config: ClassVar[type[StrategyConfig]] = StrategyConfig
    trial_based: ClassVar[bool] = False
    """Whether it trains nothing itself: all that it learns is what `problem.evaluate` tells. On a table hundreds of
    seeds of such a search share a process."""

    def __init__(self, config: StrategyConfig) -> None:
        self.config: Any = config

    def setup(self, problem: "Problem") -> None:
        """Build what the search needs: supernet, optimisers, samplers. Called once, before the first step."""
        raise NotImplementedError

    def step(self) -> None:
        """Do one round: one epoch, one batch of trials, one generation. Spends budget.

        Raises:
            BudgetExhausted: from the problem, when the budget is spent; let it pass.
            SearchFinished: when nothing is left to do.
        """
        raise NotImplementedError

    def incumbent(self) -> Architecture:
        """What the search would return now; under the cap. Asked for after `setup` and after every step."""
        raise NotImplementedError

    def front(self) -> Sequence[Architecture]:
        """The non-dominated set that a multi-objective strategy stands for."""
        return ()

    def score(self, architecture: Architecture) -> float | None:
        """What the search, now that it is over, holds an architecture to be worth: higher is better; None: no idea.

        On a table the harness asks for every architecture and compares the ranking with the truth, at no cost.
        """
        return None

    def diagnostics(self) -> Mapping[str, Any]:
        """JSON values about the search, kept in the record."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a new object needs to go on from here: tensors, numbers, strings, lists and dicts of them."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`; called after `setup`."""
        raise NotImplementedError
