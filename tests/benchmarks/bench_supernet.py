"""A step of a supernet's weights and alphas, against NNI's DARTS over the same candidates in `nn.Conv3d`.

NNI's version is in its usual form: a `LayerChoice` per slot and Lightning's trainer. Both train on batches of 16 clips
with 8 frames of 24 pixels. Goals: a mixture that is 3 times as fast with 0.7 of the memory, and sampled paths that are
10 times as fast. Each version is measured in a separate process, so that peaks of memory are separate.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from pvnas_bench import BlockSpace, registry
from pvnas_bench.network.cost import candidates
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.training import process

CLIPS, CLASSES, FRAMES, SIZE, STEPS = 16, 16, 8, 24, 4


def nni_darts() -> list[float]:
    """CPU seconds of steps of NNI's DARTS."""
    from conv3d import Conv3dBlock, Conv3dNetwork

    from pvnas_bench.methods.nni_apart import apart

    with apart():
        import nni.nas.strategy
        from nni.nas.evaluator.pytorch import ClassificationModule
        from nni.nas.nn.pytorch import LayerChoice, ModelSpace
        from pytorch_lightning import Trainer
        from pytorch_lightning.utilities.combined_loader import CombinedLoader

    space = registry.get_space("st_default")
    assert isinstance(space, BlockSpace)

    class Chain(ModelSpace):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            choices = []
            for slot in space.slots:
                blocks = list(candidates(space, slot))[1:]
                options = {
                    f"candidate_{i}": nn.Identity() if block is None else Conv3dBlock(block)
                    for i, (_, block) in enumerate(blocks)
                }
                choices.append(LayerChoice(options, label=f"slot_{slot.name.replace('.', '_')}"))
            self.network = Conv3dNetwork(space.stem, choices, space.stages[-1].channels, space.head, CLASSES)

        def forward(self, clips: Tensor) -> Tensor:
            logits: Tensor = self.network(clips)
            return logits

    class Loader:
        def __len__(self) -> int:
            return STEPS + 1

        def __iter__(self) -> Any:
            for _ in range(STEPS + 1):
                yield torch.randn(CLIPS, 3, FRAMES, SIZE, SIZE), torch.randint(CLASSES, (CLIPS,))

    ends: list[float] = []

    class Timed(ClassificationModule):  # type: ignore[misc]
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.025, momentum=0.9)

        def on_train_batch_end(self, *_: Any) -> None:
            ends.append(time.process_time())

    with apart():
        strategy = nni.nas.strategy.DARTS(arc_learning_rate=0.03)
        module = Timed(nn.CrossEntropyLoss, num_classes=CLASSES)
        module.set_model(strategy.mutate_model(Chain()))
        oneshot = strategy.configure_oneshot_module(module)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
        trainer.fit(oneshot, CombinedLoader({"train": Loader(), "val": Loader()}, "max_size_cycle"))
    return [after - before for before, after in pairwise(ends)]


def ours(strategy: str, settings: dict[str, str]) -> Search:
    with tempfile.TemporaryDirectory() as folder:
        request = Request(strategy, budget=6.0, settings=settings, results=Path(folder), threads=1)
        search = Search(Setup(request, Observer()), Observer())
    search.strategy.setup(search.problem)
    return search


def timed(step: Callable[[], object], count: int) -> list[float]:
    seconds = []
    for _ in range(count + 1):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    return seconds[1:]


def mixture() -> list[float]:
    """CPU seconds of an alpha step and a weight step of `darts`, on its fixed input."""
    search = ours("darts", {})
    strategy: Any = search.strategy
    assert strategy.input == (FRAMES, SIZE)
    batch, held_out = (next(search.problem.search_batches(split)) for split in ("train", "val"))
    rate = strategy.config.weight_rate

    def step() -> None:
        strategy.alpha_step(batch, held_out)
        strategy.weights.step(batch, strategy.weight_plan(), rate)

    return timed(step, 3 * STEPS)


def paths() -> list[float]:
    """CPU seconds of a weight step along a sampled path and a two-path alpha step of `pvnas`, the input fixed."""
    search = ours("pvnas", {"warmup": "0", "thrift": "0"})
    strategy: Any = search.strategy
    problem = search.problem
    with torch.no_grad():
        for name, options, wanted in (("frames", problem.space.frames, FRAMES), ("size", problem.space.sizes, SIZE)):
            strategy.gates.alphas.logit(name).fill_(-1e4)[options.index(wanted)] = 0.0
    batch, held_out = (next(problem.search_batches(split)) for split in ("train", "val"))

    def step() -> None:
        strategy.weights.step(batch, strategy.gates.sample(), strategy.config.weight_rate)
        strategy.gates.step(lambda plan: strategy.supernet.loss(held_out, plan, train_weights=False))

    return timed(step, 10 * STEPS)


SIDES: dict[str, Callable[[], list[float]]] = {"nni_darts": nni_darts, "mixture": mixture, "paths": paths}


def measured(name: str) -> dict[str, float]:
    """Median CPU seconds of a step, and the process's peak in MiB."""
    ended = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("side", "goal"), [("mixture", 3), ("paths", 10)])
def test_supernet_step(benchmark: BenchmarkFixture, side: str, goal: int) -> None:
    nni = measured("nni_darts")
    found = benchmark.pedantic(measured, args=(side,), rounds=1)
    benchmark.extra_info |= {
        "ms": f"{1e3 * found['seconds']:.0f}",
        f"NNI's DARTS over nn.Conv3d / ours (goal {goal})": f"{nni['seconds'] / found['seconds']:.1f}",
        "peak memory over NNI's (goal 0.7)": f"{found['mib'] / nni['mib']:.2f}",
    }
    print(f"\n{side}:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "support"))
    with process.configured(1, deterministic=False):
        seconds = median(SIDES[sys.argv[1]]())
    print(json.dumps({"seconds": seconds, "mib": process.peak_memory(torch.device("cpu")) / 2**20}))
