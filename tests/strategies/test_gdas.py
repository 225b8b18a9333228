"""GDAS: the Gumbel one-hot against its relaxation and its distribution, one path per step, whole runs."""

from pathlib import Path

import pytest
import torch
from driven import Driven, completed, series

from pvnas_bench.methods.distribution import FactorisedDistribution
from pvnas_bench.methods.gates import gumbel_one_hot, one_path_plan
from pvnas_bench.network.metering import plan_macs
from pvnas_bench.network.supernet import Supernet, path_plan
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.gdas import GDAS

BUDGET = 3.0


def test_the_forward_is_one_hot_and_the_backward_the_relaxation_s() -> None:
    logits = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64, requires_grad=True)
    direction = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    for seed, temperature in ((0, 10.0), (1, 1.0), (2, 0.1)):
        gate = gumbel_one_hot(logits.log_softmax(0), temperature, torch.Generator().manual_seed(seed))
        assert sorted(gate.tolist()) == pytest.approx([0, 0, 0, 1])
        uniform = torch.rand(4, generator=torch.Generator().manual_seed(seed)).double()
        noisy = logits.log_softmax(0) - (-uniform.log()).log()
        assert int(gate.argmax()) == int(noisy.argmax())
        soft = (noisy / temperature).exp() / (noisy / temperature).exp().sum()
        ours = torch.autograd.grad((gate * direction).sum(), logits)[0]
        theirs = torch.autograd.grad((soft * direction).sum(), logits)[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_it_samples_the_distribution_whatever_the_temperature() -> None:
    log_p = torch.tensor([0.5, 0.2, 0.3]).log()
    rng = torch.Generator().manual_seed(0)
    count = torch.stack([gumbel_one_hot(log_p, 0.1 + i % 10, rng) for i in range(6000)]).mean(0)
    torch.testing.assert_close(count, log_p.exp(), rtol=0, atol=0.025)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return Supernet(SPACE, 5)


def gates_of(choices: tuple[int, ...]) -> dict[str, torch.Tensor]:
    gates = {}
    for decision, choice in zip(SPACE.decisions, choices, strict=True):
        gate = torch.zeros(len(decision.options))
        gate[max(choice, 0)] = 1.0
        gates[decision.name] = gate.requires_grad_()
    return gates


def test_the_plan_computes_the_sampled_path(supernet: Supernet) -> None:
    architecture = SPACE.parse("4-24-2-3/s3-e2-no/f3-e4-se/_/t5-e4-no/skip-_-_/tsm-e2-se")
    gates = gates_of(architecture.choices)
    clips = torch.randn(2, 4, 24, 24, 3, generator=torch.Generator().manual_seed(2)).permute(0, 1, 4, 2, 3)
    logits = supernet(clips, one_path_plan(SPACE, gates, 4, 24))
    torch.testing.assert_close(logits, supernet(clips, path_plan(SPACE, architecture)), rtol=1e-5, atol=1e-5)
    logits.square().sum().backward()
    depth = gates["depth.1"].grad
    assert depth is not None and float(depth.abs().min()) > 0  # every depth lies on the path that was computed
    for name, chosen in (("operator.1.2", 3), ("expansion.1.2", 1), ("se.1.2", 1)):
        gradient = gates[name].grad
        assert gradient is not None and [i for i, g in enumerate(gradient.tolist()) if g] == [chosen], name


def test_soft_gates_are_refused() -> None:
    gates = {d.name: torch.full((len(d.options),), 1 / len(d.options)) for d in SPACE.decisions}
    with pytest.raises(ValueError, match=r"must be one-hot: those of block 1\.1 multiply to 0"):
        one_path_plan(SPACE, gates, 4, 24)


def test_a_step_costs_one_path(tiny_dataset: Path) -> None:
    driven = Driven("gdas", tiny_dataset, BUDGET)
    strategy, problem = driven.strategy, driven.problem
    batch = next(problem.search_batches("train"))
    seen = []
    forward = strategy.supernet.network.forward
    strategy.supernet.network.forward = lambda clips, plan: seen.append(plan) or forward(clips, plan)
    start = problem.ledger.macs
    strategy.alpha_step(batch, batch)
    (plan,) = seen
    assert all(len(slot) == 1 for slot in plan.slots)
    assert problem.ledger.macs - start == 2 * len(batch) * plan_macs(problem.costs, plan)


def test_frames_and_size_are_fixed_or_learnt(tiny_dataset: Path) -> None:
    for learn_input in (False, True):
        driven = Driven("gdas", tiny_dataset, BUDGET, learn_input=learn_input)
        before = [logit.detach().clone() for logit in driven.strategy.alphas.logits[:2]]
        driven.step()
        driven.step()
        after = driven.strategy.alphas.logits[:2]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) != learn_input
        if not learn_input:
            assert driven.strategy.weight_plan().choices[:2] == (1, 0)  # 8 frames, as the reference; 24 of 24-40 pixels
            assert driven.strategy.incumbent().choices[:2] == (1, 1)


def test_the_temperature_falls_linearly(tiny_dataset: Path) -> None:
    driven = Driven("gdas", tiny_dataset, BUDGET)
    strategy, problem, ledger = driven.strategy, driven.problem, driven.problem.ledger
    assert strategy.temperature == pytest.approx(10.0)
    while problem.progress < 0.5:
        ledger.charge(ledger.reference // 1000)
    assert strategy.temperature == pytest.approx(5.05, abs=0.02)
    ledger.charge(round(ledger.budget * ledger.reference))
    assert strategy.temperature == pytest.approx(0.1)


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(GDAS, tiny_dataset, tmp_path, 2.0)
    entropy = series(record, "alpha_entropy")
    assert len(entropy) > 2 and entropy[-1] < entropy[0] <= 1
    assert FactorisedDistribution(SPACE).mean_entropy() == pytest.approx(1.0)
