"""PV-NAS: the schedule in closed form, cycles within the budget, weights changed by each kind of step."""

import math
from pathlib import Path

import pytest
import torch

from pvnas_bench import Problem, SearchFinished
from pvnas_bench.methods.signals import WINDOW
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.strategies.pvnas import PVNAS, cycle_at, schedule


def strategy(dataset: Path, results: Path, budget: float = 2.0, **settings: str) -> PVNAS:
    request = Request("pvnas", dataset=str(dataset), budget=budget, settings=settings, results=results, threads=1)
    search = Search(Setup(request, Observer()), Observer())
    assert isinstance(search.strategy, PVNAS)
    search.strategy.setup()
    return search.strategy


@pytest.mark.parametrize("decay", [1.0, 0.7])
@pytest.mark.parametrize("growth", [1.0, 2.0])
def test_diversity_schedule_is_warm_restarts_in_closed_form(decay: float, growth: float) -> None:
    cycles, floor = 4, 0.01
    first = 1 / sum(growth**c for c in range(cycles))
    for c in range(cycles):
        start, length = first * sum(growth**k for k in range(c)), first * growth**c
        for t in (0.0, 0.25, 0.5, 0.9):
            expected = floor + 0.5 * (decay**c - floor) * (1 + math.cos(math.pi * t))
            progress = start + (t + 1e-9) * length
            assert schedule("diversity", progress, cycles, decay, growth, floor) == pytest.approx(expected, abs=1e-6)
            assert cycle_at(progress, cycles, growth)[0] == c
    assert schedule("diversity", 1.0, cycles, decay, growth, floor) == pytest.approx(floor)


