"""The commands `claims …`, on a made-up table: a claim runs, resumes, and gives its page again."""

import json
from pathlib import Path

import made_up
import pytest

from pvnas_bench import records, registry
from pvnas_bench.cli import FAILED, OK, USAGE
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, to_parquet

from .conftest import Cli

CLAIM = """
title = "Local search beats random search"
system = "Local search"
statement = "Local search finds better networks than random search."
source = "Nobody, 2020"
hypothesis = "The final network is more accurate by five points, and found for half of the cost."
differs = ["All is made up."]

[setting]
space = "st_micro"
dataset = "made_up"
tabular = true
budget = 6.0
seeds = 4

[rule]
error = 0.05
power = 0.8

[[tests]]
title = "accuracy"
entry = "local_search"
against = "random_search"
metric = { name = "top1" }
least = 0.05

[[tests]]
title = "cost"
entry = "local_search"
against = "random_search"
metric = { name = "cost_to_quality", regret = 0.2 }
least = 2.0
"""
NEEDY = CLAIM.replace("[setting]", 'needs = "another table"\n\n[setting]').replace("made_up", "elsewhere")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic table of st_micro; read-only."""
    folder = tmp_path_factory.mktemp("tables")
    content = made_up.content(registry.get_space("st_micro"))
    write_atomically(Files(folder, "st_micro-made_up").parquet, to_parquet(content))
    return folder


@pytest.fixture
def place(tmp_path: Path, tables: Path) -> tuple[str, ...]:
    """Options of `claims run` in a folder of its own, with two claims."""
    claims = tmp_path / "files"
    claims.mkdir()
    (claims / "local.toml").write_text(CLAIM, encoding="utf-8")
    (claims / "needy.toml").write_text(NEEDY, encoding="utf-8")
    return (
        *("--claims", str(claims), "--output", str(tmp_path / "out/claims.md"), "--results", str(tmp_path / "runs")),
        *("--tables", str(tables), "--workers", "1"),
    )


def written(tmp_path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()}


def test_a_claim_runs_and_all_gives_the_page_again_from_the_records(
    cli: Cli, tmp_path: Path, place: tuple[str, ...]
) -> None:
    ended = cli("claims", "run", "all", *place)
    assert ended.code == OK, ended.err
    assert ended.last_line == str(tmp_path / "out/claims.md")
    assert "needy: not run, as it needs another table" in ended.err
    first = written(tmp_path)
    assert set(first) == {"claims.md", "claims.html", "local.json", "local.png"}
    made, unreadable = records.load_folder(tmp_path / "runs")
    assert (sorted((r.strategy.entry, r.seed) for r in made), unreadable) == (
        [(entry, seed) for entry in ("local_search", "random_search") for seed in range(4)],
        [],
    )
    before = {path: path.stat().st_mtime_ns for path in records.find(tmp_path / "runs")}
    for path in (tmp_path / "out").rglob("*.*"):
        path.unlink()
    again = cli("claims", "run", "all", *place)
    assert again.code == OK
    assert written(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in records.find(tmp_path / "runs")} == before


def test_the_result_has_what_the_records_say(cli: Cli, tmp_path: Path, place: tuple[str, ...]) -> None:
    cli("claims", "run", "local", *place)
    result = json.loads((tmp_path / "out/claims/local.json").read_text("utf-8"))
    by_run = {(r.strategy.entry, r.seed): r for r in records.load_folder(tmp_path / "runs")[0]}
    accuracy, cost = result["tests"]
    for pair in accuracy["pairs"]:
        for key, entry in (("value", "local_search"), ("against", "random_search")):
            outcome = by_run[entry, pair["seed"]].outcome
            assert outcome is not None
            assert pair[key] == pytest.approx(outcome.trained[0].test_top1)
    for pair in cost["pairs"]:
        steps = by_run["local_search", pair["seed"]].trajectory
        good = [step.metrics["regret"] <= 0.2 for step in steps]
        first = next((i for i in range(len(steps)) if all(good[i:])), len(steps) - 1)
        assert pair["value"] == pytest.approx(steps[first].cost)
        assert pair.get("censored", False) == (not good[-1])


def test_records_of_other_folders_serve(cli: Cli, tmp_path: Path, place: tuple[str, ...], tables: Path) -> None:
    """`compare` made the runs of one entry; only the other one is searched."""
    more = tmp_path / "boards"
    compared = cli(
        *("compare", "--strategy", "random_search", "--space", "st_micro", "--dataset", "made_up", "--tabular"),
        *("--budget", "6", "--seeds", "4", "--tables", tables, "--results", more, "--workers", "1", "--no-reference"),
    )
    assert compared.code == OK, compared.err
    assert cli("claims", "run", "local", *place, "--records", more).code == OK
    assert {r.strategy.entry for r in records.load_folder(tmp_path / "runs")[0]} == {"local_search"}
    served = written(tmp_path)["local.json"]
    assert [one["runs"] for one in json.loads(served)["entries"]] == [4, 4]


def test_records_of_other_code_do_not_serve(cli: Cli, tmp_path: Path, place: tuple[str, ...]) -> None:
    assert cli("claims", "run", "local", *place).code == OK
    old = tmp_path / "old"
    for record in records.load_folder(tmp_path / "runs")[0]:
        source = record.strategy.source
        assert source is not None
        strategy = record.strategy.model_copy(update={"source": source.model_copy(update={"sha256": "0" * 64})})
        records.save(record.model_copy(update={"strategy": strategy}), old / record.id / records.FILE_NAME)
    again = [word if word != str(tmp_path / "runs") else str(tmp_path / "new") for word in place]
    assert cli("claims", "run", "local", *again, "--records", old).code == OK
    assert len(records.load_folder(tmp_path / "new")[0]) == 8


def test_a_claim_that_changed_is_not_shown_until_it_is_run_again(
    cli: Cli, tmp_path: Path, place: tuple[str, ...]
) -> None:
    assert cli("claims", "run", "local", *place).code == OK
    path = tmp_path / "files/local.toml"
    path.write_text(CLAIM.replace("least = 0.05", "least = 0.01"), encoding="utf-8")
    shown = cli("claims", "page", *place[:4])
    assert shown.code == OK
    assert "local: its result is of another version of the claim, and not used" in shown.err
    assert "| not run |" in (tmp_path / "out/claims.md").read_text("utf-8")
    assert not (tmp_path / "out/claims/local.png").exists()
    assert cli("claims", "run", "local", *place).code == OK
    assert (tmp_path / "out/claims/local.png").exists()


def test_list_shows_names_states_and_titles(cli: Cli, tmp_path: Path, place: tuple[str, ...]) -> None:
    listed = cli("claims", "list", *place[:4])
    assert listed.out.splitlines() == [
        "local  not run     Local search beats random search",
        "needy  not run     Local search beats random search",
    ]
    cli("claims", "run", "local", *place)
    first, second = json.loads(cli("claims", "list", *place[:4], "--json").out)
    assert first["state"] in ("holds", "fails", "undecided")
    assert (second["state"], second["needs"]) == ("not run", "another table")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing",), "no claim 'nothing': choose among local, needy, or all alone"),
        (("all", "local"), "no claim 'all'"),
        (("local", "--clips", "words"), "--clips takes NAME=PATH, got 'words'"),
        (("local", "--records", "/nowhere"), "no folder /nowhere"),
    ],
)
def test_wrong_words_are_refused(cli: Cli, place: tuple[str, ...], words: tuple[str, ...], told: str) -> None:
    ended = cli("claims", "run", *words, *place)
    assert ended.code == USAGE
    assert told in ended.errors[0]


def test_one_claim_that_cannot_run_is_refused_and_among_several_passed_over(
    cli: Cli, tmp_path: Path, place: tuple[str, ...]
) -> None:
    path = tmp_path / "files/needy.toml"
    path.write_text(NEEDY.replace('needs = "another table"', ""), encoding="utf-8")
    assert "no table st_micro-elsewhere" in cli("claims", "run", "needy", *place).errors[0]
    ended = cli("claims", "run", "all", *place)
    assert ended.code == FAILED
    assert "needy: not run: no table st_micro-elsewhere" in ended.err
    assert (tmp_path / "out/claims/local.json").exists()
