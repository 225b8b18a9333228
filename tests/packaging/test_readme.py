"""The README's commands and example work as stated."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer

from pvnas_bench import conformance, records
from pvnas_bench.cli import main
from pvnas_bench.cli._app import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
MOST_WORDS = 1150
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
    assert tox["tox"]["env_list"].split(", ") == ["lint", "code"]
    parts = ["testenv:types", "testenv", "testenv:check"]
    assert tox["testenv:code"]["commands"].split() == [f"{{[{part}]commands}}" for part in parts]


@pytest.mark.skipif(os.name == "nt", reason="the script is for bash")
def test_ci_runs_the_second_block_first(tmp_path: Path) -> None:
    """In a checkout whose README has another second block, with a browser present, so that none is installed."""
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
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8")):
            linked = document.parent / target if target else document
            assert linked.exists(), f"{document} links to {target}"
            assert not anchor or anchor in anchors(linked), f"{document} links to {target}#{anchor}"


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    """Without code blocks and tables."""
    prose = re.sub(r"^```.*?^```|^\|.*?$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) <= MOST_WORDS


def test_the_readme_shows_a_picture_near_its_top() -> None:
    assert re.search(r"!\[[^]]+\]\(results/[^)]+\.png\)", README.partition("\n## ")[0])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_in_the_documents_exist(document: Path) -> None:
    """Every `pvnas-bench` command in a bash block, with its options."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    for words in filter(None, map(words_of, lines)):
        command: Any = typer.main.get_command(app)
        while commands := getattr(command, "commands", {}):
            if words[0].startswith("-"):
                break
            assert words[0] in commands, f"{document.name}: there is no command {words[0]!r}"
            command = command.get_command(None, words.pop(0))
        known = {"--help"} | {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        wrong = [word for word in words if word.startswith("--") and word not in known]
        assert not wrong, f"{document.name}: {command.name} has no option {wrong[0]}"


def words_of(line: str) -> list[str]:
    """The words after `pvnas-bench` or `-m pvnas_bench` in a line; empty if there are none."""
    found = re.search(r"(?:\bpvnas-bench|-m pvnas_bench) ([^#&>]*)", line)
    return re.sub(r"[\"']", "", found[1]).split() if found else []


def test_the_tests_run_the_installed_package() -> None:
    """Tests must import the installed package, not the source tree."""
    import pvnas_bench

    installed = Path(pvnas_bench.__file__).resolve()
    if os.environ.get("TOX_ENV_NAME"):
        assert ROOT / "pvnas_bench" not in installed.parents
        assert Path(sys.prefix).resolve() in installed.parents
