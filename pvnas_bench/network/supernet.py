"""Supernet of a block space: every candidate of every slot, with shared weights.

Weight sharing: the candidates of a slot share its point-wise weights, its squeeze-excitation and its depth-wise kernels
(see `ElasticOperators`); a smaller expansion uses the first channels of a larger one (Cai et al. 2020). Each operator
has a separate batch-norm after its kernel. Each candidate (operator, expansion, SE) has separate affine parameters in
the slot's last batch-norm.

Batch-norm uses batch statistics in training and evaluation, as the weights serve many paths (DARTS, ProxylessNAS).
`recalibrated` estimates running statistics for one path (SPOS), and `extract` copies them into the stand-alone network.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench.network.blocks import InvertedBottleneck, SqueezeExcitation, pointwise
from pvnas_bench.network.operators import ElasticOperators, temporal_shift
from pvnas_bench.network.standalone import Head, Network, Stem
from pvnas_bench.space import INACTIVE, SE, Architecture, BlockSpace, Slot, hidden_channels, mixes_time

Candidate = tuple[int, int, int]
"""Option indices of a slot's operator, expansion and squeeze-excitation."""

Gated = Sequence[tuple[Candidate, Tensor | None]]
"""Computed candidates of a slot, each with a factor for its output (None: 1)."""


@dataclass(frozen=True)
class Mixture:
    """Weights of a slot's operators, expansions and SE options; the slot computes all of them.

    Attributes:
        part: operators see 1/part of the expanded channels, the others bypass them (Xu et al. 2020, PC-DARTS).
        turn: which part of the channels, of `turns`.
    """

    operator: Tensor
    expansion: Tensor
    se: Tensor
    part: int = 1
    turn: int = 0


