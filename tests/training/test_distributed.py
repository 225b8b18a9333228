"""Runs in two processes, started by torchrun, against the same runs in one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import records
from pvnas_bench.runs import checkpoints
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run

HERE = Path(__file__).parent
BUDGET = 0.8
UNLUCKY = HERE / "unlucky.py"
TOLERANCE = 1e-4
"""Tolerance of training losses over the first two steps; later steps, mainly AdamW's, amplify rounding errors."""


@dataclass(frozen=True)
class Ended:
    """How the processes ended."""

    code: int
    out: str
    err: str


def torchrun(*words: object, **environment: str) -> Ended:
    """Start two processes with these arguments and wait for them."""
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [*command, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def run_words(strategy: object, dataset: Path, results: Path, budget: float) -> tuple[object, ...]:
    """The options of a run on one thread that writes a checkpoint at every boundary."""
    return (
        *("-m", "pvnas_bench", "run", "--strategy", strategy, "--dataset", dataset, "--results", results),
        *("--budget", budget, "--threads", 1, "--checkpoint-every", 0, "--no-reference"),
    )


def alone(strategy: str, dataset: Path, results: Path, budget: float) -> records.Record:
    """The same run in this process."""
    return run(Request(strategy, dataset=str(dataset), results=results, budget=budget, threads=1))[0]


def metric(record: records.Record, name: str) -> list[float]:
    return [step.metrics[name] for step in record.trajectory if name in step.metrics]


def costs(record: records.Record) -> list[tuple[float, str]]:
    return [(step.cost, step.incumbent) for step in record.trajectory]


@pytest.mark.long
def test_two_processes_compute_the_same_as_one() -> None:
    ended = torchrun(HERE / "equal.py")
    assert ended.code == 0, ended.err


def test_a_supernet_search_in_two_processes_equals_one_process_and_only_one_writes(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    ended = torchrun(*run_words("spos", tiny_dataset, tmp_path / "two", BUDGET))
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "two").glob("*/record.json")
    assert ended.out.splitlines()[-1] == str(path)
    assert ended.out.count(str(path)) == 1
    assert ended.err.count("final training: 100%") == 1
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.safetensors", "record.json"]

    one, two = alone("spos", tiny_dataset, tmp_path / "one", BUDGET), records.load(path)
    assert one.id == two.id and one.status == two.status == "ok"
    trained = len(metric(one, "train_loss"))  # epochs of the supernet; its paths do not depend on its weights
    assert trained > 3
    assert costs(one)[:trained] == costs(two)[:trained]
    np.testing.assert_allclose(metric(two, "train_loss")[:2], metric(one, "train_loss")[:2], atol=TOLERANCE)
    assert two.provenance.hardware["processes"] == 2 and "processes" not in one.provenance.hardware
    assert two.provenance.command[:6] == ("torchrun", "--nproc-per-node", "2", "-m", "pvnas_bench", "run")


@pytest.mark.long
def test_a_run_ends_if_any_process_ends_and_resumes(tiny_dataset: Path, tmp_path: Path) -> None:
    words = run_words(UNLUCKY, tiny_dataset, tmp_path / "two", 3.0)

    def once_more() -> tuple[Ended, records.Record]:
        ended = torchrun(*words, UNLUCKY=str(tmp_path))
        (path,) = (tmp_path / "two").glob("*/record.json")
        return ended, records.load(path)

    ended, record = once_more()
    assert ended.code != 0 and (tmp_path / "dies").exists()
    assert (record.status, record.error) == ("interrupted", "another process of the run ended during the search")
    assert len(record.trajectory) == 1

    ended, record = once_more()
    assert ended.code != 0 and (tmp_path / "is told to stop").exists()
    assert "resuming from the checkpoint after step 1" in ended.err
    assert (record.status, record.error) == ("interrupted", "interrupted during the search")
    assert len(record.trajectory) == 3  # the step ended and the checkpoint was written

    (path,) = (tmp_path / "two").glob("*/record.json")
    assert checkpoints.found(path.parent)
    record = alone(str(UNLUCKY), tiny_dataset, tmp_path / "two", 3.0)  # resumed with another number of processes
    assert not checkpoints.found(path.parent)
    one = alone(str(UNLUCKY), tiny_dataset, tmp_path / "one", 3.0)
    assert one.status == record.status == "ok"
    assert costs(one) == costs(record)
    assert one.search.samples == record.search.samples
    assert one.search.architectures_evaluated == record.search.architectures_evaluated == 3
    np.testing.assert_allclose(metric(record, "train_loss"), metric(one, "train_loss"), atol=TOLERANCE)
    np.testing.assert_allclose(metric(record, "val_loss"), metric(one, "val_loss"), atol=10 * TOLERANCE)


def test_other_commands_refuse_several_processes(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from pvnas_bench.cli import USAGE, main

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert main(["leaderboard"]) == USAGE
    assert "torchrun works with `run` only" in capsys.readouterr().err
