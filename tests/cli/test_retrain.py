"""The command `retrain`, and boards of its trainings."""

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest
from tables import SPACE, Built

from pvnas_bench import records, registry
from pvnas_bench.boards import leaderboard, retrained
from pvnas_bench.cli import OK, USAGE
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.table import Table
from pvnas_bench.table.store import Files, load

from .conftest import Cli


@pytest.fixture(scope="module")
def searched(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two strategies on the table of the tiny space, two seeds each."""
    results = tmp_path_factory.mktemp("searched")
    for strategy in ("random_search", "random_sampling"):
        for seed in range(2):
            options = {"tabular": True, "tables": built.folder, "threads": 1, "budget": 5.0}
            run(
                Request(strategy, space=str(SPACE), dataset=built.recipe.dataset, seed=seed, results=results, **options)
            )
    return results


@pytest.fixture(scope="module")
def again(searched: Path, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two retrainings of every network found."""
    from pvnas_bench.cli import main

    folder = tmp_path_factory.mktemp("again")
    words = ["--space", str(SPACE), "--dataset", built.recipe.dataset, "--workers", "1", "--output", str(folder)]
    assert main(["retrain", str(searched), *words, "--seeds", "2"]) == OK
    return folder


def table_of(folder: Path, built: Built) -> Table:
    return load(Files(folder, f"{built.table.about.stem}-micro"), registry.get_space(str(SPACE)))


def found(folder: Path) -> list[records.Record]:
    return records.load_folder(folder)[0]


def test_the_networks_of_records_are_trained_as_final_networks_with_common_seeds(
    searched: Path, again: Path, built: Built, tmp_path: Path
) -> None:
    table = table_of(again, built)
    networks = {table.network(one.outcome.architecture) for one in found(searched) if one.outcome}
    assert set(table.architectures) == networks
    assert all([t.seed for t in table.trainings(name)] == [0, 1] for name in networks)
    # seed 0 is the final training of a run of seed 0
    trained, _ = run(
        Request(
            "random_sampling",
            space=str(SPACE),
            dataset=built.recipe.dataset,
            protocol="micro",
            results=tmp_path,
            threads=1,
        )
    )
    assert trained.outcome is not None
    (first, *_) = table.trainings(trained.outcome.architecture)
    assert first.test_top1 == trained.outcome.trained[0].test_top1


def test_the_same_command_trains_nothing_again_and_more_seeds_extend(
    cli: Cli, searched: Path, again: Path, built: Built, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(again, tmp_path / "more"))
    words = ("--space", SPACE, "--dataset", built.recipe.dataset, "--workers", 1, "--output", folder)
    before = table_of(folder, built).fingerprint
    ended = cli("retrain", searched, *words, "--seeds", 2)
    assert ended.code == OK and table_of(folder, built).fingerprint == before
    assert ended.last_line == str(folder / f"{built.table.about.stem}-micro.parquet")
    name = table_of(folder, built).architectures[0]
    ended = cli("retrain", name, *words, "--seeds", 3, "--protocol", "micro")
    scores = [t.test_top1 for t in table_of(folder, built).trainings(name)]
    assert len(scores) == 3
    assert f"{name}: test top-1 {fmean(scores):.1%} over 3 seeds" in ended.out


def test_a_board_of_retrainings_has_their_means_and_is_apart(searched: Path, again: Path, built: Built) -> None:
    table = table_of(again, built)
    listed = found(searched)
    (board,) = retrained.build(listed, [table])
    assert board.title.endswith("micro v3, retrained under micro v3")
    assert board.notes[0] == "every network was trained with 2 common seeds after its search."
    assert board.fingerprints["protocol"] not in {one.protocol.fingerprint for one in listed}
    for row in board.rows:
        runs = [one for one in listed if one.strategy.entry == row.entry]
        means = [fmean(t.test_top1 for t in table.trainings(one.outcome.architecture)) for one in runs if one.outcome]
        assert row.top1_mean == pytest.approx(fmean(means))
    assert found(searched) == listed  # no record changed
    assert len(leaderboard.build(listed)) == 1


def test_runs_without_retrainings_are_left_out_and_counted(searched: Path, again: Path, built: Built) -> None:
    table, listed = table_of(again, built), found(searched)
    assert listed[0].outcome is not None
    kept = table.network(listed[0].outcome.architecture)
    part = Table(table.about, table.sessions, table.trainings(kept))
    (board,) = retrained.build(listed, [part])
    left = sum(table.network(one.outcome.architecture) != kept for one in listed if one.outcome)
    assert sum(row.runs for row in board.rows) == len(listed) - left
    assert (f"{left} runs left out" in board.notes[1]) == (left > 1)
    elsewhere = table.about.model_copy(update={"data": table.about.data.model_copy(update={"fingerprint": "0" * 64})})
    assert retrained.build(listed, [Table(elsewhere, table.sessions, table.trainings(kept))]) == []


def test_only_seeds_that_all_networks_have_count(searched: Path, again: Path, built: Built) -> None:
    table, listed = table_of(again, built), found(searched)
    every = [t for name in table.architectures for t in table.trainings(name)]
    last = Table(table.about, table.sessions, [t for t in every if t != every[-1]])
    (board,) = retrained.build(listed, [last])
    assert board.notes[0] == "every network was trained with 1 common seed after its search."


def test_leaderboard_shows_retrainings(cli: Cli, searched: Path, again: Path, tmp_path: Path) -> None:
    words = ("leaderboard", "--results", searched, "--no-reference")
    out = cli(*words, "--retrained", again).out
    assert "retrained under micro v3" in out and "retrained under" not in cli(*words).out
    (board,) = json.loads(cli(*words, "--retrained", again, "--format", "json").out)
    assert {row["entry"] for row in board["rows"]} == {"random_search", "random_sampling"}
    refused = cli(*words, "--retrained", tmp_path)
    assert refused.code == USAGE and "has no trainings of these records' networks" in refused.err


def test_what_names_nothing_is_refused(cli: Cli, searched: Path, built: Built, tmp_path: Path) -> None:
    here = ("--space", SPACE, "--dataset", built.recipe.dataset, "--output", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    for what, words, reason in (
        (tmp_path / "empty", here, "no records of completed runs"),
        ("nothing/at-all", here, "architecture 'nothing/at-all' has 2 groups"),
        (searched, ("--dataset", built.recipe.dataset), "unknown space"),
        (searched, ("--space", SPACE), "give its path with --dataset"),
    ):
        ended = cli("retrain", what, *words)
        assert ended.code == USAGE and reason in ended.err
    assert not (tmp_path / "none").exists()