def turns(channels: int, part: int) -> int:
    """Number of parts of ⌊channels/part⌋ successive channels that cover all; the last may overlap its predecessor."""
    return math.ceil(channels / (channels // part))


def _copy(target: Tensor, source: Tensor) -> None:
    """Copy the leading entries of `source` in each dimension into `target`."""
    target.copy_(source[tuple(slice(0, length) for length in target.shape)])


def _copy_norm(target: nn.BatchNorm2d, source: nn.Module) -> None:
    assert isinstance(source, ElasticNorm)
    if source.weight is not None and source.bias is not None:
        _copy(target.weight, source.weight)
        _copy(target.bias, source.bias)
    assert target.running_mean is not None and target.running_var is not None
    _copy(target.running_mean, source.running_mean)
    _copy(target.running_var, source.running_var)


class ElasticNorm(nn.Module):
    """Batch-norm over some of the channels with batch statistics; with running ones inside `Supernet.recalibrated`."""

    EPSILON = 1e-5
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels), persistent=False)
        self.register_buffer("running_var", torch.ones(channels), persistent=False)
        self.batches = 0
        self.mode = "batch"

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Normalise x, (N·T, c, H, W), the channels from `first` on."""
        own = slice(first, first + x.shape[1])
        weight = None if self.weight is None else self.weight[own]
        bias = None if self.bias is None else self.bias[own]
        mean, var = self.running_mean[own], self.running_var[own]
        if self.mode == "running":
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.EPSILON)
        if self.mode == "batch":
            return F.batch_norm(x, None, None, weight, bias, True, 0.0, self.EPSILON)
        self.batches += 1  # cumulative mean over all batches so far
        return F.batch_norm(x, mean, var, weight, bias, True, 1.0 / self.batches, self.EPSILON)


class SuperBlock(nn.Module):
    """All candidates of one slot."""

    def __init__(self, slot: Slot, expansions: Sequence[int], se: Sequence[str]) -> None:
        super().__init__()
        self.slot, self.expansions, self.se = slot, tuple(expansions), tuple(SE[token] for token in se)
        self.residual = slot.stride == 1 and slot.cin == slot.cout
        channels = slot.cin * max(expansions)
        self.tokens = slot.operators
        real = [token for token in slot.operators if token != "skip"]
        self.expand = pointwise(slot.cin, channels)
        self.expand_norm = ElasticNorm(channels)
        self.operators = ElasticOperators(channels, slot.stride)
        self.operator_norms = nn.ModuleDict({token: ElasticNorm(channels) for token in real})
        self.attention = SqueezeExcitation(channels, hidden_channels(slot.cin))
        self.project = pointwise(channels, slot.cout)
        self.project_norm = ElasticNorm(slot.cout, affine=False)
        shape = (len(self.tokens), len(expansions), len(se), slot.cout)
        self.scale = nn.Parameter(torch.ones(shape))
        """γ of the last batch-norm of each candidate (operator, expansion, SE); unused where operator is skip."""
        self.shift = nn.Parameter(torch.zeros(shape))
        self.skip_norm: ElasticNorm | None = None
        """Affine batch-norm after a skip, for strategies that read its γ (BN-NAS); stand-alone networks have none."""

    def candidate(self, x: Tensor, frames: int, choice: Candidate) -> Tensor | None:
        """Output of one candidate's branch, (N·T, cout, H', W'); None for skip."""
        o, e, a = choice
        token = self.tokens[o]
        if token == "skip":
            return None
        c = self.slot.cin * self.expansions[e]
        y = temporal_shift(x, frames) if token == "tsm" else x
        y = F.relu(self.expand_norm(F.conv2d(y, self.expand.weight[:c])), inplace=True)
        y = F.relu(self.operator_norms[token](self.operators(token, y, frames)), inplace=True)
        if self.se[a]:
            y = self.attention(y, frames)
        y = self.project_norm(F.conv2d(y, self.project.weight[:, :c]))
        branch: Tensor = y * self.scale[choice][:, None, None] + self.shift[choice][:, None, None]
        return branch

    def mixture(self, x: Tensor, frames: int, weights: Mixture) -> Tensor:
        """Weighted sum of all candidates: operators in parallel, expansions by channel masks (Wan et al. 2020).

        A one-hot mixture equals its candidate. All operators except the shift share one matrix product for the
        expansion. The other layers run separately for each operator: stacking six operators on channels, with one
        batch-norm and one grouped projection, took 2.0 to 2.2 times as long (CPU, forward and backward).
        """
        channels = self.slot.cin * max(self.expansions)
        mask = x.new_zeros(channels)
        for e, expansion in enumerate(self.expansions):
            inside = (torch.arange(channels, device=x.device) < self.slot.cin * expansion).to(x.dtype)
            mask = mask + weights.expansion[e] * inside
        attended = sum((weights.se[a] for a, on in enumerate(self.se) if on), start=x.new_zeros(()))
        affine = weights.expansion[:, None, None] * weights.se[None, :, None]
        expanded = F.relu(self.expand_norm(self.expand(x)), inplace=True)
        seen = channels // weights.part
        first = min(weights.turn * seen, channels - seen)
        last = first + seen
        passing = self._pooled(expanded) if weights.part > 1 else None
        out = None
        for o, token in enumerate(self.tokens):
            if token == "skip":
                continue
            y = expanded[:, first:last]
            if token == "tsm":
                shifted = F.conv2d(temporal_shift(x, frames), self.expand.weight[first:last])
                y = F.relu(self.expand_norm(shifted, first), inplace=True)
            y = F.relu(self.operator_norms[token](self.operators(token, y, frames, first), first), inplace=True)
            y = y if passing is None else torch.cat([passing[:, :first], y, passing[:, last:]], 1)
            y = y * mask[:, None, None]
            if any(self.se):
                y = y * (1 - attended + attended * self.attention.scale(y, frames))
            y = self.project_norm(self.project(y))
            scale = weights.operator[o] * (affine * self.scale[o]).sum((0, 1))
            shift = weights.operator[o] * (affine * self.shift[o]).sum((0, 1))
            y = y * scale[:, None, None] + shift[:, None, None]
            out = y if out is None else out + y
        assert out is not None
        total: Tensor = x + out if self.residual else out
        return total

    def _pooled(self, x: Tensor) -> Tensor:
        """Pool the channels that bypass an operator to its output's size."""
        stride = self.slot.stride
        return F.avg_pool2d(x, stride, ceil_mode=True) if stride > 1 else x

    def temporal_parameters(self) -> Iterator[nn.Parameter]:
        """Kernels and batch-norms of the operators that mix time, and γ and β of all candidates."""
        yield from (self.operators.temporal, self.operators.full)
        for token, norm in self.operator_norms.items():
            if mixes_time(token):
                yield from norm.parameters()
        yield from (self.scale, self.shift)

    def clear_spatial_gradients(self) -> None:
        """Clear the gradients of γ and β of the candidates that do not mix time."""
        spatial = [o for o, token in enumerate(self.tokens) if not mixes_time(token)]
        for parameter in (self.scale, self.shift):
            if parameter.grad is not None:
                parameter.grad[spatial] = 0.0

    def copy_into(self, target: InvertedBottleneck, choice: Candidate) -> None:
        """Copy one candidate's slice of the shared weights into a stand-alone block."""
        token = self.tokens[choice[0]]
        _copy(target.expand.weight, self.expand.weight)
        _copy_norm(target.expand_norm, self.expand_norm)
        kernels = self.operators.kernels(token, target.expand.weight.shape[0])
        for mine, theirs in zip(kernels, target.operator.weights, strict=True):
            _copy(theirs, mine)
        _copy_norm(target.operator_norm, self.operator_norms[token])
        if target.attention is not None:
            for name, parameter in target.attention.named_parameters():
                _copy(parameter, self.attention.get_parameter(name))
        _copy(target.project.weight, self.project.weight)
        _copy_norm(target.project_norm, self.project_norm)
        _copy(target.project_norm.weight, self.scale[choice])
        _copy(target.project_norm.bias, self.shift[choice])

    def forward(self, x: Tensor, frames: int, choice: Candidate | Gated | Mixture) -> Tensor:
        """Output of the slot for one candidate, several gated candidates, or the mixture of all."""
        if isinstance(choice, Mixture):
            return self.mixture(x, frames, choice)
        gated: Gated = [(choice, None)] if isinstance(choice[0], int) else choice  # type: ignore[list-item,assignment]
        if self.skip_norm is not None and len(gated) == 1 and self.tokens[gated[0][0][0]] == "skip":
            normed: Tensor = self.skip_norm(x)
            return normed
        out = x if self.residual else None
        for candidate, gate in gated:
            branch = self.candidate(x, frames, candidate)
            if branch is not None:
                branch = branch if gate is None else gate * branch
                out = branch if out is None else out + branch
        assert out is not None
        return out


