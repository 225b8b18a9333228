"""Fixtures of the command-line tests: the command in this or a separate process, and a finished run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench.cli import main

BUDGET = "0.4"
"""Budget for a few short evaluations, in reference trainings."""


@dataclass(frozen=True)
class Ended:
    """Result of a command: exit code and output."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Cli = Callable[..., Ended]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process."""

    def call(*words: object) -> Ended:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    return call


HEED_CTRL_C = "import os, sys, signal as s; s.signal(s.SIGINT, s.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
"""Program that runs another one; a background job ignores Ctrl-C, and its children inherit that."""


@contextmanager
def process(*words: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run the command line in a separate process, which ends with the context."""
    program = [sys.executable, "-m", "pvnas_bench", *map(str, words)]
    command = [sys.executable, "-S", "-c", HEED_CTRL_C, *program]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **{**pipes, **options}) as child:
        try:
            yield child
        finally:
            child.kill()


@dataclass(frozen=True)
class Finished:
    """A successful run: folder of records, output and record."""

    results: Path
    ended: Ended
    record: dict[str, Any]


@pytest.fixture(scope="session")
def finished(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One short run on the tiny data set; read-only."""
    results, cache = tmp_path_factory.mktemp("finished"), tmp_path_factory.mktemp("cache")
    words = ("--strategy", "random_search", "--dataset", tiny_dataset, "--budget", BUDGET, "--threads", 1)
    environment = {**os.environ, "PVNAS_BENCH_CACHE": str(cache)}
    with process("run", *words, "--results", results, env=environment) as child:
        out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    ended = Ended(child.returncode, out, err)
    return Finished(results, ended, json.loads(Path(ended.last_line).read_text()))
