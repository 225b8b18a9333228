"""Lists of what has a name: strategies, spaces, data sets, protocols."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pvnas_bench.strategy import StrategyConfig


@dataclass(frozen=True)
class StrategyItem:
    """A strategy.

    Attributes:
        role: search, or one of the controls.
        levels: what it searches.
        families: families of spaces that it works on; empty: all.
        published: parts that follow the publication.
        reconstructed: parts that the publication does not state.
        settings: default and description of each hyper-parameter.
    """

    name: str
    description: str
    role: str
    levels: tuple[str, ...]
    families: tuple[str, ...]
    paper: str
    published: str
    reconstructed: str
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class SpaceItem:
    """A search space.

    Attributes:
        caps: largest MACs of a network, by name; the first is the default.
        architectures: number of architectures.
    """

    name: str
    description: str
    version: int
    family: str
    caps: Mapping[str, int]
    architectures: int


@dataclass(frozen=True)
class DatasetItem:
    """A data set of the package."""

    name: str
    description: str


@dataclass(frozen=True)
class ProtocolItem:
    """A protocol: everything that must be equal for results to be comparable.

    Attributes:
        budget: search budget in reference trainings.
        settings: every setting.
    """

    name: str
    description: str
    version: int
    budget: float
    settings: Mapping[str, Any]


def list_strategies() -> list[StrategyItem]:
    """The strategies of the package and of installed plug-ins."""
    from pvnas_bench import registry

    return [
        StrategyItem(
            name=kind.info.name,
            description=f"{kind.info.title} ({kind.info.year})",
            role=kind.info.role,
            levels=tuple(kind.info.levels),
            families=tuple(kind.info.families),
            paper=kind.info.paper,
            published=kind.info.published,
            reconstructed=kind.info.reconstructed,
            settings=_settings(kind.Config),
        )
        for kind in registry.all_strategies()
    ]


def _settings(config: "type[StrategyConfig]") -> dict[str, dict[str, Any]]:
    return {
        name: {"default": field.default, "description": field.description or ""}
        for name, field in config.model_fields.items()
    }


def list_spaces() -> list[SpaceItem]:
    """The search spaces of the package and of installed plug-ins."""
    from pvnas_bench import registry

    return [
        SpaceItem(space.name, space.description, space.version, space.family, dict(space.caps), space.size)
        for space in registry.all_spaces()
    ]


def list_datasets() -> list[DatasetItem]:
    """The data sets that come with the package; others are given by a path."""
    from pvnas_bench import video

    return [DatasetItem(name, description) for name, description in video.list_datasets()]


def list_protocols() -> list[ProtocolItem]:
    """The protocols."""
    from pvnas_bench.protocol import PROTOCOLS

    return [
        ProtocolItem(one.name, one.description, one.version, one.budget, one.settings) for one in PROTOCOLS.values()
    ]
