"""The commands `table …`, and `run` and `compare` on a table."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import planted
import pytest

from pvnas_bench import records, registry
from pvnas_bench.boards import reliability, statistics
from pvnas_bench.boards.reliability import ReliabilityReport
from pvnas_bench.cli import OK, USAGE
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, to_parquet

from .conftest import Cli
from .test_start import imported

SPACE = Path(__file__).parents[1] / "support" / "tiny_space.py"


@pytest.fixture(scope="module")
def tables(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a table with three of six architectures and two seeds; read-only."""
    folder = tmp_path_factory.mktemp("tables")
    words = ("--space", SPACE, "--dataset", tiny_dataset, "--tables", folder, "--workers", 2)
    command = [sys.executable, "-m", "pvnas_bench", "table", "build", *words, "--sample", 3, "--seed", 0, "--seed", 1]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, timeout=300)
    assert Path(ended.stdout.splitlines()[-1]).is_file()
    assert re.search(r"^trainings: 0%, 0 trainings finished before$", ended.stderr, re.M)
    assert re.search(r"^trainings: 100%, \S+ seed \d: search-val [\d.]+%, test [\d.]+%, [\d.]+ s$", ended.stderr, re.M)
    return folder


@pytest.fixture
def of(tables: Path, tiny_dataset: Path) -> tuple[object, ...]:
    """Options that select the table."""
    return ("--space", SPACE, "--dataset", tiny_dataset, "--tables", tables)


def test_info_and_query_show_the_built_table(cli: Cli, of: tuple[object, ...]) -> None:
    facts = json.loads(cli("table", "info", *of, "--json").out)
    assert (facts["architectures"], facts["architectures_in_space"], facts["trainings"]) == (3, 6, 6)
    assert facts["seeds"] == {"0": 3, "1": 3}
    out = cli("table", "info", *of).out
    assert "3 networks of 6 architectures, 6 trainings (seed 0: 3, seed 1: 3)" in out
    known = [a for a in ENUMERATED if cli("table", "query", a, *of).code == OK]
    assert len(known) == 3
    trainings = json.loads(cli("table", "query", known[0], *of, "--json").out)
    assert [t["seed"] for t in trainings] == [0, 1]
    shown = cli("table", "query", known[0], *of).out
    for training in trainings:
        assert f"test top-1 {training['test_top1']:.1%}" in shown
        assert f"{training['val_top1'][3]:.1%}" in shown


ENUMERATED = [
    f"4-16-1-1/{first}-e1-no/{second}" for first in ("s3", "f3") for second in ("s3-e1-no", "f3-e1-no", "skip-_-_")
]


