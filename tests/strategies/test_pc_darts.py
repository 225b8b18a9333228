"""PC-DARTS: channels that operators see, cost, whole runs."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from driven import Driven, completed
from torch.utils.flop_counter import FlopCounterMode

from pvnas_bench.methods.bilevel import mixture_plan
from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Mixture, SuperBlock, Supernet
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
def test_a_quarter_of_the_channels_meets_the_operators(supernet: Supernet, index: int) -> None:
    """Against a plain computation of one operator, with stride 2 (index 0) and with a residual (index 1)."""
    block = supernet.blocks[index]
    assert isinstance(block, SuperBlock)
    operator = F.one_hot(torch.tensor(block.tokens.index("f3")), len(block.tokens)).float()
    mixture = Mixture(operator, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), part=4)
    x = torch.randn(6, block.slot.cin, 8, 8, generator=torch.Generator().manual_seed(1))
    hidden = F.relu(block.expand_norm(block.expand(x)))
    seen = hidden.shape[1] // 4
    mixed = F.relu(block.operator_norms["f3"](block.operators("f3", hidden[:, :seen].contiguous(), 3)))
    passing = hidden[:, seen:]
    if block.slot.stride == 2:
        passing = (
            passing[..., ::2, ::2] + passing[..., 1::2, ::2] + passing[..., ::2, 1::2] + passing[..., 1::2, 1::2]
        ) / 4
    y = block.project_norm(block.project(torch.cat([mixed, passing], 1)))
    choice = (block.tokens.index("f3"), 1, 0)
    y = y * block.scale[choice][:, None, None] + block.shift[choice][:, None, None]
    expected = x + y if block.residual else y
    torch.testing.assert_close(block(x, 3, mixture), expected, rtol=1e-4, atol=1e-5)


def test_channels_that_pass_have_no_gradient_in_operators(supernet: Supernet) -> None:
    p = {name: value.detach() for name, value in FactorisedDistribution(SPACE).probabilities().items()}
    clips = torch.randn(2, 4, 24, 24, 3, generator=torch.Generator().manual_seed(2)).permute(0, 1, 4, 2, 3)
    supernet.zero_grad()
    supernet(clips, mixture_plan(SPACE, p, 4, 24, part=4)).square().sum().backward()
    for block in supernet.blocks:
        gradient = block.operators.spatial.grad
        seen = len(gradient) // 4
        assert float(gradient[:seen].abs().max()) > 0 and float(gradient[seen:].abs().max()) == 0
    supernet.zero_grad()


@pytest.mark.parametrize("part", [1, 4])
def test_the_ledger_charges_what_is_computed(supernet: Supernet, part: int) -> None:
    p = {name: value.detach() for name, value in FactorisedDistribution(SPACE).probabilities().items()}
    plan = mixture_plan(SPACE, p, 4, 24, part)
    clips = torch.zeros(1, 4, 24, 24, 3).permute(0, 1, 4, 2, 3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        supernet(clips, plan)
    assert plan_macs(CostModel(SPACE, 5), plan) == pytest.approx(counter.get_total_flops() / 2, rel=0.002)


def test_weights_only_first(tiny_dataset: Path) -> None:
    driven = Driven("pc_darts", tiny_dataset, BUDGET)
    while driven.problem.progress < 0.25:
        driven.step()
        if driven.problem.progress < 0.3:
            assert all(float(logit.detach().abs().max()) == 0 for logit in driven.strategy.alphas.logits[2:])
    driven.to_the_end()
    assert all(float(logit.detach().abs().max()) > 0 for logit in driven.strategy.alphas.logits[2:])


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    completed(PCDARTS, tiny_dataset, tmp_path, 3.0)
