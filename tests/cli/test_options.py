"""Options of a run are declared once: flags, grid keys, the command in a record and the documentation agree."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench import UsageError
from pvnas_bench.cli import OK, USAGE, _options
from pvnas_bench.grid.definition import Grid
from pvnas_bench.runs.request import Request, options

from .conftest import BUDGET, Cli

ROOT = Path(__file__).resolve().parents[2]


def asked(cli: Cli, monkeypatch: pytest.MonkeyPatch, *words: object) -> Request:
    """Request that `run` parses from its arguments."""
    from pvnas_bench.cli import _run

    heard: list[Request] = []
    monkeypatch.setattr(_run, "run", lambda request, **_: heard.append(request) or OK)
    ended = cli("run", *words)
    assert ended.code == OK, ended.err
    return heard[0]


def test_the_documentation_is_generated_from_the_fields() -> None:
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == _options.table(), (
        "write it again: python -c 'from pvnas_bench.cli import _options; print(_options.table(), end=\"\")'"
    )


def test_every_field_but_the_cache_is_an_option_of_run() -> None:
    assert {field.name for field, _ in options("run")} == {field.name for field in fields(Request)} - {"cache"}


@pytest.mark.parametrize("command", ["run", "profile", "compare"])
def test_help_names_every_option(cli: Cli, command: Any) -> None:
    text = " ".join(cli(command, "--help").out.split())
    for field, option in options(command):
        assert option.help.rstrip(".")[:40] in text or option.axis_help, field.name


def test_declaring_options_imports_the_standard_library_only() -> None:
    program = (
        "import sys; import pvnas_bench.runs.request; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'numpy', 'pydantic', 'typer'}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_request_round_trips_through_its_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Request("pvnas", protocol="quick", cap="L", budget=6.0, threads=2)
    for request in (
        plain,
        replace(plain, settings={"cycles": "2", "k": "3"}, precision="bfloat16", seed=4, device="cpu"),
        replace(plain, tabular=True, partial=True, deterministic=False, cached=False, budget=0.25),
    ):
        assert asked(cli, monkeypatch, *request.words()) == request


def test_a_strategy_has_one_spelling(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said = asked(cli, monkeypatch, "--strategy", "expert[network=tsm]")
    assert (said.strategy, said.settings) == ("expert", {"network": "tsm"})
    assert said == asked(cli, monkeypatch, "--strategy", "expert", "--set", "network=tsm")
    (listed,) = Grid.parse({"strategies": ["expert[network=tsm]"], "seeds": 1}).requests(
        said.results, threads=None, weights=True
    )
    assert listed == said


def test_a_cap_may_be_repeated(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--strategy", "a", "--cap", "latency=3ms", "--cap", "params=30k")
    assert asked(cli, monkeypatch, *words).cap == "latency=3ms,params=30k"
    assert asked(cli, monkeypatch, "--strategy", "a").cap is None
    heard = heard_by_compare(monkeypatch)
    cli("compare", *words)
    assert heard[0][0]["cap"] == "latency=3ms,params=30k"
    for value in (["latency=3ms", "params=30k"], "latency=3ms,params=30k"):
        grid = Grid.parse({"strategies": ["a"], "seeds": 1, "cap": value})
        assert [request.cap for request in grid.requests(Path())] == ["latency=3ms,params=30k"]
    with pytest.raises(UsageError, match="key cap of the grid"):
        Grid.parse({"strategies": ["a"], "cap": [3]})


def test_a_path_may_have_brackets(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said = asked(cli, monkeypatch, "--strategy", "a[1]/mine.py[k=2]")
    assert (said.strategy, said.settings) == ("a[1]/mine.py", {"k": "2"})
    assert asked(cli, monkeypatch, "--strategy", "a[1]/mine.py").strategy == "a[1]/mine.py"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--strategy", "expert[network=tsm]", "--set", "network=c2d"], "--strategy and --set both name 'network'"),
        (["--strategy", "expert[network=tsm, network=c2d]"], "names 'network' twice: keep one"),
        (["--strategy", "expert[network"], "is not a strategy: write name or name[key=value, ...]"),
    ],
)
def test_hyper_parameters_in_conflict_are_refused(cli: Cli, words: list[str], reason: str) -> None:
    ended = cli("run", *words)
    assert ended.code == USAGE
    assert reason in ended.err


def heard_by_compare(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    from pvnas_bench.cli import _compare

    heard: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(_compare, "compare", lambda _, keys, shared, **__: heard.append((keys, shared)) or OK)
    return heard


def test_compare_passes_only_given_options_to_its_grid(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = heard_by_compare(monkeypatch)
    cli("compare", "--strategy", "a", "--strategy", "b[k=1]", "--seeds", 2, "--budget", "0", "--partial")
    keys, shared = heard[0]
    assert keys == {"strategies": ["a", "b[k=1]"], "seeds": 2, "budget": 0.0, "partial": True}
    assert (shared["threads"], shared["weights"]) == (1, False)
    assert shared.keys() == {
        *("tables", "deterministic", "device", "threads", "results", "weights", "timeout", "tensorboard", "mlflow")
    }


def test_a_grid_has_a_key_for_every_compared_option() -> None:
    assert list(Grid.model_fields) == [
        *("strategies", "spaces", "datasets", "seeds"),
        *("protocol", "cap", "budget", "precision", "tabular", "null", "partial"),
    ]


def test_a_run_takes_a_strategy_as_compare_writes_it(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    words = ("--dataset", tiny_dataset, "--budget", BUDGET, "--threads", 1, "--results", tmp_path)
    ended = cli("run", "--strategy", "expert[network=c2d]", *words)
    assert ended.code == OK, ended.err
    assert "expert[network=c2d] on st_default" in ended.out
