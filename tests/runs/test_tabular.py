"""A search on a table equals the search that trains, without training."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import pytest
from tables import SPACE, Built

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, to_parquet

BUDGET = 5.0


def request(built: Built, strategy: str, results: Path, **options: Any) -> Request:
    values = {"budget": BUDGET, "protocol": "micro", "tables": built.folder, "threads": 1, **options}
    return Request(strategy, space=str(SPACE), dataset=built.recipe.dataset, results=results, **values)


def steps(record: records.Record) -> list[tuple[int, float, str, float | None]]:
    return [(s.step, s.cost, s.incumbent, s.metrics.get("val_top1")) for s in record.trajectory]


@pytest.mark.parametrize("strategy", ["random_search", "regularized_evolution", "local_search"])
def test_the_trajectory_and_the_charge_are_those_of_real_trainings(built: Built, strategy: str, tmp_path: Path) -> None:
    # The run's seed 0 selects the trainings of seed 0; for architectures with two seeds possibly the other.
    single = built.folder.parent / "single"
    table = built.table
    content = made_up.Content(table.about, list(table.sessions), [table.trainings(a)[0] for a in table.architectures])
    write_atomically(Files(single, table.about.stem).parquet, to_parquet(content))
    trained, _ = run(request(built, strategy, tmp_path / "trained"))
    looked, _ = run(request(built, strategy, tmp_path / "looked", tabular=True, tables=single))
    assert trained.status == looked.status == "ok"
    assert len(trained.trajectory) > 3
    assert steps(trained) == steps(looked)
    for name in ("macs", "samples", "architectures_evaluated", "reference_trainings", "overshoot"):
        assert getattr(trained.search, name) == getattr(looked.search, name)
    assert trained.board[:2] == looked.board[:2]
    assert trained.board[2] != looked.board[2]  # never on one leaderboard


def test_an_evaluation_is_one_of_the_table_and_the_same_throughout_a_run(built: Built, tmp_path: Path) -> None:
    seen = set()
    both = next(a for a in built.table.architectures if len(built.table.trainings(a)) == 2)
    for seed in range(12):
        problem = Search(
            Setup(request(built, "random_search", tmp_path, tabular=True, seed=seed), Observer()), Observer()
        ).problem
        architecture = problem.space.parse(both)
        first, short = problem.evaluate(architecture), problem.evaluate(architecture, 3)
        assert problem.evaluate(architecture) is first
        match = [t for t in built.table.trainings(both) if (t.val_top1[-1], t.val_loss[-1]) == (first.top1, first.loss)]
        assert len(match) == 1
        assert (short.top1, short.loss, short.epochs) == (match[0].val_top1[2], match[0].val_loss[2], 3)
        seen.add(match[0].seed)
    assert seen == {0, 1}


def test_the_clock_is_simulated_and_the_regret_known(built: Built, tmp_path: Path) -> None:
    record, _ = run(request(built, "random_search", tmp_path, tabular=True))
    expected = 0.0
    for step in record.trajectory:
        assert step.wall >= expected
        assert step.metrics["regret"] == pytest.approx(built.table.regret(step.incumbent))
        expected = step.wall
    assert record.search.wall_seconds > record.search.seconds["table"] > 0
    assert record.outcome is not None
    told = built.table.trainings(record.outcome.architecture)
    assert [t.test_top1 for t in record.outcome.trained] == [t.test_top1 for t in told]


def test_a_table_that_is_not_complete_is_searched_only_if_asked(built: Built, tmp_path: Path) -> None:
    table = built.table
    kept = table.architectures[:4]
    part = made_up.Content(table.about, list(table.sessions), [table.trainings(a)[0] for a in kept])
    write_atomically(Files(tmp_path / "part", table.about.stem).parquet, to_parquet(part))
    options = {"tabular": True, "tables": tmp_path / "part"}
    with pytest.raises(UsageError, match=r"lacks 2 of 6 architectures, such as \S+: build them"):
        run(request(built, "random_search", tmp_path, **options))
    record, _ = run(request(built, "random_search", tmp_path, partial=True, budget=20.0, **options))
    assert record.status == "ok"
    assert {step.incumbent for step in record.trajectory} <= set(kept)
    assert record.trajectory[-1].metrics["regret"] >= 0


def test_no_clip_is_opened_unless_a_strategy_trains_on_it(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise UsageError("the clips are elsewhere")

    monkeypatch.setattr("pvnas_bench.runs.clips.open_dataset", gone)
    for strategy in ("random_search", "random_sampling"):
        record, _ = run(request(built, strategy, tmp_path, tabular=True))
        assert record.status == "ok"
    with pytest.raises(
        UsageError, match=r"spos trains on clips, which a table does not contain: the clips are elsewhere"
    ) as error:
        run(request(built, "spos", tmp_path, tabular=True))
    name = built.table.about.data.name
    assert f"give --dataset the path of the folder {name!r}, or of {name}.csv or {name}.toml, with the " in str(
        error.value
    )
    assert f"fingerprint {built.table.about.data.fingerprint[:12]}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("synthetic_motion", "synthetic_motion"),
        ("words", "the path of the folder 'words', or of words.csv or words.toml, with the "),
        ("my clips", "the path of the folder 'my clips', or of my clips.csv or my clips.toml, with the "),
        ("動画", "the path of the folder '動画', or of 動画.csv or 動画.toml, with the "),
    ],
)
@pytest.mark.parametrize("strategy", ["spos", "darts"])
def test_clips_other_than_the_tables_are_refused_with_the_valid_options(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, name: str, answer: str
) -> None:
    about = built.table.about
    data = about.data.model_copy(update={"name": name, "fingerprint": "0" * 64})
    other = copy.copy(built.table)
    other.about = about.model_copy(update={"data": data})
    monkeypatch.setattr("pvnas_bench.runs.setup.find_table", lambda *_: other)
    with pytest.raises(UsageError) as error:
        run(request(built, strategy, tmp_path, tabular=True))
    message = str(error.value)
    assert f"differ from those of the table: give --dataset {answer}" in message
    assert ("fingerprint 000000000000…" in message) == (name != "synthetic_motion")


@pytest.mark.parametrize("dataset", [".", "..", "/", "nowhere", "tiiny", "a/b.csv", "none.toml", "x y"])
def test_data_without_a_table_is_named_with_the_data_that_has_one(
    built: Built, tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        run(replace(request(built, "random_search", tmp_path / "results", tabular=True), dataset=dataset))
    message = str(error.value)
    assert f"for --dataset {dataset!r} in " in message
    assert f"with this space --dataset can be {built.table.about.data.name}; build it with `table build`" in message
    assert not (tmp_path / "results").exists()


def test_a_strategy_that_trains_on_clips_trains_on_those_of_the_table(built: Built, tmp_path: Path) -> None:
    record, _ = run(request(built, "spos", tmp_path, tabular=True, budget=20.0))
    assert record.status == "ok", record.error
    assert record.outcome is not None
    assert record.outcome.trained[0].test_top1 == built.table.trainings(record.outcome.architecture)[0].test_top1
