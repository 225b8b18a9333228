"""The work whose speed a record states: training passes of blocks and cells, and of PyTorch's own as the yardstick."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvnas_bench.network.blocks import InvertedBottleneck
from pvnas_bench.network.temporal_cell import cell_operator
from pvnas_bench.space import Block, BlockSpace, CellSpace

CLIPS, FRAMES, CHANNELS, SIZE, EXPANSION = 2, 8, 32, 12, 4
SEQUENCES, STEPS = 16, 64

Pass = Callable[[], None]


def block_passes(space: BlockSpace, device: torch.device) -> dict[str, Pass]:
    """By operator of the space, one forward and backward pass of a block that uses it, on clips of fixed shape."""
    operators = dict.fromkeys(o for slot in space.slots for o in slot.operators if o != "skip")
    x = _clips(device)
    return {f"block {operator}": _block_pass(operator, x) for operator in operators}


def _block_pass(operator: str, x: Tensor) -> Pass:
    block = Block("workload", CHANNELS, CHANNELS, 1, operator, EXPANSION, se=False)
    module = InvertedBottleneck(block).to(x.device)
    return _pass(lambda: module(x, FRAMES), module)


def cell_passes(space: CellSpace, device: torch.device) -> dict[str, Pass]:
    """By operator of the space, one forward and backward pass of an edge that uses it, on features of fixed shape."""
    operators = dict.fromkeys(
        o for decision in space.decisions for o in decision.options if "operator" in decision.name
    )
    shape = (SEQUENCES, STEPS, 1, CHANNELS)
    ramp = torch.linspace(-1, 1, SEQUENCES * STEPS * CHANNELS, device=device).view(shape)
    x = ramp.permute(0, 3, 1, 2).requires_grad_()  # (N, C, T, 1), channels-last
    computed = [operator for operator in operators if operator not in ("skip", "none")]
    return {f"cell {operator}": _cell_pass(operator, x) for operator in computed}


def _cell_pass(operator: str, x: Tensor) -> Pass:
    module = cell_operator(operator, CHANNELS).to(x.device)
    return _pass(lambda: module(x), module)


def convolution_pass(device: torch.device) -> Pass:
    """One forward and backward pass of a dense convolution and what usually follows it, all of it PyTorch's."""
    x = _clips(device)
    layers = nn.Sequential(nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1), nn.BatchNorm2d(2 * CHANNELS), nn.ReLU())
    module = layers.to(device)
    return _pass(lambda: module(x), module)


def _clips(device: torch.device) -> Tensor:
    """(N·T, C, S, S), channels-last, of values that matter to no one's speed."""
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
