"""Searches on a surrogate: its record and board say so, its trainings are free, and it resumes like any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import planted
import pytest

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.render import render_terminal, to_csv, to_markdown
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Surrogate
from pvnas_bench.table.store import Files, to_parquet

NETWORKS = 60


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the planted table of 60 networks."""
    folder = tmp_path_factory.mktemp("sample")
    content = planted.content(NETWORKS)
    assert content.about is not None
    write_atomically(Files(folder, content.about.stem).parquet, to_parquet(content))
    return folder


def request(tables: Path, strategy: str, results: Path, **options: Any) -> Request:
    return Request(
        strategy,
        space=planted.SPACE,
        dataset="made_up",
        results=results,
        **{"tabular": True, "tables": tables, "threads": 1, **options},
    )


@pytest.fixture(scope="module")
def searched(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> list[records.Record]:
    results = tmp_path_factory.mktemp("searched")
    return [
        run(request(tables, strategy, results, seed=seed))[0]
        for strategy in ("random_search", "successive_halving")
        for seed in range(2)
    ]


def test_searches_evaluate_and_are_judged_by_the_model(tables: Path, searched: list[records.Record]) -> None:
    surrogate = find_whole(Setup(request(tables, "random_search", Path("unused")), Observer()).space, "made_up", tables)
    assert isinstance(surrogate, Surrogate)
    for record in searched:
        assert record.status == "ok", record.error
        assert record.surrogate
        assert record.outcome is not None
        (trained,) = record.outcome.trained
        assert trained.test_top1 == surrogate.top1(record.outcome.architecture)
        assert [row["val_top1"] for row in trained.curve] == list(
            surrogate.scoring(record.outcome.architecture)[0].val_top1
        )
        for step in record.trajectory:
            assert step.metrics["regret"] == surrogate.regret(step.incumbent, record.space.cap_macs)
        assert record.search.reference_trainings <= record.protocol.budget
        assert record.diagnostics["surrogate"]["networks"] <= NETWORKS
    assert len({record.outcome.architecture for record in searched if record.outcome}) > 1


def test_a_rung_is_the_beginning_of_the_curve_of_the_full_training(tables: Path, tmp_path: Path) -> None:
    problem = Search(Setup(request(tables, "random_search", tmp_path, budget=60.0), Observer()), Observer()).problem
    for _ in range(10):
        architecture = problem.sample()
        full, short = problem.evaluate(architecture, problem.full_epochs), problem.evaluate(architecture, 2)
        assert full.curve[:2] == short.curve
        assert problem.evaluate(architecture, problem.full_epochs) == full
        assert 0 <= short.top1 < full.top1 <= 1


def test_a_search_of_another_seed_sees_other_noise(tables: Path, tmp_path: Path) -> None:
    setup = Setup(request(tables, "random_search", tmp_path), Observer())
    architecture = setup.space.reference
    seen = [
        Search(setup.at(seed), Observer()).problem.evaluate(architecture, setup.protocol.epochs).top1
        for seed in (0, 1, 0)
    ]
    assert seen[0] == seen[2] != seen[1]


def test_the_board_says_surrogate_and_how_good_it_is(searched: list[records.Record]) -> None:
    (board,) = leaderboard.build([records.slim(record) for record in searched])
    assert "quick v1, surrogate" in board.title
    (note,) = [note for note in board.notes if note.startswith("surrogate: ")]
    told = searched[0].diagnostics["surrogate"]
    assert (
        f"a model of {NETWORKS} trained networks predicts all accuracies; each of {told['networks']} networks" in note
    )
    assert f"Kendall's τ {told['tau']:.2f}" in note
    for text in (render_terminal([board]), to_markdown([board]), to_csv([board])):
        assert "surrogate" in text
    changed = searched[0].model_copy(update={"diagnostics": {"surrogate": {"networks": "x" * 99, "tau": []}}})
    (board,) = leaderboard.build([changed])
    assert "surrogate: a model predicts all accuracies." in board.notes


def test_a_surrogate_shares_no_board_with_its_table_or_with_trainings(
    tables: Path, tmp_path: Path, searched: list[records.Record]
) -> None:
    fingerprint = searched[0].protocol.fingerprint
    assert ":surrogate" in fingerprint
    trained = searched[0].model_copy(
        update={
            "protocol": searched[0].protocol.model_copy(update={"fingerprint": fingerprint.partition(":surrogate")[0]})
        }
    )
    looked_up = Setup(request(tables, "random_search", tmp_path, partial=True), Observer()).protocol_fingerprint
    of_table = searched[0].model_copy(
        update={"protocol": searched[0].protocol.model_copy(update={"fingerprint": looked_up})}
    )
    assert not of_table.surrogate and not trained.surrogate
    boards = leaderboard.build([searched[0], of_table, trained])
    assert len(boards) == 3
    assert [board.title.endswith("surrogate") for board in boards].count(True) == 1


@pytest.mark.long
def test_a_grid_on_a_surrogate_resumes(tables: Path, tmp_path: Path) -> None:
    asked = [
        request(tables, strategy, tmp_path, seed=seed)
        for strategy in ("random_search", "successive_halving")
        for seed in range(3)
    ]
    half = [cell for cell in compare(open_cells(asked[:3])) if cell.state == "ok"]
    assert len(half) == 3
    cells = open_cells(asked)
    assert [cell.state for cell in cells] == ["ok"] * 3 + ["waiting"] * 3
    ended = [cell for cell in compare(cells) if cell.state == "ok"]
    assert {(cell.request.strategy, cell.request.seed) for cell in ended} == {
        ("successive_halving", s) for s in range(3)
    }
    assert {cell.state for cell in open_cells(asked)} == {"ok"}
    one, _ = run(replace(asked[1], results=tmp_path / "alone"))
    (told,) = [r for r in records.load_folder(tmp_path)[0] if r.id == one.id and r.strategy.name == "random_search"][:1]
    assert [(s.cost, s.incumbent, s.metrics) for s in told.trajectory] == [
        (s.cost, s.incumbent, s.metrics) for s in one.trajectory
    ]


def test_a_null_search_learns_nothing_of_an_architecture(tables: Path, tmp_path: Path) -> None:
    record, _ = run(request(tables, "random_search", tmp_path, null=True))
    assert record.status == "ok", record.error
    problem = Search(Setup(request(tables, "random_search", tmp_path, null=True), Observer()), Observer()).problem
    architecture = problem.sample()
    surrogate = find_whole(problem.space, "made_up", tables)
    seen = problem.evaluate(architecture, problem.full_epochs).top1
    assert seen in {t.val_top1[-1] for name in surrogate.architectures for t in surrogate.trainings(name)}


def test_a_table_of_another_space_or_protocol_is_refused_in_one_line(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(request(tables, "random_search", tmp_path, protocol="standard"))
    assert str(error.value) == (
        "the table st_default-made_up has trainings under quick version 1, not standard version 2: change --protocol, "
        "or build another table with `table build`"
    )
    content = planted.content(NETWORKS)
    assert content.about is not None
    other = content.about.space.model_copy(update={"fingerprint": "st_default@0:000000000000"})
    content.about = content.about.model_copy(update={"space": other})
    write_atomically(Files(tmp_path / "other", content.about.stem).parquet, to_parquet(content))
    with pytest.raises(
        UsageError, match=r"the table of st_default was built for st_default@0:0+, but the space"
    ) as error:
        run(request(tmp_path / "other", "random_search", tmp_path))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("random_search*"))
