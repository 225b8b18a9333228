"""Timed workloads of a record: every operator once, by name."""

import pytest
import torch

from pvnas_bench import registry
from pvnas_bench.network import operators, workloads
from pvnas_bench.network.families import workloads as workloads_of
from pvnas_bench.network.workloads import block_passes, convolution_pass
from pvnas_bench.runs import yardstick

CPU = torch.device("cpu")


def test_every_operator_of_the_space_is_timed_once() -> None:
    space = registry.get_space("st_default")
    measured = yardstick.measure(block_passes(space, CPU), reference=convolution_pass(CPU), turns=1)
    assert set(measured.seconds) == {f"operator {o}" for o in ("s3", "s5", "st3", "f3", "t5", "tsm")}
    assert all(seconds > 0 for seconds in measured.seconds.values()) and measured.reference_seconds > 0


def test_every_computing_operator_of_a_cell_is_timed_once() -> None:
    passes = workloads_of(registry.get_space("st_temporal_cell"), CPU)
    assert set(passes) == {f"cell {o}" for o in ("t3", "t5", "t7", "t3d2", "t3d3", "max3", "avg3")}
    for run in passes.values():
        run()


def test_a_pass_leaves_no_gradients_and_can_be_repeated() -> None:
    module = torch.nn.Conv2d(2, 2, 1)
    run = workloads._pass(lambda: module(torch.ones(1, 2, 3, 3)), module)
    run()
    run()
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_pass_runs_the_operator_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = block_passes(registry.get_space("st_default"), CPU)
    calls: list[str] = []
    original = operators.temporal_convolution

    def counted(x: torch.Tensor, weight: torch.Tensor, frames: int) -> torch.Tensor:
        calls.append(f"{len(weight[0, 0])} taps")
        return original(x, weight, frames)

    monkeypatch.setattr(operators, "temporal_convolution", counted)
    seen = {}
    for name, run in passes.items():
        calls.clear()
        run()
        seen[name] = tuple(calls)
    assert seen.pop("operator f3") == ("3 taps",)
    assert seen.pop("operator t5") == ("5 taps",)
    assert set(seen.values()) == {()}
