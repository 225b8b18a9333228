"""Searches on a synthetic table: whole searches by strategy, a look-up, loading.

Goals: 8 × 500 searches of 100 evaluations below 60 s on two cores, that is 30 ms of CPU each on average; a look-up
below 10 µs; loading 500 architectures × 3 seeds below 50 ms.
"""

import time
from statistics import median

import made_up
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench import registry
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import Run
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, load, to_parquet

SPACE = registry.get_space("st_micro")
SEARCHES = ("random_search", "regularized_evolution", "local_search", "successive_halving", "random_sampling")
SAMPLERS = ("optuna_random", "optuna_tpe", "optuna_nsga2")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """500 architectures × 3 seeds."""
    files = Files(tmp_path_factory.mktemp("tables"), "st_micro-made_up")
    write_atomically(files.parquet, to_parquet(made_up.content(SPACE, seeds=3)))
    return files


def setup(files: Files, strategy: str) -> Setup:
    request = Request(strategy, space=SPACE.name, dataset="made_up", tabular=True, tables=files.folder, threads=1)
    return Setup(request, Observer())


@pytest.mark.parametrize("strategy", SEARCHES)
def test_search(benchmark: BenchmarkFixture, files: Files, strategy: str) -> None:
    ready, seeds = setup(files, strategy), iter(range(10**6))
    benchmark.pedantic(lambda: Run(ready.at(next(seeds))).record().model_dump_json(), rounds=30, warmup_rounds=1)


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_optuna(benchmark: BenchmarkFixture, files: Files, strategy: str) -> None:
    """A search relative to a plain Optuna study with as many trials on the same space.

    CPU seconds of a trial, medians over searches.
    """
    import optuna

    from pvnas_bench.methods.optuna_search import OptunaSearch, quiet, unwarned
    from pvnas_bench.runs.search import Search

    ready, spent = setup(files, strategy), {"harness": list[float](), "alone": list[float]()}

    def both(seed: int) -> None:
        start = time.process_time()
        record = Run(ready.at(seed)).record()
        harness = time.process_time() - start
        assert record.status == "ok"
        search = Search(ready.at(seed), Observer())
        alone = search.strategy
        assert isinstance(alone, OptunaSearch) and ready.table is not None
        alone.setup(search.problem)
        start = time.process_time()
        with quiet(), unwarned():
            study = optuna.create_study(sampler=alone.sampler(seed), directions=list(alone.directions))
            for _ in range(trials := record.diagnostics["trials"]):
                trial = study.ask()
                architecture = alone._suggested(trial)
                top1 = ready.table.trainings(str(architecture))[0].val_top1[-1]
                study.tell(trial, alone.values(architecture, top1))
        spent["alone"].append((time.process_time() - start) / trials)
        spent["harness"].append(harness / trials)

    seeds = iter(range(10**6))
    benchmark.pedantic(lambda: both(next(seeds)), rounds=25, warmup_rounds=2)
    found = {name: median(seconds[2:]) for name, seconds in spent.items()}
    benchmark.extra_info |= {name: f"{1e3 * seconds:.2f} ms" for name, seconds in found.items()}
    benchmark.extra_info["ratio"] = f"{found['harness'] / found['alone']:.3f}"
    print(f"\n{strategy}:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))


def test_look_up(benchmark: BenchmarkFixture, files: Files) -> None:
    table = load(files)
    strings = [str(architecture) for architecture in SPACE.enumerate()]
    benchmark(lambda: [table.trainings(string)[0].val_top1[-1] for string in strings])
    benchmark.extra_info["µs a look-up"] = f"{1e6 * benchmark.stats.stats.min / len(strings):.2f}"


def test_load(benchmark: BenchmarkFixture, files: Files) -> None:
    benchmark(lambda: load(files))
