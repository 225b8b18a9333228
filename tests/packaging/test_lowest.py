"""The versions that `tox -e lowest` installs."""

import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

from .lowest import PYPROJECT, constraints, floor


@pytest.mark.parametrize(
    ("requirement", "lowest"),
    [
        ("one>=1.2", "1.2"),
        ("one>=1.2,<3,!=1.3", "1.2"),
        ("one==3.0", "3.0"),
        ("one~=2.1", "2.1"),
        ("one>=1.2,>=1.10", "1.10"),
    ],
)
def test_the_floor_of_a_range(requirement: str, lowest: str) -> None:
    assert str(floor(Requirement(requirement))) == lowest


@pytest.mark.parametrize("requirement", ["one", "one<3", "one>2", "one>=1.2,!=1.2"])
def test_a_range_without_a_floor_is_named(requirement: str) -> None:
    with pytest.raises(ValueError, match="claims no lowest version"):
        floor(Requirement(requirement))


def test_what_another_platform_needs_is_left_out() -> None:
    project: dict[str, Any] = {
        "name": "this",
        "dependencies": ["here>=1; python_version >= '3'", "elsewhere>=1; python_version < '3'"],
        "optional-dependencies": {"test": ["tool>=2"], "other": ["further>=3"]},
    }
    assert constraints(project) == ["here==1", "tool==2"]


def test_every_dependency_of_this_package_has_a_floor() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    claimed = {line.split("==")[0] for line in constraints(project)}
    assert {"torch", "numpy", "optuna", "pytest"} <= claimed
    needed = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]
    expected = {one.name for one in needed if one.marker is None or one.marker.evaluate()} - {project["name"]}
    assert expected <= claimed


def test_an_extra_may_include_others() -> None:
    optional = {"test": ["tool>=2", "this[export,test]"], "export": ["further>=3"]}
    assert constraints({"name": "this", "dependencies": [], "optional-dependencies": optional}) == [
        "tool==2",
        "further==3",
    ]
