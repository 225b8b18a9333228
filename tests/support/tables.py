"""A table of `tiny_space`'s six architectures, trained once on the tiny data set."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pvnas_bench import registry
from pvnas_bench.grid.table_build import TableRecipe, build
from pvnas_bench.table import Table, find

SPACE = Path(__file__).with_name("tiny_space.py")


@dataclass(frozen=True)
class Built:
    """A table, its folder and its build."""

    table: Table
    folder: Path
    recipe: TableRecipe


@pytest.fixture(scope="session")
def built(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """All six architectures with seed 0, two of them also with seed 1; read-only."""
    folder = tmp_path_factory.mktemp("tables")
    recipe = TableRecipe(str(SPACE), str(tiny_dataset), "micro")
    for _ in build(recipe, folder):
        pass
    for _ in build(recipe, folder, seeds=(1,), sample=2):
        pass
    return Built(find(registry.get_space(str(SPACE)), str(tiny_dataset), folder), folder, recipe)
