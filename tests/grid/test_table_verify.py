from pathlib import Path

import made_up
import pytest
from tables import SPACE, Built

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.table_build import TableRecipe, build
from pvnas_bench.grid.table_verify import Pair, judge, pairs
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.table import Table, find

MICRO = registry.get_space("st_micro")
CONTENT = made_up.content(MICRO, seeds=2, noise=0.03)
assert CONTENT.about is not None
TABLE = Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings)


def test_repeated_trainings_are_equal(built: Built) -> None:
    found = list(pairs(built.table, str(SPACE), built.recipe.dataset, 2, seed=0))
    assert len(found) == 2
    assert all(pair.equal and pair.difference == 0 for pair in found)


def test_a_table_of_another_recipe_is_refused(built: Built, tmp_path: Path) -> None:
    settings = {**built.table.about.protocol.settings, "learning_rate": 1.0}
    protocol = built.table.about.protocol.model_copy(update={"settings": settings})
    about = built.table.about.model_copy(update={"protocol": protocol})
    other = Table(about, built.table.sessions, built.table.trainings(built.table.architectures[0]))
    with pytest.raises(UsageError, match="another recipe"):
        next(pairs(other, str(SPACE), built.recipe.dataset, 1, seed=0))


def judged(shift: float, seed: int) -> bool:
    """Return True if trainings with another seed, shifted in accuracy, pass as those of the table."""
    told = CONTENT.trainings[:20]
    again = [t for t in CONTENT.trainings if t.seed == seed][:20]
    moved = [
        Pair(one, other._replace(test_top1=other.test_top1 + shift)) for one, other in zip(told, again, strict=True)
    ]
    return judge(TABLE, moved).agrees


def test_other_seeds_agree_and_other_accuracies_do_not() -> None:
    assert judged(0.0, seed=0)
    assert judged(0.0, seed=1)
    assert not judged(0.10, seed=0)
    assert not judged(-0.10, seed=1)


def test_without_a_second_seed_the_spread_is_not_known() -> None:
    assert CONTENT.about is not None
    single = Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings[:500])
    with pytest.raises(UsageError, match="two seeds"):
        judge(single, [Pair(CONTENT.trainings[0], CONTENT.trainings[0])])


def test_a_table_of_a_protocol_in_a_file_is_verified_and_searched_without_the_file(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "micro"\nepochs = 2\nproxy_epochs = 2\n')
    list(build(TableRecipe(str(SPACE), str(tiny_dataset), str(file)), tmp_path / "tables"))
    file.unlink()
    table = find(registry.get_space(str(SPACE)), str(tiny_dataset), tmp_path / "tables")
    (pair,) = pairs(table, str(SPACE), str(tiny_dataset), sample=1, seed=0)
    assert pair.equal
    request = Request(
        "random_search",
        space=str(SPACE),
        dataset=str(tiny_dataset),
        tabular=True,
        tables=tmp_path / "tables",
        results=tmp_path / "runs",
    )
    record, _ = run(request)
    assert (record.status, record.protocol.name, record.protocol.settings["epochs"]) == ("ok", "mine", 2)
