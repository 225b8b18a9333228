"""Trained models of every kind, each trained once for an epoch on the tiny data set."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from operator_space import SPACE as OPERATOR_SPACE

from pvnas_bench import registry
from pvnas_bench.deploy.fit import Fit, FitRequest, Fitted
from pvnas_bench.space import CellSpace, SearchSpace, cell_options

OPERATOR_FILE = str(Path(__file__).parents[1] / "support" / "operator_space.py")
OPERATORS = tuple(OPERATOR_SPACE.experts)
SPACES = tuple(space.name for space in registry.all_spaces())

Trained = Callable[[str], Fitted]


def small(space: SearchSpace) -> dict[str, str]:
    """Options of a hand-designed network on the smallest input of a space, as shallow and narrow as there is."""
    if isinstance(space, CellSpace):
        return cell_options(steps=8, cells=2, channels=32, operators=("max3", "t3d2", "avg3"))
    options = space.options(next(iter(space.experts.values())))
    for decision in space.decisions:
        if decision.name.startswith(("frames", "size", "depth", "expansion")) and decision.name in options:
            options[decision.name] = decision.options[0]
    return options


@pytest.fixture(scope="session")
def trained(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of an operator, or of the cheapest expert of a space. Only read it."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def of(kind: str) -> Fitted:
        if kind in OPERATORS:
            space, architecture = OPERATOR_FILE, str(OPERATOR_SPACE.experts[kind])
        else:
            known = registry.get_space(kind)
            space, architecture = kind, str(known.from_options(small(known)))
        request = FitRequest(
            architecture,
            space=space,
            dataset=str(tiny_dataset),
            protocol="quick" if kind != "st_micro" else "micro",
            epochs=1,
            output=root / kind,
            threads=1,
        )
        return Fit(request)()

    return of
