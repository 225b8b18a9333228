"""A training step of a network, against the same network in `nn.Conv3d`.

Goals: 2.5 times as fast as its default layout and 1.5 times as fast as `channels_last_3d`; outputs are equal to 1e-4.
"""

import time
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from conv3d import Conv3dNetwork
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from pvnas_bench.network.standalone import RGB, Network
from pvnas_bench.protocol import get_protocol
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.training.train import make_optimiser

from .conftest import Alternated

CLIPS, CLASSES, ROUNDS = 16, 16, 15


class Step:
    """Forward, backward and the protocol's optimiser."""

    def __init__(self, network: nn.Module, clips: Tensor, labels: Tensor) -> None:
        self.network, self.clips, self.labels = network, clips, labels
        self.optimiser = make_optimiser(network, get_protocol("quick"))

    def __call__(self) -> None:
        F.cross_entropy(self.network(self.clips), self.labels).backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("expert", SPACE.experts)
def test_training_step(benchmark: BenchmarkFixture, alternated: Alternated, expert: str) -> None:
    spec, generator = SPACE.spec(SPACE.experts[expert]), torch.Generator().manual_seed(0)
    clips = torch.randn(CLIPS, spec.frames, spec.size, spec.size, RGB, generator=generator).permute(0, 1, 4, 2, 3)
    labels = torch.randint(CLASSES, (CLIPS,), generator=generator)
    ours = Network(spec, CLASSES)
    default, last = Conv3dNetwork.of(spec, CLASSES), Conv3dNetwork.of(spec, CLASSES)
    for peer in (default, last):
        peer.take(ours)
    last = last.to(memory_format=torch.channels_last_3d)
    planes = clips.transpose(1, 2).contiguous()
    steps = {
        "ours": Step(ours, clips, labels),
        "conv3d": Step(default, planes, labels),
        "channels_last_3d": Step(last, planes.contiguous(memory_format=torch.channels_last_3d), labels),
    }
    with torch.no_grad():
        outputs = [step.network.eval()(step.clips) for step in steps.values()]
        for step in steps.values():
            step.network.train()
    difference = max(float((output - outputs[0]).abs().max()) for output in outputs)
    assert difference < 1e-4
    found = alternated(steps, ROUNDS)
    benchmark.pedantic(steps["ours"], rounds=ROUNDS)
    benchmark.extra_info |= {
        "ms": f"{1e3 * found['ours']:.1f}",
        "conv3d / ours (goal 2.5)": f"{found['conv3d'] / found['ours']:.2f}",
        "channels_last_3d / ours (goal 1.5)": f"{found['channels_last_3d'] / found['ours']:.2f}",
        "largest difference": f"{difference:.1e}",
    }
    print(f"\n{expert}:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))


@pytest.mark.usefixtures("one_thread")
def test_compiled(
    benchmark: BenchmarkFixture, alternated: Alternated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Cost and gain of `torch.compile` for the reference network, which is why nothing is compiled."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing that was compiled before
    spec, generator = SPACE.spec(SPACE.reference), torch.Generator().manual_seed(0)
    clips = torch.randn(CLIPS, spec.frames, spec.size, spec.size, RGB, generator=generator).permute(0, 1, 4, 2, 3)
    labels = torch.randint(CLASSES, (CLIPS,), generator=generator)
    ours, compiled = Network(spec, CLASSES), Network(spec, CLASSES)
    steps = {
        "ours": Step(ours, clips, labels),
        "compiled": Step(cast(nn.Module, torch.compile(compiled)), clips, labels),
    }
    start = time.perf_counter()
    benchmark.pedantic(steps["compiled"], rounds=1)
    seconds = time.perf_counter() - start
    found = alternated(steps, ROUNDS)
    benchmark.extra_info |= {
        "s to compile": f"{seconds:.0f}",
        "compiled / ours": f"{found['compiled'] / found['ours']:.2f}",
    }
    print("\ncompiled:", ", ".join(f"{name} {value}" for name, value in benchmark.extra_info.items()))
