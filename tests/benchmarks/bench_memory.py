"""Peak memory of searches on sampled paths relative to training the network of the largest path: below 1.3.

Each is measured in a process of its own, whose peak is not another's, on the same clips and batches. Searches are
given no cap, so that they may sample the largest path, and train alphas from the first step.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench import Architecture, Problem
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.training import process
from pvnas_bench.training.train import make_optimiser

ALONE = "the largest path alone"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "pvnas": {"warmup": "0", "guard": "false"},
    "spos": {},
    "fp_nas": {"warmup": "0", "guard": "false"},
    "gdas": {},
    "da_nas": {"guard": "false"},
}


def largest(problem: Problem) -> Architecture:
    """The architecture with the most MACs, by steepest ascent, as MACs are monotone in each decision."""
    found = problem.sample(problem.rng("largest"))
    while True:
        better = max(problem.space.neighbours(found), key=lambda a: problem.cost(a).macs)
        if problem.cost(better).macs <= problem.cost(found).macs:
            return found
        found = better


def train_alone(problem: Problem, setup: Setup) -> None:
    """One epoch of stand-alone training, by the protocol's optimiser."""
    network = problem.network(largest(problem))
    optimiser = make_optimiser(network, setup.protocol)
    for batch in problem.search_batches("train"):
        F.cross_entropy(network(problem.inputs(batch, network)), batch.labels).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def work(name: str) -> None:
    """Work of the measured process; it prints its peak memory in MiB."""
    strategy = "random_sampling" if name == ALONE else name
    with tempfile.TemporaryDirectory() as folder:
        settings = dict(SETTINGS.get(name, {}))
        request = Request(strategy, settings=settings, budget=100.0, cap="1e12", results=Path(folder), threads=1)
        setup = Setup(request, Observer())
    with process.configured(1, True):
        search = Search(setup, Observer())
        if name == ALONE:
            train_alone(search.problem, setup)
        else:
            search.strategy.setup(search.problem)
            search.strategy.step()
    print(json.dumps(process.peak_memory(setup.device) / 2**20))


def peak(name: str) -> float:
    """Peak memory in MiB, measured in a new process."""
    ended = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    return float(json.loads(ended.stdout))


@pytest.mark.parametrize("strategy", SETTINGS)
def test_memory(benchmark: BenchmarkFixture, strategy: str) -> None:
    alone = peak(ALONE)
    found = benchmark.pedantic(peak, args=(strategy,), rounds=1)
    benchmark.extra_info |= {"MiB": round(found), "alone MiB": round(alone), "ratio": f"{found / alone:.2f}"}
    print(f"\n{strategy}:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))


if __name__ == "__main__":
    work(sys.argv[1])
