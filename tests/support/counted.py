"""A counter of multiply-accumulates, independent of the package's: it sees what torch computes."""

import math
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Counted(TorchDispatchMode):
    """Counts the MACs of convolutions and linear layers inside its context.

    Attributes:
        forward: MACs of forward passes.
        backward: MACs of the gradients of inputs and weights that are computed, one forward pass each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forward = self.backward = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket
        if name is aten.convolution:
            self.forward += out.numel() * math.prod(args[1].shape[1:])
        elif name is aten.convolution_backward:
            self.backward += args[0].numel() * math.prod(args[2].shape[1:]) * sum(args[10][:2])
        elif name is aten.addmm:
            self.forward += out.numel() * args[1].shape[1]
        elif name in (aten.mm, aten.mv):
            macs = out.numel() * args[0].shape[1]
            if _in_backward():
                self.backward += macs
            else:
                self.forward += macs
        return out


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1
