"""Cells and trials on a local Ray: speed-up of a second worker, and overhead of a trial.

1.8 times as fast with two workers as with one, and at most 20 ms for a trial, are the goals. The time of one worker is
that of the cells one after another; where other work shares the cores, two workers gain less than they would alone, and
the CPU seconds of the cells, which are of them alone, say how much of each core they got.
"""

import os
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench import records
from pvnas_bench.grid.cells import open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.grid.definition import Grid
from pvnas_bench.grid.ray import Ray
from pvnas_bench.grid.ray_trials import RayTrials
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
CELLS, BUDGET, TRIALS = 4, 60.0, 40


def test_cells(benchmark: BenchmarkFixture, tiny_dataset: Path, tmp_path: Path) -> None:
    """Wall seconds of independent cells with one worker divided by those with two, without the start of Ray."""

    def ran(workers: int) -> tuple[float, float]:
        """Wall seconds of the cells, and CPU seconds of their searches and trainings divided by them."""
        grid = Grid.parse({"strategies": ["random_search"], "datasets": [str(tiny_dataset)], "seeds": CELLS})
        grid = grid.model_copy(update={"budget": BUDGET})
        cells = open_cells(grid.requests(tmp_path / str(workers)))
        begun = None
        for cell in compare(cells, executor=Ray(workers)):
            begun = begun or time.perf_counter()
            assert cell.state in ("running", "ok"), cell.note
        assert begun is not None
        wall, cpu = time.perf_counter() - begun, 0.0
        for cell in cells:
            record = records.load(cell.path)
            cpu += record.search.cpu_seconds + (record.outcome.cost.cpu_seconds if record.outcome else 0.0)
        return wall, cpu

    found = {workers: ran(workers) for workers in (1, 2)}
    benchmark.pedantic(lambda: None, rounds=1)
    speedup = found[1][0] / found[2][0]
    benchmark.extra_info |= {
        "one worker": f"{found[1][0]:.1f} s, {found[1][1] / found[1][0]:.2f} CPUs",
        "two workers": f"{found[2][0]:.1f} s, {found[2][1] / found[2][0]:.2f} CPUs",
        "times as fast": f"{speedup:.2f}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    print("\ncells:", benchmark.extra_info)


def test_trials(benchmark: BenchmarkFixture, tiny_dataset: Path, tmp_path: Path) -> None:
    """Overhead of `evaluate` for a trial in a worker: its time minus the CPU seconds of the training.

    On a busy machine that holds the time in which the worker had no core; the round trip of a task that does nothing
    with a trial's arguments does not.
    """
    request = Request("random_search", dataset=str(tiny_dataset), budget=9999.0, results=tmp_path, threads=1)
    setup, beyond, driver, trips = Setup(request, Observer()), list[float](), list[float](), list[float]()
    with RayTrials(setup, workers=1) as trials:
        problem = Search(setup, Observer(), None, trials).problem
        problem.evaluate_many([problem.space.reference], 1)  # the worker opens the clips
        empty = trials._connection.ray.remote(num_cpus=1, max_calls=0)(lambda *_: None)
        for _ in range(TRIALS):
            wall = time.perf_counter()
            empty.remote(trials._place, trials._asked, "", 1).future().result()
            trips.append(time.perf_counter() - wall)
        for architecture in [problem.sample(problem.rng("x")) for _ in range(TRIALS)]:
            wall, cpu, trained = time.perf_counter(), time.process_time(), trials.used.cpu_seconds
            problem.evaluate_many([architecture], 1)
            beyond.append(time.perf_counter() - wall - (trials.used.cpu_seconds - trained))
            driver.append(time.process_time() - cpu)
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info |= {
        "overhead": f"{1e3 * np.median(beyond):.1f} ms",
        "quartiles": " to ".join(f"{1e3 * q:.1f}" for q in np.quantile(beyond, [0.25, 0.75])) + " ms",
        "round trip": f"{1e3 * np.median(trips):.1f} ms",
        "CPU of the run": f"{1e3 * np.median(driver):.1f} ms",
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    print("\ntrials:", benchmark.extra_info)
