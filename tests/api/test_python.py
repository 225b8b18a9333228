"""The Python interface is what the command line calls: same records, boards, lists and errors."""

import dataclasses
import inspect
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest

import pvnas_bench as pb
from pvnas_bench import records
from pvnas_bench.api import arguments
from pvnas_bench.cli import USAGE, main
from pvnas_bench.grid.definition import Grid
from pvnas_bench.runs.request import Request, default_of, options

BUDGET = 0.4
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"strategy": "pvnass"}, ["--strategy", "pvnass"]),
    ({"strategy": "pvnas[k"}, ["--strategy", "pvnas[k"]),
    ({"strategy": "pvnas", "settings": {"x": 1}}, ["--strategy", "pvnas", "--set", "x=1"]),
    ({"strategy": "pvnas", "settings": {"k": "many"}}, ["--strategy", "pvnas", "--set", "k=many"]),
    ({"strategy": "pvnas[k=2]", "settings": {"k": 3}}, ["--strategy", "pvnas[k=2]", "--set", "k=3"]),
    ({"strategy": "pvnas", "space": "st_defalt"}, ["--strategy", "pvnas", "--space", "st_defalt"]),
    ({"strategy": "pvnas", "dataset": "no/where"}, ["--strategy", "pvnas", "--dataset", "no/where"]),
    ({"strategy": "pvnas", "protocol": "slow"}, ["--strategy", "pvnas", "--protocol", "slow"]),
    ({"strategy": "pvnas", "cap": "XXL"}, ["--strategy", "pvnas", "--cap", "XXL"]),
    ({"strategy": "pvnas", "cap": 0.5}, ["--strategy", "pvnas", "--cap", "0.5"]),
    ({"strategy": "pvnas", "cap": ["L", 2e7]}, ["--strategy", "pvnas", "--cap", "L", "--cap", "20000000"]),
    ({"strategy": "pvnas", "cap": ("params=many",)}, ["--strategy", "pvnas", "--cap", "params=many"]),
    ({"strategy": "expert", "null": True}, ["--strategy", "expert", "--null"]),
    ({"strategy": "pvnas", "budget": -1}, ["--strategy", "pvnas", "--budget", "-1"]),
    ({"strategy": "pvnas", "budget": "x"}, ["--strategy", "pvnas", "--budget", "x"]),
    ({"strategy": "pvnas", "seed": -1}, ["--strategy", "pvnas", "--seed", "-1"]),
    ({"strategy": "pvnas", "seed": "x"}, ["--strategy", "pvnas", "--seed", "x"]),
    ({"strategy": "pvnas", "threads": 0}, ["--strategy", "pvnas", "--threads", "0"]),
    ({"strategy": "pvnas", "precision": "int8"}, ["--strategy", "pvnas", "--precision", "int8"]),
    ({"strategy": "pvnas", "device": "tpu"}, ["--strategy", "pvnas", "--device", "tpu"]),
    ({"strategy": "pvnas", "checkpoint_seconds": -1}, ["--strategy", "pvnas", "--checkpoint-every", "-1"]),
    ({"strategy": "pvnas", "timeout": 0.5}, ["--strategy", "pvnas", "--timeout", "0.5"]),
    (
        {"strategy": "pvnas", "tabular": True, "dataset": "synthetic_motion_v2"},
        ["--strategy", "pvnas", "--tabular", "--dataset", "synthetic_motion_v2"],
    ),
    ({"strategy": "pvnas", "workers": 2}, ["--strategy", "pvnas", "--workers", "2"]),
]


