"""PC-DARTS: channels that operators see, cost, whole runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from driven import Driven, completed

from pvnas_bench.methods.bilevel import mixture_plan
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.network.supernet import Mixture, SuperBlock, Supernet, turns
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.pc_darts import PCDARTS

BUDGET = 4.0


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = Supernet(SPACE, 5)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("turn", [0, 2, 3])
def test_a_quarter_of_the_channels_meets_the_operators(supernet: Supernet, index: int, turn: int) -> None:
    """Against a plain computation of one operator, with stride 2 (index 0) and with a residual (index 1)."""
    block = supernet.blocks[index]
    assert isinstance(block, SuperBlock)
    operator = F.one_hot(torch.tensor(block.tokens.index("f3")), len(block.tokens)).float()
    mixture = Mixture(operator, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), part=4, turn=turn)
    x = torch.randn(6, block.slot.cin, 8, 8, generator=torch.Generator().manual_seed(1))
    hidden = F.relu(block.expand_norm(block.expand(x)))
    # all channels through the operator: it is depth-wise, so that each channel can be chosen afterwards
    mixed = F.relu(block.operator_norms["f3"](block.operators("f3", hidden, 3)))
    passing = hidden
    if block.slot.stride == 2:
        corners = [hidden[..., i::2, j::2] for i in range(2) for j in range(2)]
        passing = torch.stack(corners).mean(0)
    quarter = hidden.shape[1] // 4
    seen = torch.arange(hidden.shape[1]) // quarter == turn
    y = block.project_norm(block.project(torch.where(seen[:, None, None], mixed, passing)))
    choice = (block.tokens.index("f3"), 1, 0)
    y = y * block.scale[choice][:, None, None] + block.shift[choice][:, None, None]
    expected = x + y if block.residual else y
    torch.testing.assert_close(block(x, 3, mixture), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "part"), [(64, 4), (48, 5), (32, 3), (16, 16), (7, 1)])
def test_the_parts_cover_all_channels(channels: int, part: int) -> None:
    size, covered = channels // part, set[int]()
    for turn in range(turns(channels, part)):
        first = min(turn * size, channels - size)
        covered |= set(range(first, first + size))
    assert covered == set(range(channels))


def test_channels_that_pass_have_no_gradient_in_operators(supernet: Supernet) -> None:
    p = {name: value.detach() for name, value in FactorisedDistribution(SPACE).probabilities().items()}
    clips = torch.randn(2, 4, 24, 24, 3, generator=torch.Generator().manual_seed(2)).permute(0, 1, 4, 2, 3)
    for seed in (None, 0, 1):
        supernet.zero_grad()
        rng = None if seed is None else np.random.default_rng(seed)
        plan = mixture_plan(SPACE, p, 4, 24, 4, rng)
        supernet(clips, plan).square().sum().backward()
        for block, mixture in zip(supernet.blocks, plan.slots, strict=True):
            quarters = block.operators.spatial.grad.abs().amax((1, 2, 3)).chunk(4)
            assert [float(quarter.max()) > 0 for quarter in quarters] == [i == mixture.turn for i in range(4)]
    supernet.zero_grad()


def test_kernels_and_batch_norms_of_all_channels_train(tiny_dataset: Path) -> None:
    """`score` reads them all."""
    driven = Driven("pc_darts", tiny_dataset, 30.0, part=4)
    strategy, batches = driven.strategy, driven.problem.repeated_batches("train")
    before = {name: p.detach().clone() for name, p in strategy.supernet.network.named_parameters()}
    for _ in range(40):
        strategy.weights.step(next(batches), strategy.weight_plan(), 0.01)
    for name, parameter in strategy.supernet.network.named_parameters():
        if "operators." in name or "operator_norms." in name:
            moved = (parameter != before[name]).flatten(1).any(1) if parameter.ndim > 1 else parameter != before[name]
            assert float(moved.float().mean()) > 0.95, name


def test_every_pass_draws_channels(tiny_dataset: Path) -> None:
    driven = Driven("pc_darts", tiny_dataset, BUDGET, part=4)
    drawn = {tuple(slot.turn for slot in driven.strategy.weight_plan().slots) for _ in range(20)}
    assert len(drawn) == 20
    assert all({row[i] for row in drawn} == {0, 1, 2, 3} for i in range(len(SPACE.slots)))


def test_weights_only_first(tiny_dataset: Path) -> None:
    driven = Driven("pc_darts", tiny_dataset, BUDGET, warmup=0.3)
    while driven.problem.progress < 0.25:
        driven.step()
        if driven.problem.progress < 0.3:
            assert all(float(logit.detach().abs().max()) == 0 for logit in driven.strategy.alphas.logits[2:])
    driven.to_the_end()
    assert all(float(logit.detach().abs().max()) > 0 for logit in driven.strategy.alphas.logits[2:])


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    completed(PCDARTS, tiny_dataset, tmp_path, 3.0)
