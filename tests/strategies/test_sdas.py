"""SDAS: the order and schedule of fixing, and what fixed blocks cost."""

from pathlib import Path

import pytest
import torch
from driven import Driven, completed
from torch.special import entr

from pvnas_bench.network.metering import plan_macs
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.sdas import SDAS


@pytest.fixture
def driven(tiny_dataset: Path) -> Driven:
    return Driven("sdas", tiny_dataset, 40.0)


def test_the_entropy_of_a_block_is_relative_to_the_uniform_distributions(driven: Driven) -> None:
    slot = SPACE.slots[0]
    with torch.no_grad():
        assert driven.strategy.entropy(slot) == pytest.approx(1.0)
        driven.strategy.alphas.logit(f"operator.{slot.name}")[0] = 2.0
    p = torch.tensor([2.0] + [0.0] * (len(slot.operators) - 1)).softmax(0)
    uniform = torch.full_like(p, 1 / len(p))
    assert driven.strategy.entropy(slot) == pytest.approx(float(entr(p).sum() / entr(uniform).sum()))


def test_a_fixed_block_is_one_candidate_and_the_others_stay_mixtures(driven: Driven) -> None:
    strategy, costs = driven.strategy, driven.problem.costs
    weights = strategy.alphas.probabilities()
    whole = plan_macs(costs, strategy.plan(weights))
    mixtures = strategy.plan(weights).slots
    first, second = SPACE.slots[0], SPACE.slots[1]
    with torch.no_grad():
        strategy.alphas.logit(f"operator.{first.name}")[2] = 1.0
        strategy.alphas.logit(f"operator.{second.name}")[second.operators.index("skip")] = 1.0
    strategy.fix(first)
    strategy.fix(second)
    plan = strategy.plan(strategy.alphas.probabilities())
    assert plan.slots[0][0] == 2 and plan.slots[1] == (second.operators.index("skip"), -1, -1)
    assert all(type(slot) is type(mixture) for slot, mixture in zip(plan.slots[2:], mixtures[2:], strict=True))
    assert plan_macs(costs, plan) < whole
    assert SPACE.option(strategy.incumbent(), f"operator.{first.name}") == first.operators[2]


def test_blocks_are_fixed_by_entropy_and_evenly_over_the_schedule(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, slots = driven.strategy, SPACE.slots
    order = [slots[i].name for i in (3, 0, 5, 1, 4, 2)]
    with torch.no_grad():
        for sharp, name in enumerate(reversed(order), 1):
            strategy.alphas.logit(f"operator.{name}")[0] = float(sharp)
    batch = next(driven.problem.search_batches("val"))
    monkeypatch.setattr(strategy, "descend", lambda loss: None)
    for progress, fixed in ((0.0, 0), (0.3, 0), (0.41, 1), (0.61, 3), (0.89, 5), (0.91, 6), (1.0, 6)):
        monkeypatch.setattr(type(driven.problem), "progress", property(lambda _, at=progress: at))
        strategy.alpha_step(batch, batch)
        assert list(strategy.fixed) == order[:fixed]


def test_fixed_alphas_do_not_move(driven: Driven) -> None:
    strategy = driven.strategy
    strategy.fix(SPACE.slots[0])
    before = strategy.alphas.logit("operator.1.1").detach().clone()
    free = strategy.alphas.logit("operator.2.1").detach().clone()
    batch = next(driven.problem.search_batches("val"))
    for _ in range(3):
        strategy.alpha_step(batch, batch)
    assert torch.equal(strategy.alphas.logit("operator.1.1"), before)
    assert not torch.equal(strategy.alphas.logit("operator.2.1"), free)


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(SDAS, tiny_dataset, tmp_path, 4.0)
    fixed = record.diagnostics["fixed"]
    assert len(set(fixed)) == len(fixed) >= 2 and set(fixed) <= {
        slot.name for slot in SPACE.slots
    }  # a few coarse steps
