"""Peak memory of searches along sampled paths beside training one network of the largest path. It stays below 1.3x.

Each is measured in a process of its own, whose peak is not another's; both on the same clips and batches.
"""

import json
import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

STEPS = 12

ALONE = """
import json, resource, sys, tempfile
from pathlib import Path
import torch
from pvnas_bench import runtime
from pvnas_bench.request import Observer, Request, Setup
from pvnas_bench.search import Search
from pvnas_bench.training import make_optimiser
import torch.nn.functional as F

strategy, steps = sys.argv[1], int(sys.argv[2])
request = Request(strategy, budget=100.0, cap="1e12", results=Path(tempfile.mkdtemp()), threads=1)
setup = Setup(request, Observer())
with runtime.configured(1, True):
    search = Search(setup, Observer())
    problem, space = search.problem, setup.space
    if strategy == "random_search":  # stands for no strategy at all
        samples = [space.sample(problem.rng("largest")) for _ in range(2000)]
        deepest = max(samples, key=lambda a: problem.cost(a).macs)
        changed = [deepest, *space.neighbours(deepest)]
        while problem.cost(best := max(changed, key=lambda a: problem.cost(a).macs)).macs > problem.cost(deepest).macs:
            deepest, changed = best, list(space.neighbours(best))
        network, spec = problem.network(deepest), space.spec(deepest)
        optimiser = make_optimiser(network, setup.protocol)
        for _, batch in zip(range(steps), problem.search_batches("train")):
            clips = problem.clips(batch, spec.frames, spec.size)
            F.cross_entropy(network(clips), batch.labels).backward()
            optimiser.step()
            optimiser.zero_grad()
    else:
        search.strategy.setup(problem)
        search.strategy.step()
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def peak(strategy: str) -> float:
    """MiB."""
    words = [sys.executable, "-c", ALONE, strategy, str(STEPS)]
    return float(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


@pytest.mark.parametrize("strategy", ["pvnas", "spos", "fp_nas", "gdas"])
def test_memory(benchmark: BenchmarkFixture, strategy: str) -> None:
    alone = peak("random_search")
    found = benchmark.pedantic(peak, args=(strategy,), rounds=1)
    benchmark.extra_info |= {
        "MiB": round(found),
        "largest path alone MiB": round(alone),
        "ratio": f"{found / alone:.2f}",
    }
    print(f"\n{strategy}: {benchmark.extra_info}")
