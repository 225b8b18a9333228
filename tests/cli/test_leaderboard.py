import csv
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench import records
from pvnas_bench.api import results
from pvnas_bench.cli import OK, USAGE

from .conftest import Cli, Finished

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
"""The published records, in the source tree."""


def published(finished: Finished, folder: Path, entry: str, **changes: Any) -> None:
    """Put a record like the finished one into a package of published records."""
    record = json.loads(json.dumps(finished.record))
    record["id"] = entry
    record["strategy"] |= {"name": entry, "entry": entry}
    for part, change in changes.items():
        record[part] |= change
    target = folder / entry / "record.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(record))


@pytest.fixture
def reference(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Published records: one on the finished run's board, one on another, and the finished one itself."""
    folder = tmp_path / "published_records"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    published(finished, folder, "of_the_same_board")
    published(finished, folder, "of_another_board", protocol={"fingerprint": "other"})
    (folder / "same").mkdir()
    (folder / "same" / "record.json").write_text(json.dumps(finished.record))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(results, "REFERENCE", folder.name)
    yield
    sys.modules.pop(folder.name, None)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.usefixtures("reference")
def test_published_records_of_the_same_board_are_among_the_rows(cli: Cli, finished: Finished) -> None:
    found = rows(cli("leaderboard", "--results", finished.results, "--format", "csv").out)
    assert [(row["entry"], row["runs"]) for row in found] == [("of_the_same_board", "1"), ("random_search", "1")]


@pytest.mark.usefixtures("reference")
def test_published_records_can_be_left_out(cli: Cli, finished: Finished) -> None:
    found = rows(cli("leaderboard", "--results", finished.results, "--format", "csv", "--no-reference").out)
    assert [row["entry"] for row in found] == ["random_search"]


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_without_records_is_an_error(cli: Cli, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    ended = cli("leaderboard", "--results", tmp_path / folder)
    assert ended.code == USAGE
    assert ended.out == ""
    assert "run a search first" in ended.errors[0]


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_newcomer_without_records_sees_the_published_boards(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if folder == "empty":
        results.RUNS.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    ended = cli("leaderboard")
    assert (ended.code, ended.err) == (OK, "no records in results/runs yet: showing the published runs\n")
    published, _ = records.load_folder(REFERENCE, detail="scores")
    boards = json.loads(cli("leaderboard", "--format", "json").out)
    assert {row["entry"] for board in boards for row in board["rows"]} == {r.strategy.entry for r in published}
    assert sum(row["runs"] for board in boards for row in board["rows"]) == len(published) > 0
    assert all(f"{100 * board['rows'][0]['top1_mean']:.1f}" in ended.out for board in boards)
    assert sorted(tmp_path.rglob("*")) == before
    declined = cli("leaderboard", "--no-reference")
    assert declined.code == USAGE and "run a search first" in declined.errors[0]


def test_a_newcomers_first_record_ends_that(
    cli: Cli, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.results, results.RUNS)
    ended = cli("leaderboard", "--format", "csv")
    assert (ended.code, ended.err) == (OK, "")
    assert [row["entry"] for row in rows(ended.out)] == ["random_search"]


def test_files_that_are_not_records_are_named_and_left_out(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "record.json").write_text(json.dumps(finished.record))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "record.json").write_text(json.dumps(finished.record)[:500])
    ended = cli("leaderboard", "--results", tmp_path)
    assert ended.code == OK
    assert "random_search" in ended.out
    assert ended.err.startswith(f"left out {tmp_path / 'cut' / 'record.json'}: not JSON, or truncated")


def test_every_format_holds_the_same_score(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    words = ("leaderboard", "--results", finished.results)
    top1 = finished.record["outcome"]["trained"][0]["test_top1"]
    assert f"{100 * top1:.1f}" in cli(*words).out
    assert f"| {100 * top1:.1f} |" in cli(*words, "--format", "markdown").out
    assert float(rows(cli(*words, "--format", "csv").out)[0]["top1_mean"]) == pytest.approx(top1)
    assert json.loads(cli(*words, "--format", "json").out)[0]["rows"][0]["top1_mean"] == pytest.approx(top1)
    assert cli(*words, "--output", tmp_path / "board.parquet").code == OK
    assert pq.read_table(tmp_path / "board.parquet")["top1_mean"].to_pylist() == [pytest.approx(top1)]


@pytest.mark.parametrize("suffix", [".md", ".csv", ".json", ".txt"])
def test_the_suffix_of_the_output_names_the_format(cli: Cli, finished: Finished, tmp_path: Path, suffix: str) -> None:
    format = {".md": "markdown", ".csv": "csv", ".json": "json", ".txt": "terminal"}[suffix]
    words = ("leaderboard", "--results", finished.results)
    assert cli(*words, "--output", tmp_path / f"board{suffix}").out == ""
    assert (tmp_path / f"board{suffix}").read_text() == cli(*words, "--format", format).out


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--format", "parquet"], "the format parquet is binary: name a file with --output"),
        (["--output", "board.docx"], "use one of .txt, .md, .csv, .json, .parquet, or give --format"),
        (["--output", "record.json/board.md"], "choose another path with --output"),
    ],
)
def test_an_invalid_output_is_refused(
    cli: Cli, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], remedy: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("record.json").write_text("")
    ended = cli("leaderboard", "--results", finished.results, *words)
    assert ended.code == USAGE
    assert remedy in ended.errors[0]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "record.json"]