@dataclass(frozen=True)
class Plan:
    """Plan of a supernet's forward pass.

    Attributes:
        frames, size: frames and size of the clips.
        slots: for each slot the candidate, gated candidates or mixture; None: no path reaches the slot.
        depths: for each stage, the (depth, weight) pairs of the block outputs summed into its output; weight None: 1.
    """

    frames: int
    size: int
    slots: tuple[Candidate | Gated | Mixture | None, ...]
    depths: tuple[tuple[tuple[int, Tensor | None], ...], ...]

    def at(self, frames: int, size: int) -> "Plan":
        """The same plan for clips of another number of frames and size."""
        return replace(self, frames=frames, size=size)


def path_plan(space: BlockSpace, architecture: Architecture) -> Plan:
    """Plan of one architecture's path."""
    slots: list[Candidate | None] = []
    for slot in space.slots:
        o, e, a = (architecture.choices[i] for i in space.groups[slot.name])
        slots.append(None if o == INACTIVE else (o, max(e, 0), max(a, 0)))
    options = space.options(architecture)
    depths = tuple(((int(options[f"depth.{s}"]), None),) for s in range(1, len(space.stages) + 1))
    return Plan(int(options["frames"]), int(options["size"]), tuple(slots), depths)


class Supernet(nn.Module):
    """Supernet of a block space; `forward` runs a plan."""

    def __init__(self, space: BlockSpace, classes: int) -> None:
        super().__init__()
        self.space, self.classes = space, classes
        self.stem = Stem(space.stem)
        self.blocks = nn.ModuleList(SuperBlock(slot, space.expansions, space.se) for slot in space.slots)
        self.head = Head(space.stages[-1].channels, space.head, classes)
        self.stem.norm = ElasticNorm(space.stem)  # type: ignore[assignment]
        self.head.norm = ElasticNorm(space.head)  # type: ignore[assignment]
        self.head.dropout = nn.Identity()  # type: ignore[assignment]

    def forward(self, clips: Tensor, plan: Plan) -> Tensor:
        """Run a plan: (N, T, 3, S, S) with the plan's T and S → logits (N, classes)."""
        frames = clips.shape[1]
        x = self.stem(clips.flatten(0, 1))
        depths = [dict(stage) for stage in plan.depths]
        out: Tensor | None = None
        for slot, block, choice in zip(self.space.slots, self.blocks, plan.slots, strict=True):
            if slot.index == 1:
                x, out = (x if out is None else out), None
            if choice is None:
                continue
            x = block(x, frames, choice)
            if slot.index in depths[slot.stage - 1]:
                weight = depths[slot.stage - 1][slot.index]
                weighted = x if weight is None else weight * x
                out = weighted if out is None else out + weighted
        assert out is not None
        logits: Tensor = self.head(out, frames)
        return logits

    def block(self, slot: str) -> SuperBlock:
        """The block of a slot, by the slot's name."""
        block = self.blocks[[own.name for own in self.space.slots].index(slot)]
        assert isinstance(block, SuperBlock)
        return block

    @property
    def superblocks(self) -> list[SuperBlock]:
        """The blocks, in the order of the space's slots."""
        return [block for block in self.blocks if isinstance(block, SuperBlock)]

    def norm_skips(self) -> None:
        """Give each slot that can be skipped a batch-norm for its skip; see `SuperBlock.skip_norm`."""
        for slot, block in zip(self.space.slots, self.superblocks, strict=True):
            if "skip" in slot.operators:
                block.skip_norm = ElasticNorm(slot.cout).to(block.scale.device)

    def affine_parameters(self) -> Iterator[nn.Parameter]:
        """γ and β of every batch-norm, those of the candidates included."""
        for norm in self.norms():
            yield from norm.parameters()
        for block in self.superblocks:
            yield from (block.scale, block.shift)

    def kernels(self) -> Iterator[nn.Parameter]:
        """Weights of all convolutions and linear layers, whose gradients cost MACs."""
        affine = {id(parameter) for parameter in self.affine_parameters()}
        return (p for p in self.parameters() if p.ndim > 1 and id(p) not in affine)

    def norms(self) -> Iterator[ElasticNorm]:
        """All batch-norm layers."""
        return (module for module in self.modules() if isinstance(module, ElasticNorm))

    # --- one path ---------------------------------------------------------------------------------------------------

    @contextmanager
    def recalibrated(self, architecture: Architecture, batches: Iterable[Tensor]) -> Iterator[None]:
        """Context in which batch-norm uses running statistics of one path, estimated on these clips (SPOS)."""
        plan = path_plan(self.space, architecture)
        norms = list(self.norms())
        for norm in norms:
            norm.mode, norm.batches = "calibrate", 0
        try:
            with torch.no_grad():
                for clips in batches:
                    self(clips, plan)
            for norm in norms:
                norm.mode = "running"
            yield
        finally:
            for norm in norms:
                norm.mode = "batch"

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> Network:
        """Stand-alone network of a path, with copies of its weights and its last running statistics."""
        network = Network(self.space.spec(architecture), self.classes)
        _copy(network.stem.convolution.weight, self.stem.convolution.weight)
        _copy_norm(network.stem.norm, self.stem.norm)
        targets = iter(network.blocks)
        for block, choice in zip(self.blocks, path_plan(self.space, architecture).slots, strict=True):
            if choice is not None and block.tokens[choice[0]] != "skip":  # type: ignore[index]
                block.copy_into(next(targets), choice)  # type: ignore[operator]
        _copy(network.head.convolution.weight, self.head.convolution.weight)
        _copy_norm(network.head.norm, self.head.norm)
        network.head.classifier.load_state_dict(self.head.classifier.state_dict())
        return network