def error_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line with which the command line refuses these words."""
    capsys.readouterr()
    assert main(words) == USAGE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return line.removeprefix("error: ")


@pytest.mark.parametrize(("given", "words"), BAD, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_a_bad_argument_has_the_words_of_the_command_line(
    given: dict[str, Any], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(pb.UsageError) as caught:
        pb.run(**given, results=tmp_path, progress=False)
    assert str(caught.value) == error_of(["run", *words, "--results", str(tmp_path)], capsys)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"strategies": "pvnass"}, ["--strategy", "pvnass"]),
        ({"strategies": ["random_search"], "seeds": 0}, ["--strategy", "random_search", "--seeds", "0"]),
        ({"strategies": ["random_search"], "workers": 0}, ["--strategy", "random_search", "--workers", "0"]),
        ({"strategies": ["random_search"], "budget": 0}, ["--strategy", "random_search", "--budget", "0"]),
        ({"grid": "none.toml"}, ["none.toml"]),
        (
            {"strategies": "random_search", "cap": ["L", "macs=5M"]},
            ["--strategy", "random_search", "--cap", "L", "--cap", "macs=5M"],
        ),
        ({"strategies": "expert", "null": True}, ["--strategy", "expert", "--null"]),
        (
            {"strategies": "random_search", "ray_address": "a:1"},
            ["--strategy", "random_search", "--ray-address", "a:1"],
        ),
    ],
)
def test_a_bad_grid_has_the_words_of_the_command_line(
    given: dict[str, Any], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(pb.UsageError) as caught:
        pb.compare(**given, results=tmp_path, progress=False)
    assert str(caught.value) == error_of(["compare", *words, "--results", str(tmp_path)], capsys)


def annotation(kind: Any) -> str:
    return inspect.formatannotation(kind)


def test_run_takes_every_field_of_a_request_with_its_default() -> None:
    taken = inspect.signature(pb.run).parameters
    for field in dataclasses.fields(Request):
        assert field.name in taken, field.name
        if field.name in ("strategy", "settings"):
            continue
        default = default_of(field)
        assert taken[field.name].default == (str(default) if isinstance(default, Path) else default), field.name
    more = set(taken) - {field.name for field in dataclasses.fields(Request)}
    assert more == {"executor", "workers", "ray_address", "progress", "observer"}


def test_compare_takes_every_option_of_the_command() -> None:
    taken = set(inspect.signature(pb.compare).parameters)
    declared = {option.axis or field.name for field, option in options("compare")}
    assert taken - declared == {"grid", "workers", "retry_failed", "executor", "ray_address", "progress"}
    assert declared <= taken
    assert set(Grid.model_fields) <= taken


@pytest.mark.parametrize("function", [pb.run, pb.compare])
def test_every_argument_is_documented(function: Callable[..., object]) -> None:
    text = inspect.getdoc(function) or ""
    described = {line.strip().partition(":")[0] for line in text.partition("Args:\n")[2].splitlines()}
    assert set(inspect.signature(function).parameters) <= described


def test_values_become_the_types_of_a_request() -> None:
    request = arguments.request_of(
        Path("mine.py"), {"k": 2, "rate": 0.5}, cap=2.5e7, results="here", threads="2", dataset=Path("clips")
    )
    assert request == Request(
        "mine.py", settings={"k": "2", "rate": "0.5"}, cap="25000000", results=Path("here"), threads=2, dataset="clips"
    )
    assert arguments.request_of("pvnas", cap=[5e6, "params=30k"]).cap == "5000000,params=30k"
    assert arguments.request_of("pvnas", cap=[]).cap is None
    hints = get_type_hints(Request)
    assert isinstance(request.results, hints["results"])


@pytest.fixture(scope="module")
def result(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> pb.RunResult:
    """A short run on the tiny data set."""
    results = tmp_path_factory.mktemp("runs")
    return pb.run("random_search", dataset=tiny_dataset, budget=BUDGET, threads=1, results=results, progress=False)


def test_a_run_is_that_of_the_command_line(
    result: pb.RunResult, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", str(tiny_dataset), "--budget", str(BUDGET), "--threads", "1", "--results", str(tmp_path)]
    assert main(["run", "--strategy", "random_search", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    unlike = {"record", "search_wall_seconds"}
    assert {k: v for k, v in result.summary.items() if k not in unlike} == {
        k: v for k, v in printed.items() if k not in unlike
    }
    assert pb.load_record(printed["record"]).trajectory[-1].incumbent == result.record.trajectory[-1].incumbent


def test_a_run_shows_itself(result: pb.RunResult) -> None:
    assert result.status == "ok"
    assert result.score is not None and result.record.outcome is not None
    assert result.score.top1 == result.record.outcome.trained[0].test_top1
    assert f"architecture  {result.architecture}" in str(result)
    for path in (result.path, result.path.parent):
        assert pb.load_record(path).model_dump_json() == result.record.model_dump_json()


def test_a_repeated_run_is_the_same(result: pb.RunResult, tiny_dataset: Path, tmp_path: Path) -> None:
    again = pb.run("random_search", dataset=tiny_dataset, budget=BUDGET, threads=1, results=tmp_path, progress=False)
    assert again.architecture == result.architecture and again.score == result.score


class Heard(pb.Observer):
    """Notes what it hears of a run."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def stepped(self, step: records.Step, budget: float) -> None:
        self.steps.append(step.step)