def test_the_ablations_of_the_schedule() -> None:
    def at(kind: str, progress: float) -> float:
        return schedule(kind, progress, 4, 1.0, 1.0, 0.0)  # type: ignore[arg-type]

    assert [at("constant", p) for p in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert [at("step", p) for p in (0.0, 0.49, 0.5, 0.75)] == pytest.approx([1.0, 1.0, 0.1, 0.01])
    assert [at("cosine", p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert [at("diversity", p) for p in (0.0, 0.125, 0.25, 0.375)] == pytest.approx([1.0, 0.5, 1.0, 0.5])


@pytest.mark.parametrize(("scheduled", "rates"), [("both", (0.5, 0.5)), ("weights", (0.5, 1)), ("alphas", (1, 0.5))])
def test_the_schedule_drives_what_it_is_set_to(
    tiny_dataset: Path, tmp_path: Path, scheduled: str, rates: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pvnas = strategy(tiny_dataset, tmp_path, scheduled=scheduled, floor="0", cycles="4")
    monkeypatch.setattr(Problem, "progress", 0.125)
    peaks = (pvnas.config.weight_rate, pvnas.config.alpha_rate)
    actual = [rate / peak for rate, peak in zip(pvnas._rates(), peaks, strict=True)]
    assert actual == pytest.approx(rates)


def test_an_alpha_step_moves_alphas_only_and_a_warm_up_weights_only(tiny_dataset: Path, tmp_path: Path) -> None:
    pvnas = strategy(tiny_dataset, tmp_path, budget=8.0, cycles="1", warmup="0.9", guard="false")
    weights = {name: value.clone() for name, value in pvnas.supernet.state_dict().items()}
    alphas = [logit.detach().clone() for logit in pvnas.gates.alphas.logits]
    pvnas.step()
    assert all(torch.equal(a, b) for a, b in zip(alphas, pvnas.gates.alphas.logits, strict=True))
    moved = {name: value.clone() for name, value in pvnas.supernet.state_dict().items()}
    assert any(not torch.equal(weights[name], moved[name]) for name in weights)

    batch = next(pvnas.problem.search_batches("val"))
    pvnas.gates.step(lambda plan: pvnas.supernet.loss(batch, plan, train_weights=False), 0.1)
    after = pvnas.supernet.state_dict()
    assert all(torch.equal(moved[name], after[name]) for name in moved)
    assert any(not torch.equal(a, b) for a, b in zip(alphas, pvnas.gates.alphas.logits, strict=True))
    assert all(parameter.grad is None for parameter in pvnas.supernet.parameters())


def test_the_macs_term_alone_drives_expected_macs_to_the_target(tiny_dataset: Path, tmp_path: Path) -> None:
    pvnas = strategy(tiny_dataset, tmp_path, target="0.5")
    target = 0.5 * pvnas.problem.cap
    for _ in range(200):
        macs = pvnas.gates.expected_macs(pvnas.gates.alphas.log_table().exp())
        (macs / target - 1).abs().backward()
        pvnas.gates.optimiser.step()
        pvnas.gates.optimiser.zero_grad()
        for group in pvnas.gates.optimiser.param_groups:
            group["lr"] *= 0.98
    assert macs.item() == pytest.approx(target, rel=0.05)


def ended(pvnas: PVNAS) -> PVNAS:
    """The strategy at the end of its search."""
    while True:
        try:
            pvnas.step()
        except SearchFinished:
            return pvnas


@pytest.mark.parametrize(("comparison", "restarted"), [("0", "kept"), ("0", "fresh"), ("1", "kept")])
def test_one_architecture_is_derived_per_cycle_within_the_budget(
    tiny_dataset: Path, tmp_path: Path, comparison: str, restarted: str
) -> None:
    words = {"cycles": "3", "warmup": "0", "guard": "false", "restarted": restarted}
    pvnas = ended(strategy(tiny_dataset, tmp_path, budget=5.0, comparison=comparison, **words))
    assert len(pvnas.derived) == 3 and set(pvnas.derived) == set(pvnas.top1)
    assert pvnas.problem.ledger.spent <= 5.0
    assert pvnas.scores[pvnas.incumbent()] == max(pvnas.scores.values())
    if comparison == "1":
        assert pvnas.scores == pvnas.top1
    assert pvnas.problem.facts["distinct_derived"] == len(set(pvnas.derived))
    assert any(bool(logit.any()) for logit in pvnas.gates.alphas.logits) == (restarted == "kept")


def test_a_comparison_by_the_supernet_leaves_the_budget_to_the_search(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = []
    compare = PVNAS._compare

    def measured(self: PVNAS) -> None:
        before = self.problem.ledger.spent
        compare(self)
        spent.append(self.problem.ledger.spent - before)

    monkeypatch.setattr(PVNAS, "_compare", measured)
    shares = []
    for comparison in ("0", "1"):
        spent.clear()
        ended(strategy(tiny_dataset, tmp_path, budget=8.0, comparison=comparison, guard="false"))
        shares.append(sum(spent) / 8.0)
    assert shares[0] < 0.05 < 0.1 < shares[1]


def test_a_cycle_in_which_no_alpha_moves_derives_nothing(tiny_dataset: Path, tmp_path: Path) -> None:
    pvnas = strategy(tiny_dataset, tmp_path, budget=5.0, cycles="2", warmup="0.5", guard="false")
    while pvnas.cycle == 0:
        pvnas.step()
    assert pvnas.gates.steps == 0 and not pvnas.derived
    assert len(ended(pvnas).derived) == 1


def test_alphas_do_not_move_before_the_supernet_beats_chance(tiny_dataset: Path, tmp_path: Path) -> None:
    """A margin that no supernet reaches: the search says so, and its result is a random architecture."""
    pvnas = ended(strategy(tiny_dataset, tmp_path, budget=3.0, warmup="0", margin="0.99"))
    assert not any(bool(logit.any()) for logit in pvnas.gates.alphas.logits)
    assert pvnas.incumbent() == pvnas.fallback and not pvnas.derived
    assert pvnas.problem.facts["better_than_chance_from"] is None
    assert "search_val_loss" not in pvnas.problem.take_logged()


def test_alphas_move_after_the_warm_up_once_the_guard_is_passed(tiny_dataset: Path, tmp_path: Path) -> None:
    pvnas = strategy(tiny_dataset, tmp_path, budget=3.0, warmup="0")
    for _ in range(WINDOW):
        assert not pvnas.gates.guard.passed
        pvnas.gates.guard.see(0.5)
    pvnas.step()
    assert pvnas.gates.steps > 0 and pvnas.problem.facts["better_than_chance_from"] == 0.0


@pytest.mark.long
def test_same_seed_same_run_and_another_seed_another(tiny_dataset: Path, tmp_path: Path) -> None:
    def once(seed: int, folder: str) -> tuple[object, ...]:
        request = Request(
            "pvnas", dataset=str(tiny_dataset), budget=3.0, seed=seed, results=tmp_path / folder, threads=1
        )
        record, _ = run(request)
        assert record.status == "ok" and record.outcome is not None, record.error
        steps = [(s.incumbent, s.cost, s.metrics) for s in record.trajectory]
        return steps, record.outcome.architecture, record.outcome.trained

    first = once(0, "a")
    assert first == once(0, "b")
    assert first != once(1, "c")
