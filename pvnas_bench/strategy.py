"""The strategy contract: what a search method is to the benchmark.

A strategy is a file with one class that derives from `Strategy`. The harness drives it: it calls `setup` once and
`step` until the budget is spent, asks for the `incumbent` after every step, keeps its attributes so that the search can
go on in another process, and does everything else itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from pvnas_bench.problem import Problem, S
from pvnas_bench.space import Architecture, Level
from pvnas_bench.state import CannotBeKept, Json, State, keep, restore
from pvnas_bench.training.search_supernet import SearchSupernet

Role = Literal["search", "random_control", "expert_control"]
GIVEN = ("problem", "config")
"""Attributes that a strategy has from the start."""


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
        variants: by family, the class that searches spaces of it, where that is not the strategy's own class.
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
    variants: "Mapping[str, type[Strategy[Any, Any]]]" = field(default_factory=dict)


class StrategyConfig(BaseModel):
    """Hyper-parameters: frozen, validated, each with its source in its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=StrategyConfig, default=StrategyConfig)


class Strategy(Generic[C, S]):
    """A search method. Subclasses set `info`, name their hyper-parameters, and fill in `setup`, `step`, `incumbent`.

    `class Mine(Strategy[MineConfig])` has hyper-parameters of the class `MineConfig`; a strategy on spaces of blocks,
    which have supernets and cost tables, says `Strategy[MineConfig, BlockSpace]`.

    Attributes:
        problem: all that the strategy may touch.
        config: its hyper-parameters.
    """

    info: ClassVar[Info]
    Config: ClassVar[type[StrategyConfig]] = StrategyConfig

    def __init_subclass__(cls, **options: object) -> None:
        """Take `Config` from the brackets of the base class: ``Strategy[MineConfig]``."""
        super().__init_subclass__(**options)
        arguments = [arg for base in vars(cls).get("__orig_bases__", ()) for arg in get_args(base)]
        named = [getattr(arg, "__bound__", None) or arg for arg in arguments]
        configs = [kind for kind in named if isinstance(kind, type) and issubclass(kind, StrategyConfig)]
        if configs and "Config" not in vars(cls):
            cls.Config = configs[0]

    def __init__(self, problem: Problem[S], config: C) -> None:
        self.problem, self.config = problem, config

    def setup(self) -> None:
        """Build what the search needs: supernet, optimisers, samplers. Called once, before the first step."""

    def step(self) -> None:
        """Do one round: one epoch, one batch of trials, one generation. Spends budget.

        Raises:
            BudgetExhausted: from the problem, when the budget is spent; let it pass.
            SearchFinished: when nothing is left to do.
        """
        raise NotImplementedError

    def incumbent(self) -> Architecture:
        """The architecture that the search would return now, under the cap.

        Called after `setup` and after every step; it changes nothing.
        """
        raise NotImplementedError

    def front(self) -> Sequence[Architecture]:
        """The non-dominated set of a multi-objective strategy."""
        return ()

    def score(self, architecture: Architecture) -> float | None:
        """The worth of an architecture in the eyes of the search, now that it is over: higher is better; None: unknown.

        On a table the harness asks for every architecture and compares the ranking with the truth, at no cost. A
        strategy that has a `supernet` scores by it.
        """
        return self.supernet_score(architecture)

    def supernet_score(self, architecture: Architecture) -> float | None:
        """Top-1 on search-val with the weights of `self.supernet`; None where there is none."""
        supernet = getattr(self, "supernet", None)
        if not isinstance(supernet, SearchSupernet):
            return None
        return supernet.validate(architecture, self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Json]:
        """Facts about the search that are no series (`problem.log` keeps these); kept in the record."""
        return {}

    def state_dict(self) -> dict[str, State]:
        """The state of every attribute that can be kept; see `pvnas_bench.state`.

        `setup` rebuilds the others. Override it, with `load_state_dict`, only where an object's class changes in
        mid-search.
        """
        found: dict[str, State] = {}
        for name, value in vars(self).items():
            if name not in GIVEN:
                try:
                    found[name] = keep(value, name)
                except CannotBeKept:
                    continue
        return found

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        """Go on from a `state_dict`; called after `setup`."""
        for name, value in state.items():
            setattr(self, name, restore(value, getattr(self, name, None), self.problem.space.parse, name))


AnyStrategy: TypeAlias = Strategy[Any, Any]
"""A strategy of any hyper-parameters and any space: what the harness drives."""
