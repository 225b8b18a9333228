"""Cells and trials on a real local Ray whose workers are killed; most tests are skipped without Ray."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from told import HEEDLESS, mine

from pvnas_bench import UsageError, records
from pvnas_bench.grid.cells import GridCell, open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.grid.definition import Grid
from pvnas_bench.grid.ray import Connection, Ray
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup

TIMED = ("wall", "latency_ms", "created", "peak_memory_bytes", "speed")


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"Ray is not installed: pip install 'pvnas-bench\[ray\]'"):
        Ray()


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "--strategy", "random_search", "--ray-address", "host:1"],
        ["run", "--strategy", "random_search", "--workers", "2"],
    ],
)
def test_options_of_ray_without_ray_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from pvnas_bench.cli import main

    assert main(words) == 2
    assert "add --executor ray" in capsys.readouterr().err


# --- a real one -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started(cache_folder: Path) -> Iterator[None]:
    """A local Ray with two workers for the executors of this process."""
    connection = Connection()
    connection.open(cpus=2)
    yield
    connection.close()


def real(test: Any) -> Any:
    """Marks tests that need Ray."""
    return pytest.mark.ray(pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")(test))


def untimed(value: Any) -> Any:
    """A record without fields that differ between equal runs."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMED and not k.endswith("seconds")}
    return [untimed(v) for v in value] if isinstance(value, list | tuple) else value


def ours(title: str) -> list[int]:
    """Workers of this process's Ray that run a task of this name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, status = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
            except OSError:
                continue
            raylet = int(status.rpartition(")")[2].split()[1])
            if title.encode() in command and os.getpid() in parents(raylet):
                found.append(int(entry.name))
    return found


def parents(pid: int) -> list[int]:
    """A process and its ancestors."""
    line = []
    while pid > 1:
        line.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return line


def alive(pid: int) -> bool:
    """Return True if a process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_one(title: str, killed: list[int]) -> None:
    """Kill the first worker that runs a task of this name."""
    until = time.monotonic() + 60
    while not killed and time.monotonic() < until:
        for pid in ours(title)[:1]:
            time.sleep(0.5)  # while it runs
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        time.sleep(0.02)


@real
def test_records_are_those_of_worker_processes(started: None, tiny_dataset: Path, tmp_path: Path) -> None:
    values = {"strategies": ["random_search", "successive_halving"], "datasets": [str(tiny_dataset)], "seeds": 1}
    grid, found = Grid.parse({**values, "budget": 1.0}), {}
    for name, executor in (("processes", None), ("ray", Ray(2))):
        cells: list[GridCell] = open_cells(grid.requests(tmp_path / name))
        events = [(cell.entry, cell.state) for cell in compare(cells, workers=2, executor=executor)]
        assert sorted(events) == [(entry, state) for entry in values["strategies"] for state in ("ok", "running")]
        found[name] = [untimed(records.load(cell.path).model_dump(mode="json")) for cell in cells]
    assert found["ray"] == found["processes"]


@real
@pytest.mark.parametrize("retries", [3, 0])
def test_a_worker_killed_during_a_trial_costs_only_this_trial(
    retries: int, started: None, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pvnas_bench.grid import ray_trials

    monkeypatch.setattr(ray_trials, "RETRIES", retries)
    setup = Setup(
        Request("random_search", dataset=str(tiny_dataset), budget=999.0, results=tmp_path, threads=1), Observer()
    )
    killed: list[int] = []
    with ray_trials.RayTrials(setup, workers=2) as running:
        problem = Search(setup, Observer(), None, running).problem
        batch = [problem.sample(problem.rng("x")) for _ in range(4)]
        problem.evaluate(problem.space.reference, 1)
        killer = threading.Thread(target=kill_one, args=("ray::_train", killed))
        killer.start()
        found = problem.evaluate_many(batch, 60)
        killer.join()
    assert killed and not alive(killed[0])
    serial = Search(setup, Observer()).problem
    serial.evaluate(serial.space.reference, 1)
    expected = serial.evaluate_many(batch, 60)
    lost = [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    if retries:
        assert not lost and not problem.failures
        assert vars(problem.ledger) == vars(serial.ledger)
    else:
        assert [pair[0].top1 for pair in lost] == [0.0] and problem.failures == {"WorkerLost": 1}


def cells_of(body: str, tiny_dataset: Path, folder: Path, **options: Any) -> list[GridCell]:
    grid = Grid.parse({"strategies": [mine(folder, body)], "datasets": [str(tiny_dataset)], "seeds": 1, "budget": 0.05})
    return open_cells(grid.requests(folder / "results", **options))


@real
def test_a_cell_resumes_on_another_worker_if_its_worker_is_killed(
    started: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    body = f"""
        if self.steps == 2 and not os.path.exists({str(gone)!r}):
            open({str(gone)!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
"""
    cells = cells_of(body, tiny_dataset, tmp_path)
    ended = list(compare(cells, executor=Ray(1)))
    assert [cell.state for cell in ended] == ["running", "ok"] and gone.exists()
    assert [step.step for step in records.load(cells[0].path).trajectory] == [1, 2, 3, 4, 5, 6]
    assert not list(cells[0].path.parent.glob("*claim*"))


@real
def test_a_cell_that_ignores_its_time_limit_is_killed(
    started: None, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvnas_bench.grid.compare.PATIENCE", 0.0)
    (_, cell) = compare(cells_of(HEEDLESS, tiny_dataset, tmp_path, timeout=8.0), executor=Ray(1))
    assert cell.state == "timeout" and "nor when interrupted" in cell.note


@real
def test_ctrl_c_leaves_checkpoints_and_no_process(tiny_dataset: Path, tmp_path: Path) -> None:
    words = ["compare", "--strategy", "random_search", "--seeds", "2", "--budget", "500", "--no-reference"]
    words += ["--executor", "ray", "--workers", "2"]
    begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    begin += "from pvnas_bench.cli import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", begin, *words, "--dataset", str(tiny_dataset), "--results", str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("*/.record.json.claim-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    of_it = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if process.pid in parents(pid)]
    assert len(of_it) > 4, "it, Ray and two workers"
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "repeat the command to resume" in said
    assert len(list(tmp_path.glob("*/checkpoint-*"))) == 2
    assert [records.load(path).status for path in tmp_path.glob("*/record.json")] == ["interrupted"] * 2
    assert not list(filter(alive, of_it))


@real
def test_a_missing_cluster_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UsageError, match=r"no Ray at 127\.0\.0\.1:9 .*ray start --head"):
        Ray(address="127.0.0.1:9").open()
