"""The problem: counts, the search's share of the budget, pairs of batches, architectures under the cap, the history."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pvnas_bench import Architecture, BudgetExhausted, Caps, Problem
from pvnas_bench.conformance._world import World
from pvnas_bench.problem import MOST_SET_ASIDE, TRIES


@pytest.fixture
def problem(clips: World) -> Problem[Any]:
    return clips.problem("all", 0, budget=100.0)[0]


COUNTS: dict[str, Callable[[Problem[Any], Any], object]] = {
    "evaluate": lambda p, n: p.evaluate(p.space.reference, n),
    "evaluate_many": lambda p, n: p.evaluate_many([p.space.reference], n),
    "evaluation_cost": lambda p, n: p.evaluation_cost(p.space.reference, n),
    "prefetch": lambda p, n: p.prefetch([p.space.reference], n),
    "compare": lambda p, n: p.compare(p.space.reference, n),
    "set_aside's trainings": lambda p, n: p.set_aside(trainings=n),
    "set_aside's epochs": lambda p, n: p.set_aside(trainings=1, epochs=n),
    "set_aside's validations": lambda p, n: p.set_aside(validations=n),
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 0.5, 1.0, True, False, "2", float("nan"), np.bool_(True), np.float64(2)])
def test_a_count_is_a_whole_number_of_at_least_one(problem: Problem[Any], name: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        COUNTS[name](problem, value)
    assert problem.ledger.macs == 0 and problem.progress == 0


def test_a_count_may_be_a_numpy_integer(problem: Problem[Any]) -> None:
    reference = problem.space.reference
    assert problem.evaluation_cost(reference, np.int64(3)) == problem.evaluation_cost(reference, 3)


# --- the search's share -----------------------------------------------------------------------------------------------


def test_progress_is_relative_to_the_budget_without_the_reserve(problem: Problem[Any]) -> None:
    ledger = problem.ledger
    problem.set_aside(validations=3, macs=ledger.reference // problem.clips_in("val") * 10)
    aside = 3 * (ledger.reference // problem.clips_in("val") * 10) * problem.clips_in("val") / ledger.reference
    ledger.charge(20 * ledger.reference)
    assert problem.progress == pytest.approx(20 / (100 - aside))
    assert problem.progress_to(0.5) == pytest.approx(20 / (100 - aside) / 0.5)
    assert problem.progress_to(0.1) == 1.0
    ledger.charge(80 * ledger.reference)
    assert problem.progress == 1.0


def test_only_a_part_of_the_budget_can_be_set_aside(problem: Problem[Any]) -> None:
    problem.set_aside(trainings=10**6)
    problem.ledger.charge(problem.ledger.reference)
    assert problem.progress == pytest.approx(1 / (100 * (1 - MOST_SET_ASIDE)))


def test_a_comparison_is_not_part_of_the_search_and_free_when_repeated(problem: Problem[Any]) -> None:
    ledger, architecture = problem.ledger, problem.space.reference
    problem.set_aside(trainings=2, epochs=1)
    ledger.charge(10 * ledger.reference)
    before, progress = ledger.spent, problem.progress
    first = problem.compare(architecture, 1)
    assert ledger.spent - before == pytest.approx(problem.evaluation_cost(architecture, 1))
    assert problem.progress == progress, "a cheap comparison gives back; progress does not fall"
    spent = ledger.spent
    assert problem.compare(architecture, 1) == first and ledger.spent == spent
    ledger.charge(10 * ledger.reference)
    assert problem.progress == pytest.approx(20 / (100 - (ledger.spent - 20)))  # nothing is set aside any more


def test_an_epoch_ends_before_an_iteration_that_would_use_the_reserve(problem: Problem[Any]) -> None:
    ledger = problem.ledger
    problem.set_aside(validations=1, macs=60 * ledger.reference // problem.clips_in("val"))
    spent = []
    for _ in range(100):
        for _pair in problem.search_pairs():
            ledger.charge(7 * ledger.reference)
            spent.append(ledger.spent)
        if problem.progress >= 1:
            break
    assert spent == pytest.approx([7, 14, 21, 28, 35])  # another one would pass 40
    assert list(problem.search_pairs()) == []


def test_architectures_of_one_network_have_one_training_and_each_call_is_charged(problem: Problem[Any]) -> None:
    """Depth 2 with a skip at the end is the network of depth 1."""
    space, rng = problem.space, problem.rng("test")
    draws = (space.sample(rng) for _ in range(10_000))
    twin = next(a for a in draws if space.canonical(a) != a and problem.feasible(a))
    one = space.canonical(twin)
    first, second = problem.evaluate(twin, 1), problem.evaluate(one, 1)
    assert (first.top1, first.loss, first.curve) == (second.top1, second.loss, second.curve)
    assert (first.architecture, second.architecture) == (twin, one)
    assert problem.ledger.evaluations == 2
    assert problem.ledger.spent == pytest.approx(2 * problem.evaluation_cost(one, 1), rel=1e-9)
    spent = problem.ledger.spent
    assert problem.compare(one, 1) == second and problem.compare(twin, 1) == first
    assert problem.ledger.spent == spent


def test_without_a_reserve_the_ledger_ends_the_search(problem: Problem[Any]) -> None:
    def search() -> None:
        while True:
            for _pair in problem.search_pairs():
                problem.ledger.forward(30 * problem.ledger.reference, 1, 0)

    with pytest.raises(BudgetExhausted):
        search()
    assert problem.ledger.spent == pytest.approx(90)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_the_held_out_batches_restart_when_their_split_is_exhausted(problem: Problem[Any]) -> None:
    pairs = list(problem.search_pairs())
    assert len(pairs) == len(list(problem.search_batches("train")))
    per_epoch = len(list(problem.search_batches("val")))
    assert len(pairs) > per_epoch, "the world is large enough to show it"
    seen = [tuple(sorted(batch.indices.tolist())) for _, batch in pairs]
    assert len(set(seen[:per_epoch])) == per_epoch
    train, val = ({int(i) for i in problem._splits[split]} for split in ("train", "val"))
    assert all(set(batch.indices.tolist()) <= train and set(other.indices.tolist()) <= val for batch, other in pairs)


def test_repeated_batches_are_one_epoch_after_another(clips: World) -> None:
    one, other = (clips.problem("all", 0)[0] for _ in range(2))
    batches = one.repeated_batches("train")
    epochs = [batch for _ in range(2) for batch in other.search_batches("train")]
    for batch, repeated in zip(epochs, batches, strict=False):
        assert batch.indices.tolist() == repeated.indices.tolist()
    assert next(batches) is not None


def test_pairs_of_some_classes_only(problem: Problem[Any]) -> None:
    for pair in problem.search_pairs(classes=[0, 2]):
        assert all(set(batch.labels.tolist()) <= {0, 2} for batch in pair)


def test_classes_without_a_held_out_clip_are_named(clips: World) -> None:
    problem = clips.problem("all", 0)[0]
    labels = problem.labels_in("val")
    problem._splits["val"] = problem._splits["val"][labels != 1]
    assert len(list(problem.search_pairs(classes=[0, 1]))) > 0
    with pytest.raises(ValueError, match=r"search-val has no clip of the classes \[1\]"):
        list(problem.search_pairs(classes=[1]))


# --- architectures ----------------------------------------------------------------------------------------------------


def test_samples_and_mutations_are_under_the_cap(problem: Problem[Any]) -> None:
    macs = [problem.cost(problem.space.sample(np.random.default_rng(i))).macs for i in range(50)]
    problem.caps = Caps(macs=sorted(macs)[20])
    parent = problem.sample()
    assert all(problem.feasible(problem.sample()) for _ in range(30))
    children = [problem.mutate(parent) for _ in range(30)]
    assert all(problem.feasible(child) and child != parent for child in children)


def test_draws_exclude_known_architectures_and_end(problem: Problem[Any]) -> None:
    one, other = problem.sample(), problem.space.reference
    calls: list[Architecture] = []

    def make() -> Architecture:
        calls.append(one if len(calls) < 5 else other)
        return calls[-1]

    assert problem.draw(make, known=[one]) == other and len(calls) == 6
    assert problem.draw(lambda: one, known={one}) is None
    problem.caps = Caps(macs=0)
    calls.clear()
    assert problem.draw(make) is None and len(calls) == TRIES
    with pytest.raises(RuntimeError, match="raise --cap"):
        problem.sample()


# --- the history ------------------------------------------------------------------------------------------------------


def test_logged_values_are_averaged_until_taken(problem: Problem[Any]) -> None:
    for loss in (1.0, 2.0, 6.0):
        problem.log(train_loss=loss)
    problem.log(val_top1=0.25)
    assert problem.take_logged() == {"train_loss": 3.0, "val_top1": 0.25}
    assert problem.take_logged() == {}


def test_the_latest_of_what_is_noted_is_kept_as_it_was_then(problem: Problem[Any]) -> None:
    trials = [["s3", 0.5]]
    problem.note(trials=trials, steps=1)
    trials.append(["t5", 0.6])
    problem.note(steps=2)
    assert problem.facts == {"trials": [["s3", 0.5]], "steps": 2}
    with pytest.raises(TypeError, match="not JSON serializable"):
        problem.note(best=problem.space.reference)  # type: ignore[arg-type]
    state = problem._state()
    problem.note(steps=3)
    problem._load_state(state)
    assert problem.facts == {"trials": [["s3", 0.5]], "steps": 2}
