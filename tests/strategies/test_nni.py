"""NNI's strategies: trained by NNI's own code, metered to the MAC, quiet, and mapped back to our architectures."""

import itertools
import math
import os
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pvnas_bench import BudgetExhausted, Caps, Problem, SearchFinished, UsageError, registry, seeding
from pvnas_bench.conformance._drive import CountConvolutions
from pvnas_bench.conformance._world import World
from pvnas_bench.methods.nni_apart import apart
from pvnas_bench.methods.nni_search import most_probable, reference_input
from pvnas_bench.network.cost import candidates
from pvnas_bench.space import INACTIVE

DIFFERENTIABLE = ("nni_darts", "nni_gumbel_darts", "nni_proxyless")
NAMES = (*DIFFERENTIABLE, "nni_spos")


def started(clips: World, name: str, budget: float = 100.0, seed: int = 0, **settings: object) -> Any:
    """A strategy after `setup`."""
    problem, _ = clips.problem("all", seed)
    object.__setattr__(problem.ledger, "budget", budget)
    kind = registry.get_strategy(name)
    strategy = kind(problem, kind.Config(**settings))  # type: ignore[arg-type]
    with seeding.torch_seeded(seed, "setup"):
        strategy.setup()
    return strategy


def step(strategy: Any, number: int) -> None:
    with seeding.torch_seeded(0, "step", number):
        strategy.step()


def alphas(strategy: Any) -> list[torch.Tensor]:
    return [alpha.detach().clone() for alpha in strategy.training.alphas()]


# --- NNI's code does it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_alphas_change_and_only_by_nnis_optimiser(clips: World, name: str) -> None:
    strategy = started(clips, name, epochs=1000)
    weights, nnis = strategy.training.optimisers
    before = alphas(strategy)
    step(strategy, 0)
    assert all(not torch.equal(a, b) for a, b in zip(before, alphas(strategy), strict=True))
    # Only NNI's Adam (with DARTS' hyper-parameters) optimises them.
    assert type(nnis) is torch.optim.Adam
    (group,) = nnis.param_groups
    assert group["betas"] == (0.5, 0.999)
    assert group["weight_decay"] == 1e-3
    held = [id(p) for p in group["params"]]
    assert held == [id(alpha) for alpha in strategy.training.alphas()]
    assert not set(held) & {id(p) for g in weights.param_groups for p in g["params"]}
    assert all(float(nnis.state[p]["step"]) == strategy.steps for p in group["params"])
    # Without this optimiser the alphas stay, while the weights train.
    group["lr"], kept = 0.0, alphas(strategy)
    stem = strategy.training.model.stem.convolution.weight.detach().clone()
    step(strategy, 1)
    assert all(torch.equal(a, b) for a, b in zip(kept, alphas(strategy), strict=True))
    assert not torch.equal(stem, strategy.training.model.stem.convolution.weight)


