"""Microseconds of frequent queries, and each operator's throughput relative to matrix products."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from made_up import content
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.operators import Operator, temporal_shift
from pvnas_bench.space import KERNELS
from pvnas_bench.spaces import st_default, st_micro
from pvnas_bench.table import Table

from .conftest import Alternated

SPACE = st_default.SPACE
COSTS = CostModel(SPACE, 16)
RNG = np.random.default_rng(0)
ONE, OTHER = SPACE.sample(RNG), SPACE.sample(RNG)

QUERIES: dict[str, Callable[[], object]] = {
    "cost": lambda: COSTS(ONE),
    "sample": lambda: SPACE.sample(RNG),
    "mutate": lambda: SPACE.mutate(ONE, RNG),
    "cross over": lambda: SPACE.crossover(ONE, OTHER, RNG),
    "parse": lambda: SPACE.parse(str(ONE)),
    "encode": lambda: SPACE.encode(ONE),
}


@pytest.mark.parametrize("query", QUERIES)
def test_query(benchmark: BenchmarkFixture, query: str) -> None:
    benchmark(QUERIES[query])


def test_table_look_up(benchmark: BenchmarkFixture) -> None:
    found = content(st_micro.SPACE, seeds=3)
    assert found.about is not None
    table = Table(found.about, found.sessions, found.trainings)
    string = table.architectures[250]
    benchmark(lambda: table.trainings(string)[0].val_top1[-1])


FRAMES, CHANNELS, CLIPS, SIDE = 8, 128, 4, 12


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("operator", ["s3", "s5", "st3", "f3", "t5", "tsm"])
def test_operator_on_the_roofline(benchmark: BenchmarkFixture, alternated: Alternated, operator: str) -> None:
    """MACs per second of an operator's forward pass divided by those of a large matrix product."""
    module = Operator(operator, CHANNELS, stride=1)
    clips = torch.randn(CLIPS * FRAMES, CHANNELS, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    left, right = torch.randn(512, 512), torch.randn(512, 512)

    def forward() -> object:
        x = temporal_shift(clips, FRAMES) if operator == "tsm" else clips
        return module(x, FRAMES)

    taps = sum(math.prod(kernel) for kernel in KERNELS[operator])
    with torch.no_grad():
        found = alternated({"operator": forward, "product": lambda: left @ right}, 50)
        benchmark.pedantic(forward, rounds=50)
    rate = taps * clips.numel() / found["operator"] / (512**3 / found["product"])
    traffic = 2 * 4 * clips.numel() / found["operator"] / 2**30
    benchmark.extra_info |= {"of the matrix product's rate": f"{rate:.1%}", "GiB/s": f"{traffic:.1f}"}
    print(f"\n{operator}:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))
