"""Null searches on a table, their records and their boards."""

from pathlib import Path
from typing import Any

import pytest
from tables import SPACE, Built

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.table_regret import regrets
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup


def request(built: Built, results: Path, strategy: str = "random_search", **options: Any) -> Request:
    values = {"budget": 6.0, "protocol": "micro", "tables": built.folder, "threads": 1, "tabular": True, **options}
    return Request(strategy, space=str(SPACE), dataset=built.recipe.dataset, results=results, **values)


def test_a_table_gives_each_architecture_the_accuracies_of_another_at_its_own_price(
    built: Built, tmp_path: Path
) -> None:
    seen = []
    for null in (False, True):
        search = Search(Setup(request(built, tmp_path, budget=1000.0, null=null), Observer()), Observer())
        problem = search.problem
        evaluations = [problem.evaluate(problem.space.parse(a)) for a in built.table.architectures]
        again = problem.evaluate(problem.space.parse(built.table.architectures[0]), 2)
        training = built.table.trainings  # one permutation for all epochs
        assert any(
            (t.val_top1[-1], t.val_top1[1]) == (evaluations[0].top1, again.top1)
            for a in built.table.architectures
            for t in training(a)
        )
        seen.append((evaluations, problem.ledger.macs, problem._bench.clock.simulated))
    (real, macs, seconds), (null_, null_macs, null_seconds) = seen
    assert sorted((e.top1, e.loss) for e in real) == sorted((e.top1, e.loss) for e in null_)
    assert [(e.top1, e.loss) for e in real] != [(e.top1, e.loss) for e in null_]
    assert [e.macs for e in real] == [e.macs for e in null_]
    assert (macs, seconds) == (null_macs, null_seconds)


def test_the_permutation_is_that_of_the_seed(built: Built, tmp_path: Path) -> None:
    permutations = set()
    for seed in (0, 1, 2, 0):
        setup = Setup(request(built, tmp_path, null=True, seed=seed), Observer())
        problem: Any = Search(setup, Observer()).problem
        assert sorted(problem._accuracy_of) == sorted(problem._accuracy_of.values())
        permutations.add(tuple(problem._accuracy_of.values()))
    assert len(permutations) == 3


def test_the_record_is_marked_and_its_result_is_real(built: Built, tmp_path: Path) -> None:
    (real, real_path), (null, null_path) = (run(request(built, tmp_path, null=n)) for n in (False, True))
    assert (real.null, null.null) == (False, True)
    assert null.strategy.entry == f"{real.strategy.entry}{records.NULL}" and null.strategy.name == real.strategy.name
    assert null.id != real.id and null_path != real_path
    assert records.load(null_path).null and not records.load(real_path).null
    assert "--null" in null.provenance.command and "--null" not in real.provenance.command
    assert null.outcome is not None
    told = built.table.trainings(null.outcome.architecture)
    assert [t.test_top1 for t in null.outcome.trained] == [t.test_top1 for t in told]
    last = null.trajectory[-1]
    assert last.metrics["regret"] == pytest.approx(built.table.regret(last.incumbent))
    assert [step.cost for step in null.trajectory] == [step.cost for step in real.trajectory]


def test_a_null_record_is_never_on_a_real_board(built: Built, tmp_path: Path) -> None:
    real, null = (run(request(built, tmp_path, null=n))[0] for n in (False, True))
    assert real.board != null.board
    boards = leaderboard.build([real, null])
    assert [(board.null, [row.entry for row in board.rows]) for board in boards] == [
        (False, ["random_search"]),
        (True, ["random_search (null)"]),
    ]
    assert "null searches" in boards[1].title and "null" not in boards[0].title
    assert [(one.entry, one.runs) for one in regrets(tmp_path, built.table)] == [("random_search", 1)]


@pytest.mark.parametrize("control", ["random_sampling", "expert"])
def test_a_control_has_no_null(built: Built, tmp_path: Path, control: str) -> None:
    with pytest.raises(UsageError, match=f"{control} is a control, which learns nothing: omit --null"):
        Setup(request(built, tmp_path, control, null=True), Observer())
    assert not list(tmp_path.iterdir())
