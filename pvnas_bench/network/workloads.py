"""Timed workloads for records: training passes of the operators, and of PyTorch's layers as a yardstick.

Operators run without the matrix products of their blocks, which would mask half of a slow-down.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvnas_bench.network.operators import Operator, temporal_shift
from pvnas_bench.network.temporal_cell import cell_operator
from pvnas_bench.space import BlockSpace, CellSpace

CLIPS, FRAMES, CHANNELS, SIZE = 2, 8, 128, 12
SEQUENCES, STEPS, FEATURES = 16, 64, 32

Pass = Callable[[], None]


def block_passes(space: BlockSpace, device: torch.device) -> dict[str, Pass]:
    """Forward and backward pass of each operator of the space on clips of fixed shape, by name."""
    operators = dict.fromkeys(o for slot in space.slots for o in slot.operators if o != "skip")
    x = _clips(device)
    return {f"operator {operator}": _operator_pass(operator, x) for operator in operators}


def _operator_pass(operator: str, x: Tensor) -> Pass:
    module = Operator(operator, CHANNELS, stride=1).to(x.device)
    if operator == "tsm":
        return _pass(lambda: module(temporal_shift(x, FRAMES), FRAMES), module)
    return _pass(lambda: module(x, FRAMES), module)


def cell_passes(space: CellSpace, device: torch.device) -> dict[str, Pass]:
    """Forward and backward pass of an edge with each operator of the space on features of fixed shape, by name."""
    operators = dict.fromkeys(
        o for decision in space.decisions for o in decision.options if "operator" in decision.name
    )
    shape = (SEQUENCES, STEPS, 1, FEATURES)
    ramp = torch.linspace(-1, 1, SEQUENCES * STEPS * FEATURES, device=device).view(shape)
    x = ramp.permute(0, 3, 1, 2).requires_grad_()  # (N, C, T, 1), channels-last
    computed = [operator for operator in operators if operator not in ("skip", "none")]
    return {f"cell {operator}": _cell_pass(operator, x) for operator in computed}


def _cell_pass(operator: str, x: Tensor) -> Pass:
    module = cell_operator(operator, FEATURES).to(x.device)
    return _pass(lambda: module(x), module)


def convolution_pass(device: torch.device) -> Pass:
    """Forward and backward pass of PyTorch's dense convolution, batch-norm and ReLU."""
    x = _clips(device)
    layers = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU())
    module = layers.to(device)
    return _pass(lambda: module(x), module)


def _clips(device: torch.device) -> Tensor:
    """Input (N·T, C, S, S), channels-last, with values that do not affect speed."""
    shape = (CLIPS * FRAMES, CHANNELS, SIZE, SIZE)
    ramp = torch.linspace(-1, 1, CLIPS * FRAMES * CHANNELS * SIZE * SIZE, device=device).view(shape)
    return ramp.contiguous(memory_format=torch.channels_last).requires_grad_()


def _pass(forward: Callable[[], Tensor], module: nn.Module) -> Pass:
    def run() -> None:
        output = forward()
        output.sum().backward()
        module.zero_grad(set_to_none=True)
        if output.is_cuda:
            torch.cuda.synchronize(output.device)

    return run
