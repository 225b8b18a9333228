"""Passes in bfloat16: where they apply, what stays in float32, and separate protocols."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pvnas_bench import registry, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.network.standalone import Network
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.setup import Setup
from pvnas_bench.space import BlockSpace
from pvnas_bench.training import process

SPACE = registry.get_space("st_default")
CLIPS = torch.rand(4, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(4, dtype=torch.int64)


def network(operator: str) -> Network:
    assert isinstance(SPACE, BlockSpace)
    options = SPACE.options(SPACE.reference)
    options |= {name: operator for name in options if name.startswith("operator")}
    options |= {name: "se" for name in options if name.startswith("se.")}
    with seeding.torch_seeded(0, "weights"):
        made = Network(SPACE.spec(SPACE.from_options(options)), 4)
    made.head.dropout = nn.Identity()  # type: ignore[assignment]
    return made


def loss(network: nn.Module) -> Tensor:
    found: Tensor = nn.functional.cross_entropy(network(CLIPS), LABELS)
    return found


def gradients(network: nn.Module) -> Tensor:
    found = [p.grad for p in network.parameters()]
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.parametrize("operator", ["s3", "s5", "st3", "f3", "t5", "tsm"])
def test_losses_and_gradients_are_those_of_float32_but_for_rounding(operator: str) -> None:
    plain, mixed = network(operator), network(operator)
    loss(plain).backward()
    with process.configured(1, deterministic=True, mixed="cpu"):
        assert mixed(CLIPS).dtype == torch.bfloat16
        found = loss(mixed)
        found.backward()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(plain).item(), rel=0.02) and found.item() != loss(plain).item()
    ours, theirs = gradients(mixed), gradients(plain)
    assert all(p.dtype == torch.float32 for p in mixed.parameters()) and ours.dtype == torch.float32
    assert float((ours - theirs).norm() / theirs.norm()) < 0.05


def test_the_next_pass_uses_updated_weights() -> None:
    """Autocast would otherwise reuse its cached copies of old weights."""
    layer, x = nn.Linear(4, 4), torch.eye(4)
    with process.configured(1, deterministic=True, mixed="cpu"):
        before = layer(x)
        with torch.no_grad():
            layer.weight.add_(1.0)
        assert not torch.equal(layer(x), before)


def test_mixed_precision_ends_with_its_context() -> None:
    with process.configured(1, deterministic=True, mixed="cpu"):
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    with process.configured(1, deterministic=True):
        assert network("s3")(CLIPS).dtype == torch.float32


@pytest.mark.long
def test_a_mixed_precision_run_has_a_separate_protocol_and_record(tmp_path: Path) -> None:
    plain = Request("random_search", results=tmp_path)
    setups = [Setup(request, Observer()) for request in (plain, replace(plain, precision="bfloat16"))]
    assert setups[0].path != setups[1].path
    assert [setup.protocol.name for setup in setups] == ["quick", "quick-bfloat16"]
    assert (
        "--protocol quick --cap L --budget 6 --seed 0 --precision bfloat16" in " ".join(setups[1].command)
        and "--precision" not in setups[0].command
    )
    with setups[1].configured():
        assert torch.is_autocast_enabled("cpu")
    with setups[0].configured():
        assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(UsageError, match="unknown precision 'half': choose float32 or bfloat16"):
        Setup(replace(plain, precision="half"), Observer())
