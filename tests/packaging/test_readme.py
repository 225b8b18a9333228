"""The README's commands and example are what they say."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from pvnas_bench import conformance, records
from pvnas_bench.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_two_blocks_are_one_command_each() -> None:
    (first_kind, first), (second_kind, second) = BLOCKS[:2]
    assert (first_kind, second_kind) == ("bash", "bash")
    assert first.count("\n") == second.count("\n") == 1
    assert first.endswith("python -m pvnas_bench run --strategy pvnas --space st_default\n")
    assert second.endswith("bin/tox\n")


def test_tox_without_arguments_checks_style_types_and_regressions_and_runs_the_tests() -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert tox["tox"]["env_list"].split(", ") == ["lint", "types", "tests", "check"]


@pytest.mark.skipif(os.name == "nt", reason="the script is for bash")
def test_ci_runs_the_second_block(tmp_path: Path) -> None:
    """In a checkout whose README has another second block, and with a browser that is found, so not installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "chromium").chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "README.md").write_text(README.replace(BLOCKS[1][1], "echo the tests; exit 3\n"))
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(["bash", str(tmp_path / ".ci" / "run")], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (3, "+ echo the tests; exit 3\nthe tests\n")


def test_the_example_strategy_runs(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [content for kind, content in BLOCKS if kind == "python"]
    mine = tmp_path / "mine.py"
    mine.write_text(code)
    words = ["--dataset", str(tiny_dataset), "--budget", "2.0", "--threads", "1", "--results", str(tmp_path / "runs")]
    assert main(["run", "--strategy", str(mine), *words]) == 0
    record = records.load(Path(capsys.readouterr().out.splitlines()[-1]))
    assert record.strategy.name == "hill_climb"
    assert record.search.architectures_evaluated >= 2
    assert {"val_top1"} == set().union(*(step.metrics for step in record.trajectory))


def test_the_example_strategy_keeps_to_the_contract(tmp_path: Path) -> None:
    (code,) = [content for kind, content in BLOCKS if kind == "python"]
    (mine := tmp_path / "mine.py").write_text(code)
    assert [result for result in conformance.check(str(mine)) if not result.passed] == []


def test_files_that_the_documents_link_to_exist() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_python_is_the_one_that_tests_run_in() -> None:
    """The tests judge what is installed, not the source tree beside them."""
    import pvnas_bench

    installed = Path(pvnas_bench.__file__).resolve()
    if os.environ.get("TOX_ENV_NAME"):
        assert ROOT / "pvnas_bench" not in installed.parents
        assert Path(sys.prefix).resolve() in installed.parents
