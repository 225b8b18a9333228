"""A thousand files and words that are malformed or hostile: each is a clear error, none a traceback or an escape."""

import contextlib
import copy
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import FILES, VALUES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import content as table_content
from record_factory import content

from pvnas_bench import records, registry
from pvnas_bench.cli import FAILED, OK, USAGE, main
from pvnas_bench.table import journal
from pvnas_bench.table.store import to_parquet

WHOLE = [json.loads(records.Record.model_validate(content("alpha", seed)).model_dump_json()) for seed in range(2)]
TABLE = table_content(registry.get_space("st_micro"), sample=3)
HERE = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder inside another folder, to which nothing may be written."""
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    yield inner
    outside = [
        path for path in tmp_path.rglob("*") if inner not in path.parents and path not in (inner, *inner.parents)
    ]
    assert outside == []
    assert not (inner / "pickle_was_executed").exists()


def told(*words: object) -> tuple[int, str]:
    """Check that a command ended without a traceback and with at most one line of error; return code and output."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    errors = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    assert code in (OK, FAILED, USAGE), err.getvalue()
    assert len(errors) == (code == USAGE), err.getvalue()
    assert "Traceback" not in out.getvalue() + err.getvalue()
    assert "\x1b" not in err.getvalue()
    return code, out.getvalue() + err.getvalue()


def empty(folder: Path) -> Path:
    """Empty the folder of an earlier example's files."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return folder


@st.composite
def bent(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value with a part replaced, removed or added."""
    made = copy.deepcopy(whole)
    place = made
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and draw(st.booleans()):
            place = inner
            continue
        how = draw(st.integers(0, 9))
        if how == 0:
            del place[key]
        elif how == 1 and isinstance(place, dict):
            place[draw(st.sampled_from(["extra", "__class__", "<b>", "../x"]))] = inner
        else:
            place[key] = draw(st.sampled_from(VALUES))
        return made


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_records_are_left_out(scratch: Path, name: str) -> None:
    (scratch / "results").mkdir()
    (scratch / "results" / "x.record.json").write_bytes(FILES[name])
    for command in (("leaderboard",), ("report", "--output", "page.html"), ("plot", "tradeoff", "--output", "plots")):
        code, text = told(*command, "--results", "results")
        assert code == USAGE and "no records in results" in text
    assert [path.name for path in scratch.rglob("*") if path.is_file()] == ["x.record.json"]


@settings(HERE, max_examples=300)
@given(bent(WHOLE[0]), st.sampled_from(["terminal", "markdown", "csv", "json"]))
def test_a_mutated_record_is_shown_or_left_out(scratch: Path, record: Any, format: str) -> None:
    results = empty(scratch) / "results"
    write(results / "a" / "record.json", record)
    write(results / "b" / "record.json", WHOLE[1])
    code, text = told("leaderboard", "--results", "results", "--format", format, "--no-reference")
    assert code == OK
    assert "\x1b" not in text


@settings(HERE, max_examples=100)
@given(bent(WHOLE[0]))
def test_a_page_has_no_markup_from_a_mutated_record(scratch: Path, record: Any) -> None:
    results = empty(scratch) / "results"
    write(results / "a" / "record.json", record)
    write(results / "b" / "record.json", WHOLE[1])
    code, _ = told("report", "--results", "results", "--output", "page.html", "--no-reference")
    page = (scratch / "page.html").read_text(encoding="utf-8")
    assert code == OK
    assert page.count("<script") == 2 and "<img" not in page and "onerror" not in page.partition('id="data"')[0]
    assert sorted(path.name for path in scratch.iterdir()) == ["page.html", "results"]


@pytest.mark.long
@settings(HERE, max_examples=40, deadline=None)
@given(bent(WHOLE[0]))
def test_every_command_reads_the_same_records(scratch: Path, record: Any) -> None:
    results = empty(scratch) / "results"
    write(results / "a" / "record.json", record)
    write(results / "b" / "record.json", WHOLE[1])
    words = ("--results", "results", "--no-reference")
    said = [
        told(*command, *words)
        for command in (("leaderboard",), ("report",), ("plot", "anytime", "tradeoff", "--format", "svg"))
    ]
    said.append(told("check", "--results", "results", "--baseline", "baseline.json", "--update"))
    left_out = [[line for line in text.splitlines() if line.startswith("left out ")] for _, text in said]
    assert [code for code, _ in said] == [OK] * 4
    assert left_out == left_out[:1] * 4
    kept = json.loads((scratch / "baseline.json").read_text(encoding="utf-8"))
    assert len(kept) == 2 - len(left_out[0])


@settings(HERE, max_examples=60)
@given(bent(WHOLE[0]))
def test_a_check_of_a_mutated_record_judges_or_refuses(scratch: Path, record: Any) -> None:
    results = empty(scratch) / "results"
    write(results / "a" / "record.json", WHOLE[0])
    write(scratch / "baseline.json", [record, WHOLE[1]])
    told("check", "--results", "results", "--baseline", "baseline.json", "--junit", "junit.xml")


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "..", "a" * 3000])
def test_pictures_stay_in_their_folder(scratch: Path, name: str) -> None:
    record = copy.deepcopy(WHOLE[0])
    for part in ("space", "data", "protocol", "strategy"):
        record[part]["name"] = record["strategy"]["entry"] = name
    write(scratch / "results" / "a" / "record.json", record)
    told("plot", "tradeoff", "--results", "results", "--output", "plots", "--format", "svg", "--no-reference")
    assert {path.parent.name for path in scratch.rglob("*.svg")} <= {"plots"}


