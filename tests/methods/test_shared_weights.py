"""Weight steps move what a sampled path uses, as the plain optimiser does, and nothing else."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from driven import Driven
from torch import Tensor, nn

from pvnas_bench.methods import SharedWeights, WeightsConfig
from pvnas_bench.methods.lazy_optimisers import LazyAdamW, LazySGD
from pvnas_bench.spaces.st_default import SPACE

BUSY = SPACE.parse("4-24-1-1/s3-e2-no/_/_/s3-e2-no/_/_")
IDLE = SPACE.parse("4-24-2-2/f3-e4-se/t5-e4-se/_/s5-e4-se/st3-e4-no/_")
Optimiser = Literal["adamw", "sgd"]
DECAY = 0.1


def used(name: str, weight: Tensor) -> Tensor:
    """Mask of the entries of a parameter that `BUSY` uses."""
    mask = torch.zeros_like(weight, dtype=torch.bool)
    kind, block = name.split(".")[0], name.split(".")[1]
    if kind != "blocks":
        return ~mask
    if block not in "03":
        return mask
    slot, rest = SPACE.slots[int(block)], name.split(".", 2)[2]
    rows = 2 * slot.cin
    o = slot.operators.index("s3")
    if rest in ("scale", "shift"):
        mask[o, SPACE.expansions.index(2), SPACE.se.index("no")] = True
    elif rest == "operators.spatial":
        mask[:rows, :, 1:4, 1:4] = True
    elif rest.startswith(("expand", "operator_norms.s3")):
        mask[:rows] = True
    elif rest == "project.weight":
        mask[:, :rows] = True
    return mask


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_an_idle_candidate_does_not_move_by_a_bit_in_twenty_steps(tiny_dataset: Path, optimiser: Optimiser) -> None:
    problem, rate = Driven("spos", tiny_dataset, 6.0).problem, 0.01 if optimiser == "adamw" else 1.0
    supernet = problem.supernet()
    weights = SharedWeights(problem, WeightsConfig(optimiser=optimiser, weight_decay=DECAY), supernet)
    batches = problem.repeated_batches("train")
    for _ in range(3):  # momentum everywhere
        weights.step(next(batches), IDLE, rate)
        weights.step(next(batches), BUSY, rate)
    before = {name: p.detach().clone() for name, p in supernet.network.named_parameters()}
    for _ in range(20):
        weights.step(next(batches), BUSY, rate)
    for name, parameter in supernet.network.named_parameters():
        mask = used(name, parameter)
        assert torch.equal(parameter[~mask], before[name][~mask]), name
        if mask.any():
            assert float((parameter != before[name])[mask].float().mean()) > 0.9, name


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_each_row_moves_as_a_tensor_of_its_own_under_the_plain_optimiser(optimiser: Optimiser) -> None:
    """A tensor whose gradient is None keeps its value and its state."""
    generator = torch.Generator().manual_seed(0)
    shared = nn.Parameter(torch.randn(5, 4, generator=generator))
    rows = [nn.Parameter(row.clone()) for row in shared.detach()]
    if optimiser == "adamw":
        ours: torch.optim.Optimizer = LazyAdamW([shared], lr=0.1, weight_decay=DECAY)
        plain: torch.optim.Optimizer = torch.optim.AdamW(rows, lr=0.1, weight_decay=DECAY)
    else:
        ours = LazySGD([shared], lr=0.1, weight_decay=DECAY)
        plain = torch.optim.SGD(rows, lr=0.1, momentum=0.9, weight_decay=DECAY)
    for step in range(60):
        shared.grad = torch.randn(5, 4, generator=generator)
        for i, row in enumerate(rows):  # row 0 in every step, row 4 first in the 41st
            row.grad = shared.grad[i].clone() if step % (i + 1) == i and (i < 4 or step > 40) else None
            if row.grad is None:
                shared.grad[i] = 0.0
        ours.step()
        plain.step()
        torch.testing.assert_close(shared.detach(), torch.stack([row.detach() for row in rows]), rtol=1e-5, atol=1e-6)


def test_batch_norm_and_biases_do_not_decay(tiny_dataset: Path) -> None:
    problem = Driven("spos", tiny_dataset, 2.0).problem
    supernet = problem.supernet()
    optimiser = SharedWeights(problem, WeightsConfig(weight_decay=DECAY), supernet).optimiser
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in supernet.network.named_parameters():
        vector = "norm" in name or name.endswith((".bias", ".scale", ".shift"))
        assert decay.pop(id(parameter)) == (0.0 if vector else DECAY), name
    assert not decay


@pytest.mark.parametrize(("clipped", "expected"), [("norm", [0.6, -0.8, 0.0]), ("value", [1.0, -1.0, 0.5])])
def test_gradients_are_clipped_by_norm_or_by_value(
    tiny_dataset: Path, clipped: Literal["norm", "value"], expected: list[float]
) -> None:
    problem, weight = Driven("spos", tiny_dataset, 2.0).problem, nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3.0, -4.0, 0.0 if clipped == "norm" else 0.5])
    problem.update(torch.optim.SGD([weight], lr=1.0), clip=1.0, clipped=clipped)
    torch.testing.assert_close(weight.detach(), -torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_not_finite_moves_nothing_when_values_are_clipped(tiny_dataset: Path) -> None:
    problem, weight = Driven("spos", tiny_dataset, 2.0).problem, nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([float("inf"), 1.0])
    problem.update(torch.optim.SGD([weight], lr=1.0), clip=1.0, clipped="value")
    assert weight.tolist() == [0.0, 0.0]
    assert problem.failures == {"skipped updates": 1}
