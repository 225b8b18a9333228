"""Runs killed at any instant, any number of times, end with the record of an uninterrupted run."""

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from lives import FAMILIES, Nursery, determined, the_record
from nursery import OK, REFUSED

if not Path("/proc/self/stat").exists():
    pytest.skip("the CPU time of another process cannot be read here", allow_module_level=True)

KILLED = -9
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "gradient.py"
FEW = ("pvnas", "regularized_evolution", str(EXAMPLE))
"""Strategies that every test run kills a few times; none has code for its state."""


def request(strategy: str, dataset: Path, results: Path, budget: float = 6.0) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "dataset": str(dataset),
        "results": str(results),
        "budget": budget,
        "threads": 1,
        "checkpoint_seconds": 0.0,
    }


def undisturbed(born: Nursery, strategy: str, dataset: Path, folder: Path, budget: float) -> tuple[Any, float]:
    """Record of an uninterrupted run without checkpoints, and its CPU seconds."""
    asked = request(strategy, dataset, folder / "undisturbed", budget)
    code, seconds = born.live(**asked | {"checkpoint_seconds": 1e9})
    assert code == OK
    return the_record(folder / "undisturbed"), seconds


def killed(
    born: Nursery, chance: random.Random, kills: int, expected: Any, seconds: float, asked: dict[str, Any]
) -> int:
    """Kill a run at random instants, let it end, and compare; return the number of kills after a checkpoint."""
    results, behind, done = Path(asked["results"]), 0, 0
    while done < kills:
        code, _ = born.live(kill_after=chance.uniform(0, seconds), **asked)
        if code != KILLED:
            assert code == OK
            break
        done += 1
        behind += any(results.glob("*/checkpoint-*"))
    else:
        assert born.live(**asked)[0] == OK
    record = the_record(results)
    assert determined(record) == determined(expected)
    assert 0 < record["search"]["wall_seconds"] < 60 * expected["search"]["wall_seconds"]
    walls = [step["wall"] for step in record["trajectory"]]
    assert walls == sorted(walls) and walls[-1] <= record["search"]["wall_seconds"]
    for path in results.rglob("*"):
        path.unlink() if path.is_file() else None
    return behind


@pytest.mark.parametrize("strategy", [FEW[0], *(pytest.param(name, marks=pytest.mark.long) for name in FEW[1:])])
def test_a_killed_run_ends_with_the_same_record(
    born: Nursery, tiny_dataset: Path, tmp_path: Path, strategy: str
) -> None:
    expected, seconds = undisturbed(born, strategy, tiny_dataset, tmp_path, budget=2.0)
    asked = request(strategy, tiny_dataset, tmp_path / "killed", budget=2.0)
    killed(born, random.Random(strategy), 3, expected, seconds, asked)
    code, _ = born.live(fault={"fault": "kill", "at": 30}, **asked)
    assert code == KILLED and any(Path(asked["results"]).glob("*/checkpoint-*"))
    assert born.live(**asked)[0] == OK
    assert determined(the_record(Path(asked["results"]))) == determined(expected)


@pytest.mark.crash
@pytest.mark.parametrize("strategy", FAMILIES)
def test_every_family_is_killed_many_times(born: Nursery, tiny_dataset: Path, tmp_path: Path, strategy: str) -> None:
    expected, seconds = undisturbed(born, strategy, tiny_dataset, tmp_path, budget=6.0)
    chance, behind = random.Random(strategy), 0
    while behind < 8:
        asked = request(strategy, tiny_dataset, tmp_path / "killed")
        behind += killed(born, chance, 4, expected, seconds, asked)
    print(f"{strategy}: {behind} kills with a checkpoint behind")


@pytest.mark.crash
def test_a_run_killed_at_any_file_change_ends_with_the_same_record(
    born: Nursery, tiny_dataset: Path, tmp_path: Path
) -> None:
    expected, _ = undisturbed(born, "regularized_evolution", tiny_dataset, tmp_path, budget=1.0)
    asked = request("regularized_evolution", tiny_dataset, tmp_path / "killed", budget=1.0)
    at = 0
    while True:
        code, _ = born.live(fault={"fault": "kill", "at": at}, **asked)
        if code == KILLED:
            assert born.live(**asked)[0] == OK
        assert determined(the_record(tmp_path / "killed")) == determined(expected)
        if code == OK:
            break
        (tmp_path / "killed").rename(tmp_path / f"killed {at}")
        at += 1
    assert at > 20


@pytest.mark.crash
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "torn"])
def test_a_temporary_disk_failure_loses_nothing(born: Nursery, tiny_dataset: Path, tmp_path: Path, fault: str) -> None:
    expected, _ = undisturbed(born, "regularized_evolution", tiny_dataset, tmp_path, budget=1.0)
    asked = request("regularized_evolution", tiny_dataset, tmp_path / "full", budget=1.0)
    for at in range(0, 40, 3):
        code, _ = born.live(fault={"fault": fault, "at": at, "lasting": True}, **asked)
        if code == REFUSED:  # no lease or record could be written, and the run reported it
            assert born.live(**asked)[0] == OK
        else:
            assert code == OK
        found = the_record(tmp_path / "full")
        found["diagnostics"].pop("checkpoints_not_written", None)
        assert determined(found) == determined(expected)
        (tmp_path / "full").rename(tmp_path / f"full {at}")


def test_a_record_that_does_not_fit_on_the_disk_leaves_the_checkpoint(
    born: Nursery, tiny_dataset: Path, tmp_path: Path
) -> None:
    asked = request("regularized_evolution", tiny_dataset, tmp_path / "full", budget=1.0)
    assert born.live(fault={"fault": "ENOSPC", "at": 10, "lasting": True}, **asked)[0] == REFUSED
    (folder,) = (tmp_path / "full").iterdir()
    assert [path.suffix for path in folder.iterdir()] == [".safetensors"]
    assert born.live(**asked)[0] == OK
    assert the_record(tmp_path / "full")["status"] == "ok"


def test_eight_processes_write_into_one_folder(tmp_path: Path) -> None:
    from record_factory import content

    from pvnas_bench import records

    children = []
    for process in range(8):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for number in range(200):
                    made = records.Record.model_validate(content(f"entry{process}", number))
                    records.save(made, tmp_path / f"{process}-{number}" / records.FILE_NAME)
                    # and one file that all of them want to write
                    records.save(made, tmp_path / "shared" / records.FILE_NAME)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    found, unreadable = records.load_folder(tmp_path)
    assert (len(found), unreadable) == (1601, [])
    assert len({record.strategy.entry + str(record.seed) for record in found}) == 1600
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {records.FILE_NAME}


def test_one_of_two_processes_runs_a_cell_and_the_other_reports_it(
    born: Nursery, tiny_dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from lives import nursery

    asked = request("regularized_evolution", tiny_dataset, tmp_path, budget=1.0)
    with nursery("regularized_evolution") as other:
        other.begin(**asked)
        while not list(tmp_path.glob("*/.record.json.claim-0")):
            time.sleep(0.01)
        assert born.live(**asked)[0] == REFUSED
        assert other.end()[0] == OK
    assert the_record(tmp_path)["status"] == "ok"