def test_an_observer_hears_every_step(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    result = pb.run("random_search", dataset=tiny_dataset, budget=BUDGET, threads=1, results=tmp_path, observer=heard)
    assert heard.steps == [step.step for step in result.record.trajectory]
    assert capsys.readouterr().err == ""


def test_a_leaderboard_is_that_of_the_command_line(
    result: pb.RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = result.path.parent.parent, tmp_path / "board.parquet"
    assert main(["leaderboard", "--results", str(folder), "--output", str(file)]) == 0
    frame = pb.leaderboard(folder)
    pd.testing.assert_frame_equal(frame, pd.read_parquet(file), check_dtype=False)
    assert frame.top1_mean.dtype == float and frame.rank_low.dtype == float
    assert any("random-sampling control" in note for note in frame.attrs["notes"])
    pd.testing.assert_frame_equal(frame, pb.leaderboard([result.record]))
    pd.testing.assert_frame_equal(frame, result.leaderboard())


def test_a_leaderboard_without_records_is_refused_or_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="showing the published runs"):
        published = pb.leaderboard()
    assert {"pvnas", "random_search"} <= set(published.strategy)
    with pytest.raises(pb.UsageError, match="no results folder elsewhere"):
        pb.leaderboard("elsewhere")
    with pytest.raises(pb.UsageError, match="no records"):
        pb.leaderboard([])


def test_unreadable_records_are_named_in_a_warning(result: pb.RunResult, tmp_path: Path) -> None:
    (tmp_path / "good.record.json").write_bytes(result.path.read_bytes())
    (tmp_path / "bad.record.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out .*bad\.record\.json: not JSON"):
        (loaded,) = pb.load_records(tmp_path)
    assert loaded.id == result.record.id
    with pytest.raises(pb.UsageError, match=r"bad\.record\.json: not JSON"):
        pb.load_record(tmp_path / "bad.record.json")
    with pytest.raises(pb.UsageError, match="No such file or directory"):
        pb.load_record(tmp_path / "none")


def test_a_comparison_runs_a_grid_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def compare() -> pb.Comparison:
        return pb.compare(
            ["random_search", "local_search"], spaces="st_micro", tabular=True, seeds=2, workers=1, results=tmp_path
        )

    first = compare()
    assert first.complete
    assert [(cell.entry, cell.request.seed) for cell in first.cells] == [
        ("random_search", 0),
        ("local_search", 0),
        ("random_search", 1),
        ("local_search", 1),
    ]
    assert "4 cells: 4 ok" in capsys.readouterr().err
    board = first.leaderboard(reference=False)
    assert set(board.entry) == {"random_search", "local_search"} and set(board.seeds) == {2}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("records.jsonl")}
    assert len(written) == 2
    assert [cell.top1 for cell in compare().cells] == [cell.top1 for cell in first.cells]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("records.jsonl")} == written


