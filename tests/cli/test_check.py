import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pvnas_bench.cli import FAILED, OK, USAGE

from .conftest import Cli, Finished


@pytest.fixture
def worse(finished: Finished, tmp_path: Path) -> Path:
    """The finished run with an accuracy of zero."""
    record = json.loads(json.dumps(finished.record))
    for trained in record["outcome"]["trained"]:
        trained["test_top1"] = 0.0
    record["outcome"]["macs"] += 1
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "record.json").write_text(json.dumps(record))
    return tmp_path / "worse"


def test_an_unchanged_run_holds(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    words = ("--results", finished.results, "--baseline", tmp_path / "baseline.json")
    assert cli("check", *words, "--update").out == f"{tmp_path / 'baseline.json'}\n"
    ended = cli("check", *words)
    assert ended.code == OK
    assert ended.out.splitlines()[-1].startswith("0 regressed, ")


def test_a_worse_run_fails_with_the_reason(cli: Cli, finished: Finished, worse: Path, tmp_path: Path) -> None:
    words = ("--results", worse, "--baseline", finished.results, "--junit", tmp_path / "junit.xml", "--github")
    ended = cli("check", *words)
    assert ended.code == FAILED
    assert re.search(r"REGRESSED +exact +random_search +seed 0: MACs", ended.out)
    assert "\n::error title=exact%3A random_search::" in ended.out
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure")) > 0


@pytest.mark.parametrize("words", [["--baseline", "missing.json"], ["--margin", "3"]])
def test_bad_input(cli: Cli, finished: Finished, words: list[str]) -> None:
    ended = cli("check", "--results", finished.results, "--baseline", finished.results, *words)
    assert ended.code == USAGE
    assert ended.out == ""
    assert len(ended.errors) == 1


def test_a_baseline_needs_records(cli: Cli, tmp_path: Path) -> None:
    ended = cli("check", "--results", tmp_path, "--baseline", tmp_path / "baseline.json", "--update")
    assert ended.code == USAGE
    assert not (tmp_path / "baseline.json").exists()
