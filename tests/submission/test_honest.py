"""Honest submissions agree: of every kind of strategy, looked up and trained, on several numbers of threads."""

from pathlib import Path
from typing import Any

import planted
import pytest

from pvnas_bench.submission.verify import Repeat, verify
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import default_folder
from pvnas_bench.table.store import Files, to_parquet

from .conftest import EXAMPLES, LOOKED_UP, TRAINED, Make, loaded


def verified(folder: Path, **options: Any) -> tuple[str, ...]:
    """The notes on a submission that agrees."""
    verdict = verify(folder, Repeat(**options))
    assert verdict.disagreements == ()
    assert verdict.exit_code == 0
    return verdict.notes


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        pytest.param("random_search", {}, marks=pytest.mark.long),
        ("regularized_evolution", {"dataset": "synthetic_motion"}),
        pytest.param("expert", {"settings": {"network": "tsm"}}, marks=pytest.mark.long),
    ],
)
def test_strategies_of_the_package_on_a_table(make: Make, strategy: str, options: dict[str, Any]) -> None:
    notes = verified(make(strategy, **{**LOOKED_UP, **options}))
    assert sum("equal to the last digit" in note for note in notes) == 1


@pytest.mark.long
def test_a_strategy_of_the_package_on_a_surrogate(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = planted.content(40)
    assert content.about is not None
    files = Files(tmp_path / default_folder(), content.about.stem)
    write_atomically(files.parquet, to_parquet(content))
    on_sample = {"space": planted.SPACE, "dataset": "made_up", "tabular": True, "threads": 1}
    folder = make("successive_halving", **on_sample)
    assert loaded(folder)[0].surrogate
    assert verify(folder, tables=files.folder).disagreements == ()
    content.trainings.pop()
    write_atomically(files.parquet, to_parquet(content))
    assert "the table here is surrogate" in str(verify(folder, tables=files.folder).disagreements)


@pytest.mark.long
def test_several_seeds_of_a_strategy_of_the_package(of_package: Path) -> None:
    assert sum("equal to the last digit" in note for note in verified(of_package, cells=5)) == 2


def test_a_plug_in_on_a_table(looked_up: Path) -> None:
    assert sum("equal to the last digit" in note for note in verified(looked_up, cells=2)) == 2


def test_a_plug_in_with_changed_hyper_parameters(make: Make, hill_climb: Path) -> None:
    folder = make(hill_climb, settings={"rate": "0.25"}, **LOOKED_UP)
    assert loaded(folder)[0].strategy.entry == "hill_climb[rate=0.25]"
    verified(folder)


def test_a_plug_in_that_imports_its_neighbour(
    make: Make, hill_climb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moves_of_mine.py").write_text("def changed(problem, parent):\n    return problem.mutate(parent)\n")
    text = hill_climb.read_text(encoding="utf-8").replace(
        "self.problem.mutate(self.best.architecture, rate=self.config.rate or None)",
        "changed(self.problem, self.best.architecture)",
    )
    (tmp_path / "mine.py").write_text("from moves_of_mine import changed\n" + text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = make(tmp_path / "mine.py", **LOOKED_UP)
    assert {path.name for path in (folder / "strategy").iterdir()} == {"mine.py", "moves_of_mine.py"}
    monkeypatch.undo()
    verified(folder)


@pytest.mark.long
def test_a_plug_in_that_trains(trained: Path, tiny_dataset: Path) -> None:
    notes = verified(trained, cells=2, datasets=(tiny_dataset,))
    assert sum("equal to the last digit" in note for note in notes) == 2


@pytest.mark.long
def test_a_gradient_search_that_trains(make: Make, tiny_dataset: Path) -> None:
    folder = make(EXAMPLES / "gradient.py", dataset=str(tiny_dataset), **TRAINED)
    verified(folder, datasets=(tiny_dataset,))


@pytest.mark.long
def test_a_run_on_two_threads_repeated_on_as_many_and_on_one(make: Make, tiny_dataset: Path) -> None:
    folder = make("random_sampling", dataset=str(tiny_dataset), **{**TRAINED, "threads": 2})
    (note,) = (note for note in verified(folder, datasets=(tiny_dataset,)) if "repeated" in note)
    assert "equal to the last digit" in note
    (note,) = (note for note in verified(folder, datasets=(tiny_dataset,), threads=1) if "repeated" in note)
    assert "the runs differ in threads" in note


@pytest.mark.long
def test_in_bfloat16_and_not_deterministic(make: Make, tiny_dataset: Path) -> None:
    options = {**TRAINED, "precision": "bfloat16", "deterministic": False}
    folder = make("random_sampling", dataset=str(tiny_dataset), **options)
    verified(folder, datasets=(tiny_dataset,))


def test_a_completed_checklist_still_agrees(looked_up: Path, copied: Any) -> None:
    folder = copied(looked_up)
    file = folder / "checklist.md"
    lines = file.read_text(encoding="utf-8").splitlines()
    done = [f"{line.replace('[ ]', '[x]').partition('. **To')[0]}: done." if "[ ]" in line else line for line in lines]
    file.write_text("\n".join(done) + "\n", encoding="utf-8")
    assert not any("checklist" in note for note in verified(folder, cells=0))
