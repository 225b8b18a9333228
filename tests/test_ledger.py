"""The ledger, and the problem's charges against an independent counter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pvnas_bench import Caps, seeding
from pvnas_bench.ledger import BudgetExhausted, Ledger, SearchShare
from pvnas_bench.problem import Problem
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup

CHARGES: dict[str, Callable[[Ledger, Any], object]] = {
    "forward's macs": lambda ledger, n: ledger.forward(n, 1, 0),
    "forward's samples": lambda ledger, n: ledger.forward(1, n, 0),
    "forward's backward": lambda ledger, n: ledger.forward(1, 1, n),
    "backward": lambda ledger, n: ledger.backward(n),
    "charge's macs": lambda ledger, n: ledger.charge(n),
    "charge's samples": lambda ledger, n: ledger.charge(1, samples=n),
    "charge's evaluations": lambda ledger, n: ledger.charge(1, evaluations=n),
    "resume's macs": lambda ledger, n: ledger.resume(n, 9, 9),
    "resume's samples": lambda ledger, n: ledger.resume(1000, n, 9),
    "resume's evaluations": lambda ledger, n: ledger.resume(1000, 9, n),
}


@pytest.fixture
def problem(tiny_dataset: Path, tmp_path: Path) -> Problem:
    request = Request("random_search", dataset=str(tiny_dataset), budget=4.0, results=tmp_path, threads=1)
    return Search(Setup(request, Observer()), Observer()).problem


def test_work_beyond_the_budget_is_refused_and_not_charged() -> None:
    ledger = Ledger(reference=100, budget=2.0)
    ledger.forward(50, 5, backward=2)
    ledger.backward(100)
    assert (ledger.macs, ledger.samples, ledger.spent, ledger.left) == (150, 5, 1.5, 0.5)
    with pytest.raises(BudgetExhausted, match=r"0\.51 reference trainings requested, 0\.5 of 2 left"):
        ledger.forward(51, 1, backward=0)
    with pytest.raises(BudgetExhausted):
        ledger.forward(17, 1, backward=2)  # its backward pass would not fit
    assert (ledger.macs, ledger.samples) == (150, 5)
    ledger.forward(50, 1, backward=0)
    assert ledger.left == 0.0 and ledger.overshoot == 0.0


@pytest.mark.parametrize("name", CHARGES)
@pytest.mark.parametrize(
    ("number", "error"),
    [(-1, ValueError), (np.int64(-1), ValueError), (0.5, TypeError), (float("nan"), TypeError), ("1", TypeError)],
)
def test_charges_are_whole_numbers_and_never_negative(name: str, number: object, error: type) -> None:
    ledger = Ledger(reference=100)
    with pytest.raises(error):
        CHARGES[name](ledger, number)
    assert (ledger.macs, ledger.samples, ledger.evaluations) == (0, 0, 0)


def test_a_ledger_resumes_only_from_counts_at_least_as_large() -> None:
    ledger = Ledger(reference=100)
    ledger.charge(50, samples=5, evaluations=1)
    ledger.resume(50, 5, 2)
    assert (ledger.macs, ledger.samples, ledger.evaluations) == (50, 5, 2)
    for lower in ((49, 5, 2), (50, 4, 2), (50, 5, 1)):
        with pytest.raises(ValueError, match="cannot decrease"):
            ledger.resume(*lower)
    assert (ledger.macs, ledger.samples, ledger.evaluations) == (50, 5, 2)


@pytest.mark.parametrize("name", ["macs", "samples", "evaluations", "spent", "left"])
def test_the_counts_of_a_ledger_cannot_be_assigned(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Ledger(reference=100), name, 0)


# --- the search's share of the budget ---------------------------------------------------------------------------------


def share(budget: float = 10.0) -> tuple[Ledger, SearchShare]:
    ledger = Ledger(reference=100, budget=budget)
    return ledger, SearchShare(ledger)


def test_progress_is_the_spent_share_of_the_budget_not_set_aside() -> None:
    ledger, own = share()
    assert own.progress() == 0.0
    own.reserve(2, 1.0, 3.0, 0.75)
    assert (own.set_aside, own.comparisons, own.measurements, own.budget) == (2.0, 2, 3.0, 5.0)
    ledger.charge(100)
    assert own.progress() == pytest.approx(1 / 5)
    assert own.progress(0.5) == pytest.approx(1 / 2.5)
    assert own.progress(0.1) == 1.0
    ledger.charge(900)
    assert own.progress() == 1.0


def test_reserves_add_up_and_shrink_in_proportion_to_their_maximum() -> None:
    _, own = share()
    own.reserve(2, 1.0, 1.0, 0.5)
    own.reserve(4, 1.5, 3.0, 0.5)  # 8 for comparisons, 4 for the end; the half of the budget is 5
    assert own.comparisons == 6
    assert (own.set_aside, own.measurements) == pytest.approx((10 / 3, 5 / 3))


def test_a_comparison_releases_its_reserve_and_is_not_charged_to_the_search() -> None:
    ledger, own = share()
    own.reserve(4, 1.0, 0.0, 0.75)
    ledger.charge(300)
    for number in range(1, 5):
        ledger.charge(50)
        own.release(0.5)
        assert own.spent == pytest.approx(3.0)
        assert own.set_aside == pytest.approx(4 - number)
        assert own.budget == pytest.approx(10 - 0.5 * number - (4 - number))
    own.release(0.5)  # a comparison without a reserve
    assert (own.set_aside, own.comparisons, own.compared) == (0.0, 0, 2.5)


def test_progress_never_falls_after_a_cheap_comparison() -> None:
    ledger, own = share()
    own.reserve(1, 5.0, 0.0, 0.75)
    ledger.charge(400)
    assert own.progress() == pytest.approx(4 / 5)
    own.release(0.0)
    assert own.progress() == pytest.approx(4 / 5) != own.spent / own.budget
    ledger.charge(500)
    assert own.progress() == pytest.approx(9 / 10)


def test_there_is_room_until_the_most_expensive_iteration_would_not_fit() -> None:
    ledger, own = share()
    own.reserve(0, 0.0, 4.0, 0.75)
    own.dearest = 2.5
    ledger.charge(350)
    assert own.room() and own.progress() == pytest.approx(3.5 / 6)
    ledger.charge(1)
    assert not own.room() and own.progress() == 1.0
    own.measurements = 0.0
    assert not own.room(), "it stays over"


def test_there_is_always_room_without_a_reserve() -> None:
    ledger, own = share()
    own.dearest = 100.0
    ledger.charge(999)
    assert own.room() and own.progress() < 1


# --- what a problem charges -------------------------------------------------------------------------------------------


def test_a_reference_training_is_the_full_training_of_the_reference_architecture(problem: Problem) -> None:
    # the number of training clips of the automatic split of 36 clips is counted, not assumed
    setup_macs = problem.cost(problem.space.reference).macs
    assert problem.ledger.reference % (3 * setup_macs * problem.full_epochs) == 0
    clips = problem.ledger.reference // (3 * setup_macs * problem.full_epochs)
    assert clips <= problem.clips_in("train") + problem.clips_in("val")
    assert clips % problem.batch_size == 0


def test_a_supernet_step_is_charged_its_forward_and_twice_that_for_backward(problem: Problem) -> None:
    supernet = problem.supernet()
    architecture = problem.sample(problem.rng("x"))
    batch = next(problem.search_batches("train"))
    with FlopCounterMode(display=False) as counter:
        loss = supernet.loss(batch, architecture)
    assert problem.ledger.macs == counter.get_total_flops() // 2 == problem.cost(architecture).macs * len(batch)
    problem.backward(loss)
    assert problem.ledger.macs == 3 * problem.cost(architecture).macs * len(batch)
    assert problem.ledger.samples == len(batch)


def test_an_evaluation_has_its_predicted_cost_and_repeats_exactly(problem: Problem) -> None:
    architecture = problem.sample(problem.rng("x"))
    price = problem.evaluation_cost(architecture, epochs=2)
    first = problem.evaluate(architecture, epochs=2)
    assert problem.ledger.spent == pytest.approx(price)
    assert problem.evaluate(architecture, epochs=2) is first
    assert problem.ledger.spent == pytest.approx(2 * price)  # charged again
    assert problem.ledger.evaluations == 2


def test_an_evaluation_beyond_the_budget_does_not_start(problem: Problem) -> None:
    problem.ledger.budget = 0.5 * problem.evaluation_cost(problem.space.reference, epochs=2)
    with pytest.raises(BudgetExhausted):
        problem.evaluate(problem.space.reference, epochs=2)
    assert problem.ledger.macs == 0


def test_an_architecture_above_the_cap_is_not_evaluated(problem: Problem) -> None:
    problem.caps = Caps(macs=problem.cost(problem.space.reference).macs - 1)
    with pytest.raises(ValueError, match="above the cap"):
        problem.evaluate(problem.space.reference)
    assert all(problem.feasible(problem.sample(problem.rng("y"))) for _ in range(20))


def test_search_batches_cover_a_split_once_per_epoch_in_another_order_each_time(problem: Problem) -> None:
    def labels() -> list[int]:
        return [int(label) for batch in problem.search_batches("train") for label in batch.labels]

    first, second = labels(), labels()
    assert first != second
    full = problem.clips_in("train") // problem.batch_size * problem.batch_size or problem.clips_in("train")
    assert len(first) == len(second) == full


def test_the_two_search_splits_share_no_clip_and_hold_no_test_clip(problem: Problem) -> None:
    seen = {}
    for split in ("train", "val"):
        seen[split] = {int(i) for i in problem._splits[split]}
        assert all(problem._bench.store.splits[i] == "train" for i in seen[split])
    assert not seen["train"] & seen["val"]
    assert len(problem._bench.store) == len(seen["train"] | seen["val"])


def test_streams_are_independent_of_each_other_and_of_the_order_of_their_use(problem: Problem) -> None:
    a, b = seeding.generator(0, "a").random(3), seeding.generator(0, "b").random(3)
    assert not np.allclose(a, b)
    assert np.allclose(seeding.generator(0, "a").random(3), a)
    assert not np.allclose(seeding.generator(1, "a").random(3), a)
    problem.rng("one").random(5)
    drawn = problem.rng("other").random(2)
    assert np.allclose(drawn, seeding.generator(problem.seed, "strategy", "other").random(2))


def test_torch_seeded_restores_the_global_generators() -> None:
    before = torch.random.get_rng_state()
    with seeding.torch_seeded(0, "x"):
        inside = torch.rand(3)
    assert torch.equal(before, torch.random.get_rng_state())
    with seeding.torch_seeded(0, "x"):
        assert torch.equal(torch.rand(3), inside)
