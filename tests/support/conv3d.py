"""Networks of a block space in the usual form: `nn.Conv3d` on clips (N, C, T, H, W)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.network.standalone import DROPOUT, RGB, Network
from pvnas_bench.space import KERNELS, Block, NetworkSpec, hidden_channels


def pointwise(cin: int, cout: int) -> nn.Conv3d:
    return nn.Conv3d(cin, cout, 1, bias=False)


class Depthwise(nn.Module):
    """The depth-wise operator of a token."""

    def __init__(self, token: str, channels: int, stride: int) -> None:
        super().__init__()
        self.pool = stride if token == "t5" else 1
        convolutions = []
        for kernel in KERNELS[token]:
            k = kernel if len(kernel) == 3 else (kernel[0], 1, 1) if kernel[1] == 1 else (1, *kernel)
            strides = (1, stride, stride) if k[1] > 1 else (1, 1, 1)
            padding = tuple(side // 2 for side in k)
            convolutions.append(nn.Conv3d(channels, channels, k, strides, padding, groups=channels, bias=False))
        self.convolutions = nn.Sequential(*convolutions)

    def forward(self, x: Tensor) -> Tensor:
        if self.pool > 1:
            x = F.avg_pool3d(x, (1, self.pool, self.pool), ceil_mode=True)
        out: Tensor = self.convolutions(x)
        return out


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        factor = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3, 4))))))
        return x * factor[:, :, None, None, None]


class Conv3dBlock(nn.Module):
    """The inverted bottleneck, with parameters in the order of `InvertedBottleneck`."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        channels = block.cin * block.expansion
        self.expand, self.expand_norm = pointwise(block.cin, channels), nn.BatchNorm3d(channels)
        self.operator = Depthwise(block.operator, channels, block.stride)
        self.operator_norm = nn.BatchNorm3d(channels)
        self.attention = SqueezeExcitation(channels, hidden_channels(block.cin)) if block.se else None
        self.project, self.project_norm = pointwise(channels, block.cout), nn.BatchNorm3d(block.cout)

    def forward(self, x: Tensor) -> Tensor:
        y = shifted(x) if self.block.operator == "tsm" else x
        y = F.relu(self.expand_norm(self.expand(y)), inplace=True)
        y = F.relu(self.operator_norm(self.operator(y)), inplace=True)
        if self.attention is not None:
            y = self.attention(y)
        y = self.project_norm(self.project(y))
        return x + y if self.block.residual else y


def shifted(x: Tensor) -> Tensor:
    """TSM's shift of an eighth of the channels in each direction."""
    fold = max(x.shape[1] // 8, 1)
    out = torch.zeros_like(x)
    out[:, :fold, :-1] = x[:, :fold, 1:]
    out[:, fold : 2 * fold, 1:] = x[:, fold : 2 * fold, :-1]
    out[:, 2 * fold :] = x[:, 2 * fold :]
    return out


class Conv3dNetwork(nn.Module):
    """(N, 3, T, S, S) → logits (N, classes)."""

    def __init__(self, stem: int, blocks: Sequence[nn.Module], cout: int, head: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(RGB, stem, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.stem_norm = nn.BatchNorm3d(stem)
        self.blocks = nn.ModuleList(blocks)
        self.head, self.head_norm = pointwise(cout, head), nn.BatchNorm3d(head)
        self.dropout, self.classifier = nn.Dropout(DROPOUT), nn.Linear(head, classes)

    @classmethod
    def of(cls, spec: NetworkSpec, classes: int) -> "Conv3dNetwork":
        blocks = [Conv3dBlock(block) for block in spec.blocks]
        return cls(spec.stem, blocks, spec.blocks[-1].cout, spec.head, classes)

    @torch.no_grad()
    def take(self, network: Network) -> None:
        """Copy the weights of a stand-alone network."""
        for mine, theirs in zip(self.parameters(), network.parameters(), strict=True):
            mine.copy_(theirs.reshape(mine.shape))

    def forward(self, clips: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(clips)), inplace=True)
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.head_norm(self.head(x)), inplace=True)
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3, 4))))
        return logits
