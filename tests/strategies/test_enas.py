"""ENAS: the controller's distribution and its policy gradient by enumeration of a tiny space, whole runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven, completed

from pvnas_bench.space import INACTIVE, Architecture, Decision, SearchSpace
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.enas import ENAS, Controller, policy_loss

BUDGET = 3.0
FEW = {"controller_steps": 8, "candidates": 3, "warmup": 0.15}

TINY = SearchSpace(
    "tiny",
    1,
    [
        Decision("depth", ("1", "2"), "structural", "input"),
        Decision("operator.1", ("a", "b", "c"), "modular", "one"),
        Decision("operator.2", ("a", "b"), "modular", "two", ("depth", frozenset({"2"}))),
    ],
    description="",
    caps={"L": 1},
    reference={"depth": "1", "operator.1": "a"},
    experts={},
)
EVERY = list(TINY.enumerate())


def controller(seed: int = 0) -> Controller:
    made = Controller(TINY, 8, 1.0, 2.5, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8)  # far from uniform
    return made


def log_prob(model: Controller, architecture: Architecture) -> torch.Tensor:
    return model.walk(lambda i, _: architecture.choices[i])[1]


def test_probabilities_sum_to_one_over_the_space() -> None:
    log_p = torch.stack([log_prob(controller(), a) for a in EVERY]).detach()
    assert len(EVERY) == 9
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(log_p.max() - log_p.min()) > 0.5


def test_later_decisions_depend_on_earlier_ones() -> None:
    model = controller()
    seen: dict[tuple[int, int], list[float]] = {}

    def picking(first: int, second: int) -> list[float]:
        def pick(i: int, options: torch.Tensor) -> int:
            if i == 2:
                seen[first, second] = options.detach().exp().tolist()
            return (first, second, 0)[i]

        model.walk(pick)
        return seen[first, second]

    assert picking(1, 0) != pytest.approx(picking(1, 2), abs=1e-3)


def test_it_samples_what_it_says() -> None:
    model, rng = controller(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = [model.sample(rng) for _ in range(2500)]
        for a in EVERY:
            assert sum(b == a for b, _, _ in drawn) / len(drawn) == pytest.approx(
                float(log_prob(model, a).exp()), abs=0.03
            )
        a, log_p, _ = drawn[0]
        assert float(log_p) == pytest.approx(float(log_prob(model, a)), abs=1e-5)


@pytest.mark.parametrize(("bonus", "baseline"), [(0.0, 0.0), (0.0, 0.7), (0.3, 0.4)])
def test_the_policy_gradient_is_that_of_the_expected_reward(bonus: float, baseline: float) -> None:
    """Σ_A p(A) ∇loss(A), by enumeration, is −∇ Σ_A p(A) (R(A) + bonus · H(A)), H(A) the entropies met on the way."""
    model = controller(1)
    reward = dict(zip(EVERY, np.random.default_rng(0).random(len(EVERY)).tolist(), strict=True))
    parameters = list(model.parameters())
    walks = {a: model.walk(lambda i, _, a=a: a.choices[i]) for a in EVERY}
    assert all(found == a for a, (found, _, _) in walks.items())
    value = sum(log_p.exp() * (reward[a] + bonus * entropy) for a, (_, log_p, entropy) in walks.items())
    exact = torch.autograd.grad(-value, parameters, retain_graph=True)
    surrogate = sum(
        log_p.detach().exp() * policy_loss(log_p, reward[a], baseline, entropy, bonus)
        for a, (_, log_p, entropy) in walks.items()
    )
    for ours, theirs in zip(torch.autograd.grad(surrogate, parameters), exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_it_learns_the_best_of_a_tiny_space() -> None:
    model, rng = controller(2), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    wanted = TINY.from_options({"depth": "2", "operator.1": "b", "operator.2": "a"})
    baseline = 0.0
    for _ in range(300):
        a, log_p, entropy = model.sample(rng)
        reward = sum(x == y for x, y in zip(a.choices, wanted.choices, strict=True)) / 3
        optimiser.zero_grad()
        policy_loss(log_p, reward, baseline, entropy, 0.0).backward()
        optimiser.step()
        baseline = 0.95 * baseline + 0.05 * reward
    greedy = model.walk(lambda _, options: int(options.argmax()))[0]
    assert greedy == wanted and INACTIVE not in greedy.choices


def test_paths_above_the_cap_are_not_run(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven("enas", tiny_dataset, BUDGET, **FEW)
    monkeypatch.setattr(driven.problem, "feasible", lambda _: False)
    ledger = driven.problem.ledger
    clips, spent = ledger.samples, ledger.macs
    driven.strategy._train_controller()
    assert ledger.samples == clips
    own = 64 * sum(8 * 64 + len(decision.options) for decision in SPACE.decisions)  # of an LSTM of 64 units
    assert 0 < ledger.macs - spent <= 8 * 3 * own
    assert driven.problem.take_logged()["reward"] == 0.0


def test_the_best_compared_architecture_is_returned(tiny_dataset: Path) -> None:
    driven = Driven("enas", tiny_dataset, BUDGET, **FEW).to_the_end()
    compared = driven.problem.facts["compared"]
    assert len(compared) == 3
    assert dict(compared)[str(driven.strategy.incumbent())] == max(top1 for _, top1 in compared)
    assert driven.problem.ledger.overshoot == 0


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    completed(ENAS, tiny_dataset, tmp_path, 2.0, **FEW)
