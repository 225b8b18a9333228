"""The commands `claims …`, on a made-up table: a claim runs, resumes, and gives its page again."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import made_up
import pytest

from pvnas_bench import records, registry
from pvnas_bench.cli import FAILED, OK, USAGE, main
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


@dataclass(frozen=True)
class Place:
    """A folder with two claims, their records and the page.

    Attributes:
        shown: options of every command.
        options: options of `claims run`.
    """

    folder: Path
    shown: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def claim(self) -> Path:
        return self.folder / "files/local.toml"

    @property
    def pages(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted((self.folder / "out").rglob("*")) if p.is_file()}


def place_in(folder: Path, tables: Path) -> Place:
    shown = ("--claims", str(folder / "files"), "--output", str(folder / "out/claims.md"))
    return Place(folder, shown, (*shown, "--results", str(folder / "runs"), "--tables", str(tables), "--workers", "1"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Path:
    """A folder in which all claims were run; read-only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "files").mkdir()
    (folder / "files/local.toml").write_text(CLAIM, encoding="utf-8")
    (folder / "files/needy.toml").write_text(NEEDY, encoding="utf-8")
    assert main(["claims", "run", "all", *place_in(folder, tables).options]) == OK
    return folder


@pytest.fixture
def place(tmp_path: Path, finished: Path, tables: Path) -> Place:
    """A copy of the finished folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return place_in(tmp_path, tables)


def test_all_gives_the_page_again_from_the_records(cli: Cli, place: Place) -> None:
    first = place.pages
    assert set(first) == {"claims.md", "claims.html", "local.json", "local.png"}
    made, unreadable = records.load_folder(place.runs)
    assert (sorted((r.strategy.entry, r.seed) for r in made), unreadable) == (
        [(entry, seed) for entry in ("local_search", "random_search") for seed in range(4)],
        [],
    )
    before = {path: path.read_bytes() for path in records.find(place.runs)}
    shutil.rmtree(place.folder / "out")
    ended = cli("claims", "run", "all", *place.options)
    assert ended.code == OK, ended.err
    assert ended.last_line == str(place.folder / "out/claims.md")
    assert "needy: not run, as it needs another table" in ended.err
    assert place.pages == first
    assert {path: path.read_bytes() for path in records.find(place.runs)} == before


def test_a_claim_on_fresh_seeds_has_no_run_of_the_earlier_ones(cli: Cli, place: Place) -> None:
    place.claim.write_text(CLAIM.replace("seeds = 4", "seeds = 2\nfirst_seed = 4"), encoding="utf-8")
    assert cli("claims", "run", "local", *place.options).code == OK
    result = json.loads((place.folder / "out/claims/local.json").read_text(encoding="utf-8"))
    assert [[pair["seed"] for pair in test["pairs"]] for test in result["tests"]] == [[4, 5], [4, 5]]
    assert "2 seeds from 4" in (place.folder / "out/claims.md").read_text(encoding="utf-8")


def test_the_page_is_written_again_without_the_records(cli: Cli, place: Place) -> None:
    first = place.pages
    shutil.rmtree(place.runs)
    for name in ("claims.md", "claims.html", "claims/local.png"):
        (place.folder / "out" / name).unlink()
    assert cli("claims", "page", *place.shown).last_line == str(place.folder / "out/claims.md")
    assert place.pages == first


def test_the_result_has_what_the_records_say(place: Place) -> None:
    result = json.loads(place.pages["local.json"])
    by_run = {(r.strategy.entry, r.seed): r for r in records.load_folder(place.runs)[0]}
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


@pytest.mark.parametrize("code", ["same", "other"])
def test_records_of_other_folders_serve_if_they_are_of_the_same_code(cli: Cli, place: Place, code: str) -> None:
    """The other folder has the runs of one entry; the other entry is searched in any case."""
    others = place.folder / "others"
    for record in records.load_folder(place.runs)[0]:
        if record.strategy.entry == "random_search":
            assert record.strategy.source is not None
            sha256 = record.strategy.source.sha256 if code == "same" else "0" * 64
            source = record.strategy.source.model_copy(update={"sha256": sha256})
            strategy = record.strategy.model_copy(update={"source": source})
            records.save(record.model_copy(update={"strategy": strategy}), others / record.id / records.FILE_NAME)
    shutil.rmtree(place.runs)
    first = json.loads(place.pages["local.json"])
    assert cli("claims", "run", "local", *place.options, "--records", others).code == OK
    searched = {r.strategy.entry for r in records.load_folder(place.runs)[0]}
    assert searched == ({"local_search"} if code == "same" else {"local_search", "random_search"})
    assert json.loads(place.pages["local.json"])["tests"] == first["tests"]


def test_published_records_give_the_page_again_alone(cli: Cli, place: Place) -> None:
    first = place.pages
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    shutil.rmtree(place.runs)
    beside = place.folder / "out/claims/records"
    assert [path.name for path in beside.rglob("*.*")] == [records.PACKED_NAME] * 2
    packed = place.pages
    for path in (place.folder / "out").rglob("*"):
        if path.is_file() and beside not in path.parents:
            path.unlink()
    assert cli("claims", "run", "all", *place.options).code == OK
    assert place.pages == packed
    assert {name: content for name, content in packed.items() if name != records.PACKED_NAME} == first
    assert list(records.find(place.runs)) == []


def test_only_what_is_not_published_is_searched(cli: Cli, place: Place) -> None:
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    first = json.loads(place.pages["local.json"])
    shutil.rmtree(place.runs)
    for path in list(records.find(place.folder / "out/claims/records")):
        made = records.load_folder(path.parent)[0]
        if made[0].strategy.entry == "random_search":
            records.pack(made[:3], path)
    assert cli("claims", "run", "local", *place.options).code == OK
    searched = [(r.strategy.entry, r.seed) for r in records.load_folder(place.runs)[0]]
    assert searched == [("random_search", 3)]
    assert json.loads(place.pages["local.json"])["tests"] == first["tests"]


def test_a_damaged_file_of_published_records_is_named_and_kept(cli: Cli, place: Place) -> None:
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    path = next(iter(records.find(place.folder / "out/claims/records")))
    damaged = path.read_bytes()[:-20]
    path.write_bytes(damaged)
    shutil.rmtree(place.runs)
    ended = cli("claims", "run", "local", *place.options, "--publish")
    assert ended.code == USAGE
    assert f"{path} is damaged (" in ended.errors[0] and "remove it to search its runs again" in ended.errors[0]
    assert path.read_bytes() == damaged and not place.runs.exists()


def test_publishing_more_seeds_keeps_the_earlier_ones(cli: Cli, place: Place) -> None:
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    place.claim.write_text(CLAIM.replace("seeds = 4", "seeds = 2\nfirst_seed = 3"), encoding="utf-8")
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    made, unreadable = records.load_folder(place.folder / "out/claims/records")
    assert [(r.strategy.entry, r.seed) for r in made] == [
        (entry, seed) for entry in ("local_search", "random_search") for seed in range(5)
    ]
    assert unreadable == []


def test_published_records_of_earlier_code_serve_and_the_page_says_so(cli: Cli, place: Place) -> None:
    assert cli("claims", "run", "local", *place.options, "--publish").code == OK
    told = "The code of the strategy has changed since its runs: random_search."
    assert told not in place.pages["claims.md"].decode().replace("\\", "")
    for path in records.find(place.folder / "out/claims/records"):
        made = records.load_folder(path.parent)[0]
        if made[0].strategy.entry == "random_search":
            source = records.Source(builtin=True, sha256="0" * 64)
            older = [r.model_copy(update={"strategy": r.strategy.model_copy(update={"source": source})}) for r in made]
            records.pack(older, path)
    shutil.rmtree(place.runs)
    assert cli("claims", "run", "local", *place.options).code == OK
    assert list(records.find(place.runs)) == []
    for command in ("run", "page"):
        assert cli("claims", command, *(["local", *place.options] if command == "run" else place.shown)).code == OK
        assert told in place.pages["claims.md"].decode().replace("\\", "")


def test_a_claim_that_changed_is_not_shown_until_it_is_run_again(cli: Cli, place: Place) -> None:
    place.claim.write_text(CLAIM.replace("least = 0.05", "least = 0.01"), encoding="utf-8")
    shown = cli("claims", "page", *place.shown)
    assert shown.code == OK
    assert "local: its result is of another version of the claim, and not used" in shown.err
    assert b"| not run |" in place.pages["claims.md"]
    assert "local.png" not in place.pages
    assert cli("claims", "run", "local", *place.options).code == OK
    assert "local.png" in place.pages


def test_list_shows_names_states_and_titles(cli: Cli, place: Place) -> None:
    first, second = json.loads(cli("claims", "list", *place.shown, "--json").out)
    assert first["state"] in ("holds", "fails", "undecided")
    assert (second["state"], second["needs"]) == ("not run", "another table")
    shutil.rmtree(place.folder / "out")
    assert cli("claims", "list", *place.shown).out.splitlines() == [
        "local  not run     Local search beats random search",
        "needy  not run     Local search beats random search",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing",), "no claim 'nothing': choose among local, needy, or all alone"),
        (("all", "local"), "no claim 'all'"),
        (("local", "--clips", "words"), "--clips takes NAME=PATH, got 'words'"),
        (("local", "--records", "/nowhere"), "no folder /nowhere"),
    ],
)
def test_wrong_words_are_refused(cli: Cli, place: Place, words: tuple[str, ...], told: str) -> None:
    ended = cli("claims", "run", *words, *place.options)
    assert ended.code == USAGE
    assert told in ended.errors[0]


def test_one_claim_that_cannot_run_is_refused_and_among_several_passed_over(cli: Cli, place: Place) -> None:
    path = place.folder / "files/needy.toml"
    path.write_text(NEEDY.replace('needs = "another table"', ""), encoding="utf-8")
    assert "no table st_micro-elsewhere" in cli("claims", "run", "needy", *place.options).errors[0]
    ended = cli("claims", "run", "all", *place.options)
    assert ended.code == FAILED
    assert "needy: not run: no table st_micro-elsewhere" in ended.err
    assert "local.json" in place.pages
