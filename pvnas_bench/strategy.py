"""The strategy contract: the interface of a search method.

A strategy is a file with one subclass of `Strategy`. The harness calls `setup` once, then `step` until the budget is
spent, and asks for the `incumbent` after every step. It saves the strategy's attributes, so that the search can resume
in another process, and does everything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from pvnas_bench.problem import Json, Problem, S
from pvnas_bench.space import Architecture, Level
from pvnas_bench.state import CannotBeKept, State, keep, restore
from pvnas_bench.training.search_supernet import SearchSupernet

Role = Literal["search", "random_control", "expert_control"]
GIVEN = ("problem", "config")
"""Attributes set before `setup`."""


class SearchFinished(Exception):
    """Raised by `Strategy.step` when the search is complete before the budget is spent."""


@dataclass(frozen=True)
class Info:
    """Description of a strategy.

    Attributes:
        name: name of the strategy on the command line and in records.
        title, paper, year: its publication; paper is a citation.
        levels: levels of the searched decisions.
        published: parts that follow the publication or its code.
        reconstructed: choices of this benchmark where the publication is silent.
        role: a search method, or a control that is always on the board.
        families: families of spaces it works on (`SearchSpace.family`); empty: all.
        variants: classes by family, for families searched by another class.
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
    """A search method. Subclasses set `info`, name their config class, and define `setup`, `step`, `incumbent`.

    `class Mine(Strategy[MineConfig])` has the hyper-parameters `MineConfig`; a strategy on spaces of blocks, which have
    supernets and cost tables, derives from `Strategy[MineConfig, BlockSpace]`.

    Attributes:
        problem: the problem, its whole interface to the benchmark.
        config: its hyper-parameters.
    """

    info: ClassVar[Info]
    Config: ClassVar[type[StrategyConfig]] = StrategyConfig

    def __init_subclass__(cls, **options: object) -> None:
        """Read `Config` from the brackets of the base class: ``Strategy[MineConfig]``.

        Raises:
            TypeError: the model in the brackets is no `StrategyConfig`.
        """
        super().__init_subclass__(**options)
        arguments = [arg for base in vars(cls).get("__orig_bases__", ()) for arg in get_args(base)]
        named = [getattr(arg, "__bound__", None) or arg for arg in arguments]
        configs = [kind for kind in named if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for config in configs:
            if not issubclass(config, StrategyConfig):
                raise TypeError(f"{cls.__name__}[{config.__name__}]: derive {config.__name__} from StrategyConfig")
            if "Config" not in vars(cls):
                cls.Config = config

    def __init__(self, problem: Problem[S], config: C) -> None:
        self.problem, self.config = problem, config

    def setup(self) -> None:
        """Build the search's objects: supernet, optimisers, samplers. Called once, before the first step."""

    def step(self) -> None:
        """Do one round: one epoch, one batch of trials, one generation. Spends budget.

        Raises:
            BudgetExhausted: the budget is spent; raised by the problem, do not catch it.
            SearchFinished: the search is complete.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def incumbent(self) -> Architecture:
        """The current result of the search, an architecture under the cap.

        Called after `setup` and after every step; it must not change the search.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define incumbent()")

    def front(self) -> Sequence[Architecture]:
        """The non-dominated set of a multi-objective strategy."""
        return ()

    def score(self, architecture: Architecture) -> float | None:
        """Score of an architecture after the search: higher is better; None: unknown.

        On a table the harness scores every architecture and compares the ranking with the truth, free of charge. The
        default uses the strategy's `supernet`, if any.
        """
        return self.supernet_score(architecture)

    def supernet_score(self, architecture: Architecture) -> float | None:
        """Top-1 on search-val with the weights of `self.supernet`; None where there is none."""
        supernet = getattr(self, "supernet", None)
        if not isinstance(supernet, SearchSupernet):
            return None
        return supernet.validate(architecture, self.problem.validation_batches())[0]

    def diagnostics(self) -> Mapping[str, Json]:
        """Facts that are derived when the record asks for them; the others go to `problem.note`, series to `log`."""
        return {}

    def state_dict(self) -> dict[str, State]:
        """State of every attribute that can be saved; see `pvnas_bench.state`.

        `setup` rebuilds the others. Override it, with `load_state_dict`, only where an object's class changes during
        the search.
        """
        state: dict[str, State] = {}
        for name, value in vars(self).items():
            if name not in GIVEN:
                try:
                    state[name] = keep(value, name)
                except CannotBeKept:
                    continue
        return state

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        """Resume from a `state_dict`; called after `setup`."""
        for name, value in state.items():
            setattr(self, name, restore(value, getattr(self, name, None), self.problem.space.parse, name))


AnyStrategy: TypeAlias = Strategy[Any, Any]
"""A strategy with any hyper-parameters and any space: the harness's view."""