def test_a_grid_file_and_arguments_make_one_grid(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('strategies = ["random_search"]\nspaces = ["st_micro"]\ntabular = true\n')
    done = pb.compare(grid=tmp_path / "grid.toml", seeds=1, results=tmp_path / "runs", progress=False)
    assert [(cell.entry, cell.state) for cell in done.cells] == [("random_search", "ok")]


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("strategies", pb.list_strategies),
        ("spaces", pb.list_spaces),
        ("datasets", pb.list_datasets),
        ("protocols", pb.list_protocols),
    ],
)
def test_lists_are_those_of_the_command_line(
    what: str, function: Callable[[], list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", what, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps([dataclasses.asdict(o) for o in function()]))
    assert len(pd.DataFrame(function())) == len(function()) > 0


def test_null_searches_are_apart(tmp_path: Path) -> None:
    results: dict[bool, pb.RunResult] = {}
    for null in (False, True):
        results[null] = pb.run(
            "random_search", space="st_micro", tabular=True, null=null, results=tmp_path, progress=False
        )
        assert results[null].summary["null"] == null
        assert [record.null for record in pb.load_records(tmp_path, null=null)] == [null]
        (entry,) = pb.leaderboard(tmp_path, reference=False, null=null).entry
        assert entry == results[null].record.strategy.entry
        pd.testing.assert_frame_equal(
            results[null].leaderboard(reference=False), pb.leaderboard(tmp_path, reference=False, null=null)
        )
    assert len(pb.load_records(tmp_path)) == 2
    results[False].path.unlink()
    with pytest.raises(pb.UsageError, match="no records of real searches"):
        pb.leaderboard(tmp_path)


def test_a_grid_of_null_searches_has_its_own_board(tmp_path: Path) -> None:
    real, null = (
        pb.compare(
            "random_search", spaces="st_micro", tabular=True, null=null, seeds=1, results=tmp_path, progress=False
        )
        for null in (None, True)
    )
    assert list(real.leaderboard(reference=False).entry) == ["random_search"]
    assert list(null.leaderboard(reference=False).entry) == ["random_search (null)"]


def test_a_run_says_what_it_costs_under_each_cap(tiny_dataset: Path, tmp_path: Path) -> None:
    result = pb.run(
        "random_search",
        dataset=tiny_dataset,
        cap=["L", "params=40k"],
        budget=BUDGET,
        threads=1,
        results=tmp_path,
        weights=False,
        progress=False,
    )
    assert result.summary["cap"] == "L,params=40000"
    assert re.search(r"MMACs of 7\.00 allowed, [\d,]+ parameters of 40,000 allowed", str(result))


@pytest.mark.parametrize("what", ["none.safetensors", "text.safetensors", "."])
def test_what_is_no_model_is_refused_in_the_words_of_the_command_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.safetensors").write_text("not a model")
    with pytest.raises(pb.UsageError) as caught:
        pb.load_model(what)
    assert str(caught.value) == error_of(["evaluate", what, "clips"], capsys)


def test_a_table_is_a_data_frame() -> None:
    table = pb.load_table()
    frame = table.to_frame()
    assert len(frame) == sum(len(table.trainings(architecture)) for architecture in table.architectures)
    means = frame.groupby("network").test_top1.mean()
    assert all(math.isclose(means[one], table.top1(one)) for one in table.architectures)
    assert frame.test_top1_reversed.dtype == float
    with pytest.raises(pb.UsageError, match="--dataset can be fir_days, synthetic_motion or words"):
        pb.load_table(dataset="nothing")


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, pvnas_bench; print({n.partition('.')[0] for n in sys.modules} & set(sys.argv[1:]))"
    heavy = ["torch", "numpy", "pandas", "pydantic", "typer", "rich"]
    ended = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def test_every_public_name_is_there() -> None:
    assert set(dir(pb)) == set(pb.__all__)
    for name in pb.__all__:
        assert getattr(pb, name) is not None
    assert callable(pb.run)
