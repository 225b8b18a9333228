"""Write the lowest version of each dependency that pyproject.toml claims, as a file of constraints for pip."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def floor(requirement: Requirement) -> Version:
    """The lowest version that a requirement admits; ValueError where it claims none."""
    bounds = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=")]
    if not bounds or max(bounds) not in requirement.specifier:
        raise ValueError(f"{str(requirement)!r} in pyproject.toml claims no lowest version: expected >= or ==")
    return max(bounds)


def constraints(project: dict[str, object], extras: tuple[str, ...] = ("test",)) -> list[str]:
    """One line of pip's constraints, ``name==version``, for each requirement that applies to this platform."""
    dependencies, optional = project["dependencies"], project["optional-dependencies"]
    assert isinstance(dependencies, list) and isinstance(optional, dict)
    requirements = [Requirement(line) for line in dependencies]
    waiting = list(extras)
    for extra in waiting:
        for requirement in map(Requirement, optional[extra]):
            if requirement.name == project["name"]:  # an extra that includes others
                waiting += sorted(requirement.extras - {*waiting})
            else:
                requirements.append(requirement)
    return [f"{r.name}=={floor(r)}" for r in requirements if r.marker is None or r.marker.evaluate()]


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    Path(sys.argv[1]).write_text("\n".join(constraints(project)) + "\n", encoding="utf-8")