def test_missing_tables_and_architectures_are_usage_errors(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    unknown = [a for a in ENUMERATED if cli("table", "query", a, *of).code == USAGE]
    ended = cli("table", "query", unknown[0], *of)
    assert ended.errors and "was not trained yet: the table has 3 of 6" in ended.err
    assert "has 1 groups" in cli("table", "query", "nothing", *of).err
    assert "no table" in cli("table", "info", "--tables", tmp_path).err


def test_the_published_tables_are_the_default(cli: Cli) -> None:
    for dataset in ("synthetic_motion", "words", "fir_days"):
        ended = cli("table", "info", "--dataset", dataset)
        assert ended.code == OK and "584 networks of 648 architectures" in ended.out
        facts = json.loads(cli("table", "info", "--dataset", dataset, "--json").out)
        assert reliability.sentence(statistics.Reliability(**facts["reliability"]), "networks") in ended.out


def test_run_and_compare_on_a_table(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    words = ("--strategy", "random_search", *of, "--tabular", "--results", tmp_path)
    refused = cli("run", *words)
    assert refused.code == USAGE and "lacks 3 of 6 architectures" in refused.err
    ended = cli("run", *words, "--partial")
    assert ended.code == OK
    record = records.load(Path(ended.last_line))
    assert record.protocol.name == "micro"
    assert record.provenance.command[-6:-4] == ("--tabular", "--partial")
    ended = cli("compare", *words, "--partial", "--strategy", "local_search", "--seeds", 3, "--workers", 1)
    assert ended.code == OK
    found, unreadable = records.load_folder(tmp_path)
    assert (len(found), unreadable) == (6, [])
    assert "6 cells: 6 ok" in ended.err
    assert re.search(r"random_search .* 3 +0$", ended.out, re.M)


def test_a_cell_that_cannot_run_does_not_stop_the_others(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    words = ("--strategy", "random_search", "--strategy", "random_sampling", *of, "--tabular", "--partial")
    ended = cli("compare", *words, "--budget", "0.01", "--seeds", 1, "--results", tmp_path, "--workers", 1)
    assert "too small for one step of random_search" in ended.err
    assert [path.parent.name.split("-")[0] for path in records.find(tmp_path)] == ["random_sampling"]


def test_verify_and_report(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    ended = cli("table", "verify", *of, "--sample", 1)
    assert ended.code == OK, ended.err
    assert "(equal to the last bit)" in ended.out and "agrees: root mean square difference 0.00%" in ended.out
    ended = cli("table", "report", *of, "--output", tmp_path / "page.md")
    assert ended.code == OK, ended.err
    assert "3 of 6" in Path(ended.last_line).read_text()


@pytest.mark.long
def test_what_searches_found_is_trained_in_a_table_of_its_own(
    cli: Cli, of: tuple[object, ...], tiny_dataset: Path, tmp_path: Path
) -> None:
    words = ("table", "build", "--space", SPACE, "--dataset", tiny_dataset, "--tables", tmp_path, "--workers", 1)
    ended = cli(*words, "--sample", 0)
    assert ended.code == USAGE and "there is nothing to train" in ended.err
    searches = ("compare", *of, "--tabular", "--partial", "--strategy", "random_search", "--seeds", 4, "--budget", 3)
    assert cli(*searches, "--results", tmp_path / "runs", "--workers", 1).code == OK
    runs, _ = records.load_folder(tmp_path / "runs")
    found = {run.outcome.architecture for run in runs if run.outcome is not None}
    assert cli(*words, "--sample", 0, "--found", tmp_path / "runs").code == OK
    (table,) = tmp_path.glob("*.parquet")
    assert set(pd.read_parquet(table)["architecture"]) == found


def test_tables_of_two_folders_merge(cli: Cli, of: tuple[object, ...], tables: Path, tmp_path: Path) -> None:
    ended = cli("table", "merge", tables, tables, *of[:-1], tmp_path / "merged")
    assert ended.code == OK, ended.err
    (source,), merged = tables.glob("*.parquet"), Path(ended.last_line)
    assert merged == tmp_path / "merged" / source.name
    pd.testing.assert_frame_equal(pd.read_parquet(merged), pd.read_parquet(source))
    ended = cli("table", "merge", tables, tmp_path, *of[:-1], tmp_path / "other")
    assert ended.code == USAGE and "no table" in ended.err and not (tmp_path / "other").exists()


def test_reliability_reports_the_trainings_it_was_asked_for_and_resumes(
    cli: Cli, tiny_dataset: Path, tmp_path: Path
) -> None:
    words = ("reliability", "--space", SPACE, "--dataset", tiny_dataset, "--output", tmp_path, "--workers", 1)
    ended = cli(*words, "--architectures", 3, "--seeds", 3)
    assert ended.code == OK, ended.err
    report = reliability.read(Path(ended.last_line))
    assert (report.scores.entries, report.scores.seeds, report.protocol) == (3, 3, "quick")
    assert f"seeds needed  3 points {report.seeds_needed['3']}" in ended.out
    assert "nan" not in ended.err  # these trainings have no validation
    (trainings,) = tmp_path.glob("*.parquet")
    scores = pd.read_parquet(trainings).pivot(index="architecture", columns="seed", values="test_top1").to_numpy()
    assert report.scores == statistics.reliability(scores)
    before = trainings.read_bytes()
    fewer = json.loads(cli(*words, "--architectures", 3, "--seeds", 2, "--json").out)
    assert trainings.read_bytes() == before
    assert ReliabilityReport.model_validate(fewer).scores == statistics.reliability(scores[:, :2])


def test_a_reliability_report_needs_a_folder_that_can_be_written_and_a_space_that_exists(
    cli: Cli, tiny_dataset: Path, tmp_path: Path
) -> None:
    words = ("reliability", "--dataset", tiny_dataset, "--architectures", 3)
    (tmp_path / "file").write_text("")
    for more in (("--space", SPACE, "--output", tmp_path / "file"), ("--space", "nothing", "--output", tmp_path)):
        ended = cli(*words, *more)
        assert ended.code == USAGE and len(ended.errors) == 1


def test_ranks_runs_a_search_and_states_its_correlation_with_the_table(
    cli: Cli, of: tuple[object, ...], tmp_path: Path
) -> None:
    words = ("ranks", *of, "--strategy", "synflow", "--seeds", 1, "--budget", 1, "--workers", 1, "--results", tmp_path)
    ended = cli(*words, "--format", "json")
    assert ended.code == OK, ended.err
    rows = {row["name"]: row for row in json.loads(ended.out)}
    assert set(rows) == {"synflow", "MACs only", "parameters only", "random scores", "another training"}
    (run,), _ = records.load_folder(tmp_path)
    assert rows["synflow"]["tau"] == pytest.approx(run.diagnostics["rank_tau"])
    page = tmp_path / "page.md"
    assert cli("ranks", *of, "--results", tmp_path, "--output", page).code == OK
    assert "| synflow | 1 |" in page.read_text(encoding="utf-8")


def test_tune_tries_what_is_declared_resumes_and_keeps_the_winner(
    cli: Cli, of: tuple[object, ...], tmp_path: Path
) -> None:
    space, dataset = (str(of[of.index(option) + 1]) for option in ("--space", "--dataset"))
    default: Any = registry.get_strategy("regularized_evolution").Config()
    population, tournament = default.population, default.tournament
    declared = tmp_path / "small.toml"
    declared.write_text(
        f'space = "{space}"\ndataset = "{dataset}"\nbudget = 3.0\nseeds = 2\nconfigurations = 3\n'
        f"[strategies.regularized_evolution]\npopulation = [{population}, 6]\ntournament = [2, {tournament}]\n"
        "[strategies.local_search]\nrestart = [true, false]\n"
    )
    tables = of[of.index("--tables") + 1]
    words = ("tune", declared, "--tables", tables, "--runs", tmp_path / "runs", "--workers", 1)
    alone = cli(*words, "--strategy", "local_search", "--output", tmp_path / "alone")
    assert alone.code == OK, alone.err
    assert [path.name for path in sorted((tmp_path / "alone").iterdir())] == ["README.md", "local_search.json"]
    both = cli(*words, "--output", tmp_path / "both")
    assert both.code == OK and both.out.splitlines()[-1] == str(tmp_path / "both" / "README.md")
    assert "local_search: 2 configurations of 3, since its declared values have no more" in both.err.splitlines()
    assert not any(line.startswith("regularized_evolution: ") for line in both.err.splitlines()), "it has six"
    content = (tmp_path / "both" / "local_search.json").read_bytes()
    assert content == (tmp_path / "alone" / "local_search.json").read_bytes()
    found = json.loads((tmp_path / "both" / "regularized_evolution.json").read_bytes())
    assert found["configurations"][0]["settings"] == {"population": population, "tournament": tournament}
    runs, _ = records.load_folder(tmp_path / "runs")
    assert len(runs) == 2 * (3 + 2)
    regrets = {run.trajectory[-1].metrics["regret"] for run in runs if run.strategy.entry == "local_search"}
    first = json.loads(content)["configurations"][0]["regrets"]
    assert {round(regret, 6) for regret in regrets} == set(first)


@pytest.mark.parametrize("content", ["", "seeds = ", 'space = "st_micro"', "\x00"])
def test_a_file_that_declares_no_tuning_is_one_clear_line(cli: Cli, tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.toml").write_text(content)
    ended = cli("tune", tmp_path / "bad.toml", "--output", tmp_path / "out")
    assert ended.code == USAGE and len(ended.errors) == 1 and "declares no tuning" in ended.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_ranks_takes_a_grid_and_its_options_win(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    (grid := tmp_path / "grid.toml").write_text('strategies = ["synflow"]\nseeds = 2\nbudget = 9.0\n')
    words = ("ranks", *of, "--grid", grid, "--workers", 1, "--results", tmp_path, "--format", "json")
    ended = cli(*words, "--budget", 1)
    assert ended.code == OK, ended.err
    assert {row["name"]: row["seeds"] for row in json.loads(ended.out)}["synflow"] == 2
    assert {run.protocol.budget for run in records.load_folder(tmp_path)[0]} == {1.0}


def test_ranks_without_a_search_that_has_scores_is_an_error(cli: Cli, of: tuple[object, ...], tmp_path: Path) -> None:
    ended = cli("ranks", *of, "--strategy", "random_search", "--seeds", 1, "--results", tmp_path)
    assert ended.code == USAGE and "no search on this table with scores: give --strategy" in ended.err


def test_reading_a_table_does_not_import_torch(of: tuple[object, ...]) -> None:
    for words in (("table", "info", *of), ("table", "report", "--help"), ("table", "--help")):
        assert "torch" not in imported(*words)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Options that select a planted table of 60 networks of a large space."""
    folder = tmp_path_factory.mktemp("sample")
    content = planted.content(60)
    assert content.about is not None
    write_atomically(Files(folder, content.about.stem).parquet, to_parquet(content))
    return ("--space", planted.SPACE, "--dataset", "made_up", "--tables", folder)


def test_info_states_the_quality_of_a_surrogate_under_each_cap(cli: Cli, sample: tuple[object, ...]) -> None:
    out = cli("table", "info", *sample).out
    told = json.loads(cli("table", "info", *sample, "--json").out)["surrogate"]
    assert list(told) == ["all", "cap L", "cap M"]
    assert told["all"]["networks"] == 60 >= told["cap M"]["networks"] >= told["cap L"]["networks"]
    for under, quality in told.items():
        start = f"{under}: each of {quality['networks']} networks predicted from all others: Kendall's τ "
        assert f"{start}{quality['tau']:.2f}, R² {quality['r2']:.2f}; " in out
    assert "surrogate" not in cli("table", "info").out


def test_query_predicts_an_architecture_that_was_not_trained(cli: Cli, sample: tuple[object, ...]) -> None:
    reference = str(registry.get_space(planted.SPACE).reference)
    (told,) = json.loads(cli("table", "query", reference, *sample, "--json").out)
    out = cli("table", "query", reference, *sample).out
    assert told["surrogate"] and f"test top-1 {told['test_top1']:.1%}, predicted from 60 other networks" in out


def test_run_compare_and_ranks_work_on_a_surrogate(cli: Cli, sample: tuple[object, ...], tmp_path: Path) -> None:
    words = ("--strategy", "random_search", *sample, "--tabular", "--results", tmp_path)
    ended = cli("run", *words)
    assert ended.code == OK
    assert "made_up · quick v1, surrogate" in ended.out
    assert "· surrogate: a model of " in ended.out
    assert ended.out.splitlines()[-2].startswith("The network found is better than ")
    assert cli("compare", *words, "--strategy", "local_search", "--seeds", 2, "--workers", 1).code == OK
    board = cli("leaderboard", "--results", tmp_path).out
    assert "local_search" in board and "quick v1, surrogate" in board


def test_start_of_the_table_commands_imports_no_model() -> None:
    modules = imported("table", "build", "--help")
    assert not {"sklearn", "scipy", "torch"} & {name.partition(".")[0] for name in modules}
