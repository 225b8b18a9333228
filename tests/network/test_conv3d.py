"""Our networks, with time folded into the batch, against the same in `nn.Conv3d`."""

import pytest
import torch
import torch.nn.functional as F
from conv3d import Conv3dNetwork
from torch import nn

from pvnas_bench.network.standalone import Network
from pvnas_bench.spaces.st_default import SPACE

CLASSES = 5
ARCHITECTURES = [*SPACE.experts.values(), SPACE.parse("4-24-2-1/t5-e2-se/s5-e4-no/_/t5-e2-no/_/_")]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_outputs_and_gradients_equal_those_of_conv3d(architecture: object) -> None:
    spec = SPACE.spec(architecture)  # type: ignore[arg-type]
    torch.manual_seed(0)
    ours, peer = Network(spec, CLASSES).double(), Conv3dNetwork.of(spec, CLASSES).double()
    peer.take(ours)
    for module in (*ours.modules(), *peer.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    clips, labels = torch.randn(3, spec.frames, 3, spec.size, spec.size).double(), torch.tensor([0, 2, 4])
    outputs = ours(clips), peer(clips.transpose(1, 2))
    torch.testing.assert_close(*outputs)
    for output in outputs:
        F.cross_entropy(output, labels).backward()
    for (name, mine), theirs in zip(ours.named_parameters(), peer.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad.reshape(mine.grad.shape), msg=name)
