"""Seconds of interactive commands, start included; `--help` and `leaderboard` stay below one."""

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench.cli import main


@pytest.fixture(scope="module")
def results(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one record."""
    folder = tmp_path_factory.mktemp("results")
    words = ["--dataset", str(tiny_dataset), "--threads", "1", "--results", str(folder)]
    assert main(["run", "--strategy", "random_sampling", *words]) == 0
    return folder


@pytest.mark.parametrize(
    "words", [("--help",), ("run", "--help"), ("list", "spaces"), ("leaderboard", "--results")], ids=" ".join
)
def test_start(benchmark: BenchmarkFixture, results: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pvnas_bench", *words, *([str(results)] if words[-1] == "--results" else [])]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=10, warmup_rounds=1)