def test_an_alpha_step_is_adam_on_the_mixtures_gradient(clips: World) -> None:
    """The first step of Adam moves every alpha by its rate against the sign of the gradient, computed here by hand."""
    strategy = started(clips, "nni_darts", epochs=1000)
    problem, model = strategy.problem, strategy.training.model
    batch = next(problem.search_batches("val"))
    x, labels = problem.metered.clips(batch, *strategy.seen), batch.labels
    model.train()
    own = [alpha.detach().clone().requires_grad_() for alpha in strategy.training.alphas()]
    y = model.stem(x.flatten(0, 1))
    for choice, alpha in zip(model.choices, own, strict=True):
        mixed = [p * choice[name](y) for p, name in zip(alpha.softmax(0), choice.names, strict=True)]
        y = torch.stack(mixed).sum(0)
    logits = model.head(y, strategy.seen[0])
    F.cross_entropy(logits, labels, label_smoothing=0.1).backward()
    torch.testing.assert_close(logits, model(x), rtol=1e-4, atol=1e-5)
    before = alphas(strategy)

    from pvnas_bench.methods import nni_training as nni

    class Once(nni.Batches):
        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            yield x, labels

    loaders = {split: Once(problem, split, 1, *strategy.seen) for split in ("train", "val")}
    with apart():
        strategy.training.epoch(0, 1000, nni.CombinedLoader(loaders, "max_size_cycle"))
    for alpha, old, mine in zip(alphas(strategy), before, own, strict=True):
        assert mine.grad is not None
        gradient = mine.grad + 1e-3 * old  # weight decay
        clear = gradient.abs() > 1e-5
        expected = -strategy.config.alpha_rate * gradient.sign()
        torch.testing.assert_close((alpha - old)[clear], expected[clear], rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_probabilities_are_the_softmax_of_the_alphas(clips: World, name: str) -> None:
    strategy = started(clips, name)
    for alpha, slot in zip(strategy.training.alphas(), strategy.slots(), strict=True):
        assert list(slot.values()) == pytest.approx(alpha.softmax(0).tolist())


def test_gumbels_temperature_falls_linearly_over_all_epochs(clips: World) -> None:
    strategy = started(clips, "nni_gumbel_darts", epochs=4, hottest=2.0, coldest=0.5)
    problem = strategy.problem
    object.__setattr__(problem.ledger, "budget", 1e6)
    strategy.steps = 1
    for epoch in range(4):
        step(strategy, epoch)
        taus = [float(choice._softmax.tau) for choice in strategy.training.model.choices]
        assert taus == pytest.approx([2.0 - 1.5 * epoch / 4] * len(taus))
    with pytest.raises(SearchFinished):
        strategy.step()


def test_the_weights_rate_is_darts_cosine_and_momentum_is_kept(clips: World) -> None:
    darts = {"optimiser": "sgd", "weight_rate": 0.025, "weight_floor": 0.001, "weight_decay": 3e-4, "rising": 0.0}
    strategy = started(clips, "nni_darts", epochs=4, **darts)
    strategy.steps = 2
    weights = strategy.training.optimisers[0]
    for epoch in range(4):
        step(strategy, epoch)
        progress = (epoch + 1 / 2) / 4  # at the second batch
        expected = 0.001 + 0.5 * 0.024 * (1 + math.cos(math.pi * progress))
        assert weights.param_groups[0]["lr"] == pytest.approx(expected)
    assert "momentum_buffer" in next(iter(weights.state.values()))
    assert float(next(iter(strategy.training.optimisers[1].state.values()))["step"]) == 8


def test_spos_trains_paths_under_the_cap_by_seed(clips: World) -> None:
    taken = []
    for seed in (0, 0, 1):
        strategy = started(clips, "nni_spos", seed=seed)
        module, paths = strategy.training.module, []
        for _ in range(20):
            sample = module.resample()
            assert strategy.problem.feasible(strategy.architecture(sample))
            paths.append(str(strategy.architecture(sample)))
        taken.append(paths)
        assert len(set(paths)) > 10
    assert taken[0] == taken[1] != taken[2]


# --- the result -------------------------------------------------------------------------------------------------------


def force(strategy: Any, logits: Mapping[int, Mapping[str, float]]) -> None:
    """Set the alphas of slots by candidate name; the others are impossible."""
    with torch.no_grad():
        for slot, own in logits.items():
            choice = strategy.training.model.choices[slot]
            choice._arch_alpha.fill_(-40.0)
            for name, logit in own.items():
                choice._arch_alpha[choice.names.index(name)] = logit


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_most_probable_candidates_are_the_incumbent(clips: World, name: str) -> None:
    strategy = started(clips, name)
    force(strategy, {0: {"t5-e1-se": 3.0}, 1: {"skip": 3.0}, 2: {"tsm-e1-no": 3.0}, 3: {"skip": 3.0}})
    assert str(strategy.incumbent()) == "4-16-2-2/t5-e1-se/skip-_-_/tsm-e1-no/skip-_-_"
    assert strategy.diagnostics()["skips"] == 2


def test_above_the_cap_the_best_product_under_it_is_taken(clips: World) -> None:
    strategy = started(clips, "nni_darts")
    problem: Problem = strategy.problem
    few = ["st3-e2-se", "f3-e2-no", "s3-e1-no", "t5-e1-no"]
    drawn = np.random.default_rng(5).normal(scale=2.0, size=(4, 4))
    logits = {slot: dict(zip(few, row, strict=True)) for slot, row in enumerate(drawn.tolist())}
    softmax = np.exp(drawn) / np.exp(drawn).sum(1)[:, None]
    shares = {slot: dict(zip(few, row, strict=True)) for slot, row in enumerate(softmax.tolist())}
    force(strategy, logits)
    scored = []
    for path in itertools.product(few, repeat=4):
        architecture = problem.space.parse("/".join(["4-16-2-2", *path]))
        product, total = (sum(values[s][n] for s, n in enumerate(path)) for values in (logits, shares))
        scored.append((problem.feasible(architecture), product, total, str(architecture)))
    fitting = [entry for entry in scored if entry[0]]
    expected = max(fitting, key=lambda entry: entry[1])
    assert max(scored, key=lambda entry: entry[1]) != expected  # the cap binds
    assert max(fitting, key=lambda entry: entry[2]) != expected  # a sum of probabilities would not do
    assert str(strategy.incumbent()) == expected[3]


def test_a_cap_that_the_reference_input_cannot_meet_is_refused(clips: World) -> None:
    problem, _ = clips.problem("all", 0)
    problem.caps = Caps(macs=problem.costs.cheapest().macs)
    with pytest.raises(UsageError, match="NNI searches at the reference input, 4 frames of 16 px"):
        reference_input(problem)
    problem.caps = Caps(macs=10**9)
    uniform = [{c: 1.0 for c, _ in candidates(problem.space, s) if c[0] != INACTIVE} for s in problem.space.slots]
    alike = most_probable(problem, 4, 16, uniform)
    assert str(alike).startswith("4-16-2-2/")
    options = problem.space.options(alike)
    free = [slot.name for slot in problem.space.slots if "skip" in slot.operators]
    assert free and any(options[f"operator.{name}"] != "skip" for name in free)  # the cheapest would skip all


# --- the meters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "size"), [("smallest", 12), ("reference", 16)])
def test_a_mixture_is_charged_all_its_candidates(clips: World, seen: str, size: int) -> None:
    strategy = started(clips, "nni_darts", epochs=1000, search_size=seen)
    problem = strategy.problem
    table = problem.costs.tables[problem.space.frames.index(4)][problem.space.sizes.index(size)]
    mixture = table.fixed.macs + sum(cost.macs for slot in table.slots for cost in slot.values())
    clips_a_step = 2 * problem.batch_size  # one batch for the alphas, one for the weights
    step(strategy, 0)
    assert problem.ledger.macs == strategy.steps * 3 * mixture * clips_a_step
    assert problem.ledger.samples == strategy.steps * clips_a_step
    seconds = problem._bench.clock.seconds
    assert min(seconds[activity] for activity in ("data", "forward", "backward", "optimiser")) > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_charges_the_computed_passes(clips: World, name: str) -> None:
    strategy = started(clips, name, epochs=1000)
    counter = CountConvolutions()
    with counter:
        step(strategy, 0)
    # The gradient with respect to the clips is charged but not computed: a large share, as the stem is costly.
    least = 0.8 if name == "nni_spos" else 0.95
    assert least * strategy.problem.ledger.macs < counter.macs <= strategy.problem.ledger.macs


@pytest.mark.parametrize("name", NAMES)
def test_a_spent_budget_ends_the_fit_cleanly(
    clips: World, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    strategy = started(clips, name, epochs=1000)
    problem = strategy.problem
    handler, python = signal.getsignal(signal.SIGINT), random.getstate()
    step(strategy, 0)
    object.__setattr__(problem.ledger, "budget", problem.ledger.spent)
    spent, kept = problem.ledger.macs, strategy.incumbent()
    with pytest.raises(BudgetExhausted):
        step(strategy, 1)
    assert problem.ledger.macs == spent
    assert strategy.incumbent() == kept
    assert signal.getsignal(signal.SIGINT) is handler
    assert random.getstate() == python
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_a_keyboard_interrupt_leaves_nnis_fit(clips: World, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = started(clips, "nni_darts")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(strategy.training.model.head, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step(strategy, 0)
    assert signal.getsignal(signal.SIGINT) is handler