def test_paths_that_are_not_files_are_not_read(scratch: Path) -> None:
    results = scratch / "results"
    write(results / "a" / "record.json", WHOLE[0])
    (results / "zero.record.json").symlink_to("/dev/zero")
    (results / "loop.record.json").symlink_to("loop.record.json")
    (results / "gone.record.json").symlink_to("nowhere")
    os.mkfifo(results / "pipe.record.json")
    (results / "folder.record.json").mkdir()
    huge = results / "huge.record.json"
    huge.touch()
    os.truncate(huge, 2**40)
    (results / "up").symlink_to("..")
    _, text = told("leaderboard", "--results", "results", "--no-reference")
    for name in ("zero", "loop", "gone", "pipe", "huge"):
        assert f"left out results/{name}.record.json: " in text


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_table_is_refused(scratch: Path, name: str, suffix: str) -> None:
    (scratch / "tables").mkdir()
    (scratch / "tables" / f"st_micro-made_up.{suffix}").write_bytes(FILES[name])
    words = ("--dataset", "made_up", "--tables", "tables")
    assert told("table", "info", *words)[0] == USAGE
    assert told("run", "--strategy", "random_search", "--space", "st_micro", "--tabular", *words)[0] == USAGE


@settings(HERE, max_examples=80)
@given(st.data())
def test_a_journal_with_a_mutated_line_is_shown_or_refused(scratch: Path, data: st.DataObject) -> None:
    tables = empty(scratch) / "tables"
    tables.mkdir()
    with journal.opened(tables / "st_micro-made_up.jsonl") as entries:
        assert TABLE.about is not None
        for entry in (TABLE.about, *TABLE.sessions, *TABLE.trainings):
            entries.append(entry)
    lines = (tables / "st_micro-made_up.jsonl").read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(data.draw(bent(json.loads(lines[number]))))
    (tables / "st_micro-made_up.jsonl").write_text("".join(f"{line}\n" for line in lines), errors="surrogatepass")
    told("table", "info", "--dataset", "made_up", "--tables", "tables")


@settings(HERE, max_examples=60)
@given(st.data())
def test_a_table_with_mutated_bytes_is_shown_or_refused(scratch: Path, data: st.DataObject) -> None:
    tables = empty(scratch) / "tables"
    tables.mkdir()
    whole = bytearray(to_parquet(TABLE))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tables / "st_micro-made_up.parquet").write_bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    told("table", "info", "--dataset", "made_up", "--tables", "tables")


def test_names_in_a_table_are_not_used_as_paths(scratch: Path) -> None:
    assert TABLE.about is not None
    evil = TABLE.about.model_copy(update={"data": TABLE.about.data.model_copy(update={"name": "../../../escaped"})})
    (scratch / "tables").mkdir()
    bent = copy.copy(TABLE)
    bent.about = evil
    (scratch / "tables" / "st_micro-made_up.parquet").write_bytes(to_parquet(bent))
    assert told("table", "info", "--dataset", "made_up", "--tables", "tables")[0] == USAGE
    assert told("table", "report", "--dataset", "made_up", "--tables", "tables", "--output", "out/p.md")[0] == USAGE


# --- grids, manifests, words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_grid_is_refused(scratch: Path, name: str) -> None:
    (scratch / "grid.toml").write_bytes(FILES[name])
    assert told("compare", "grid.toml", "--results", "results")[0] == USAGE
    assert not (scratch / "results").exists()


GRID = {
    "strategies": ["no_such"],
    "spaces": ["st_default"],
    "datasets": ["synthetic_motion"],
    "seeds": 2,
    "budget": 0.5,
}


@settings(HERE, max_examples=80)
@given(st.sampled_from(sorted(GRID)), st.sampled_from(VALUES), st.booleans())
def test_a_grid_with_a_mutated_value_is_refused(scratch: Path, key: str, value: Any, listed: bool) -> None:
    empty(scratch)
    values = {**GRID, key: [value] if listed else value}
    lines = [f"{name} = {json.dumps(given)}" for name, given in values.items()]
    (scratch / "grid.toml").write_text("\n".join(lines), errors="surrogatepass")
    assert told("compare", "grid.toml", "--results", "results")[0] == USAGE


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_manifest_is_refused(scratch: Path, name: str) -> None:
    (scratch / "clips.csv").write_bytes(FILES[name])
    assert told("data", "prepare", "clips.csv")[0] == USAGE


@settings(HERE, max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([str(value) for value in VALUES if isinstance(value, str)]),
            st.sampled_from(["a", "b", "", "\x1b[1m", "../b", "<b>"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_manifest_that_points_anywhere_is_refused(scratch: Path, rows: list[tuple[str, str]]) -> None:
    empty(scratch)
    text = "path,label\n" + "".join(f'"{path}","{label}"\n' for path, label in rows)
    (scratch / "clips.csv").write_text(text, errors="surrogatepass")
    assert told("data", "prepare", "clips.csv")[0] == USAGE


OPTIONS = ("--strategy", "--space", "--dataset", "--protocol", "--cap", "--budget", "--seed", "--set", "--device")
WORDS = [str(value) for value in VALUES if isinstance(value, str | int | float) and "\0" not in str(value)]


@pytest.mark.long
@settings(HERE, max_examples=150)
@given(st.sampled_from(OPTIONS), st.sampled_from(WORDS) | st.text(max_size=20))
def test_a_word_that_is_not_a_value_is_refused(scratch: Path, option: str, word: str) -> None:
    empty(scratch)
    words = {"--strategy": "expert", "--dataset": "no_such", "--results": "results", option: word}
    code, _ = told("run", *(part for pair in words.items() for part in pair))
    assert code == USAGE
    assert not (scratch / "results").exists()
