"""Trained models of every kind, each trained once for an epoch on the tiny data set."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from operator_space import SPACE as OPERATOR_SPACE

from pvnas_bench import registry
from pvnas_bench.deploy.fit import Fit, FitRequest, Fitted

OPERATOR_FILE = str(Path(__file__).parents[1] / "support" / "operator_space.py")
OPERATORS = tuple(OPERATOR_SPACE.experts)
SPACES = tuple(space.name for space in registry.all_spaces())

Trained = Callable[[str], Fitted]


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
            space, architecture = kind, str(min(known.experts.values(), key=str))
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
