"""Optuna's strategies: trials of all decisions, the cap as a constraint, samplers and pruner, studies of plain data."""

import hashlib
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from black_box import Accuracy, BlackBox
from driven import completed
from optuna.search_space import intersection_search_space
from optuna.trial import TrialState
from tables import SPACE

from pvnas_bench import Architecture, Caps, registry
from pvnas_bench.methods.optuna_search import TRIES
from pvnas_bench.runs.states import decode, encode
from pvnas_bench.strategies.optuna_hyperband import rungs

NAMES = ("optuna_random", "optuna_tpe", "optuna_gp", "optuna_nsga2", "optuna_hyperband")
PROPOSED = [
    ("optuna_tpe", {"startup": 10}, "8cb7543ac60fff67"),
    ("optuna_nsga2", {"population": 10}, "47487a972059d7b9"),
]
"""Hashes of the proposals of a seed with these settings."""
TIGHT = 2_000_000
"""A cap that most suggestions exceed."""


def accuracy(architecture: Architecture, epochs: int) -> float:
    """An accuracy that is higher the more decisions take their first options."""
    return 1 / (1 + sum(choice for choice in architecture.choices if choice > 0))


def under(cap: int, driven: BlackBox, steps: int) -> BlackBox:
    driven.problem.caps = Caps(macs=cap)
    driven.strategy.fallback = driven.problem.sample(driven.problem.rng("test"))
    for _ in range(steps):
        driven.step()
    return driven


@pytest.mark.parametrize("name", NAMES)
def test_the_cap_is_a_constraint_and_architectures_above_it_cost_nothing(name: str, tiny_dataset: Path) -> None:
    driven = under(TIGHT, BlackBox(name, tiny_dataset, accuracy), 14)
    strategy, problem = driven.strategy, driven.problem
    assert all(problem.cost(architecture).macs <= TIGHT for architecture, _ in driven.asked)
    # The ledger charges exactly the trained architectures.
    charged = sum(problem.evaluation_cost(architecture, epochs) for architecture, epochs in driven.asked)
    assert problem.ledger.spent == pytest.approx(charged, rel=1e-6)
    assert len(driven.asked) == 14
    above = 0
    for trial in strategy.study.trials:
        macs = problem.cost(problem.space.from_options(trial.params)).macs
        above += macs > TIGHT
        if name != "optuna_random" and trial.state != TrialState.RUNNING:  # its sampler knows no constraints
            (excess,) = trial.system_attrs["constraints"]
            assert excess == pytest.approx(macs / TIGHT - 1)
    assert above > 0
    if name != "optuna_random":
        feasible = [t for t in strategy.study.trials if t.state == TrialState.COMPLETE and t.values]
        assert len(feasible) > 0


def test_a_feasible_architecture_is_enqueued_after_many_infeasible_ones(tiny_dataset: Path) -> None:
    driven = BlackBox("optuna_random", tiny_dataset, accuracy)
    driven.problem.caps = Caps(macs=driven.problem.costs.cheapest().macs)
    cheapest = next(
        a
        for a in (driven.problem.space.sample(driven.problem.rng("test")) for _ in range(10**6))
        if driven.problem.feasible(a)
    )
    driven.problem.sample = lambda rng: cheapest  # type: ignore[method-assign]
    driven.strategy.fallback = cheapest
    driven.step()
    assert driven.strategy.diagnostics() == {"trials": TRIES + 1, "infeasible": TRIES, "pruned": 0, "enqueued": 1}
    assert [architecture for architecture, _ in driven.asked] == [cheapest]
    assert driven.problem.space.from_options(driven.strategy.study.trials[-1].params) == cheapest


@pytest.mark.parametrize("name", NAMES)
def test_every_trial_has_every_decision_and_those_that_do_not_exist_are_ignored(name: str, tiny_dataset: Path) -> None:
    driven = under(7_000_000, BlackBox(name, tiny_dataset, accuracy), 12)
    space, trials, inactive = driven.problem.space, driven.strategy.study.trials, 0
    for trial in trials:
        assert set(trial.params) == {decision.name for decision in space.decisions}
        inactive += len(trial.params) - len(space.options(space.from_options(trial.params)))
    assert inactive > 0
    assert len(intersection_search_space(trials)) == len(space.decisions) == 22
    trained = {space.from_options(trial.params) for trial in trials}
    assert {architecture for architecture, _ in driven.asked} <= trained


@pytest.mark.parametrize("name", NAMES)
def test_a_search_ends_when_every_network_is_known_and_trains_each_once(name: str, tiny_dataset: Path) -> None:
    driven = BlackBox(name, tiny_dataset, lambda a, _: float(a.choices[0]), space=str(SPACE)).to_the_end()
    space, problem = driven.problem.space, driven.problem
    networks = {space.canonical(a) for a in space.enumerate() if problem.feasible(a)}
    first = min(epochs for _, epochs in driven.asked)
    trained = [space.canonical(architecture) for architecture, epochs in driven.asked if epochs == first]
    assert len(trained) == len(set(trained)) and set(trained) == networks
    assert driven.finished and problem.ledger.left > 0


@pytest.mark.long
def test_the_gaussian_process_goes_on_near_the_best_network(tiny_dataset: Path) -> None:
    """Its suggestions there are known networks with other options for decisions that do not exist."""
    driven = under(7_000_000, BlackBox("optuna_gp", tiny_dataset, accuracy), 20)
    space = driven.problem.space
    trained = [space.canonical(architecture) for architecture, _ in driven.asked]
    assert len(set(trained)) == 20 and driven.strategy.enqueued > 0
    found = [accuracy(architecture, 0) for architecture, _ in driven.asked]
    assert max(found) >= 1.5 * max(found[:10])


@pytest.mark.parametrize("name", ["optuna_tpe", "optuna_nsga2"])
def test_samplers_learn(name: str, tiny_dataset: Path) -> None:
    driven = under(7_000_000, BlackBox(name, tiny_dataset, accuracy), 60)
    found = [accuracy(a, 0) for a, _ in driven.asked]
    assert sum(found[-20:]) > 1.3 * sum(found[:10]) * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_diverged_training_is_no_end_of_a_search_and_no_incumbent(name: str, tiny_dataset: Path) -> None:
    def often_nan(architecture: Architecture, epochs: int) -> float:
        return math.nan if architecture.choices[0] == 0 else accuracy(architecture, epochs)

    driven = under(7_000_000, BlackBox(name, tiny_dataset, often_nan), 20)
    answers = {architecture: often_nan(architecture, epochs) for architecture, epochs in driven.asked}
    finite = [value for value in answers.values() if math.isfinite(value)]
    assert len(driven.asked) == 20 and 0 < len(finite) < len(answers)
    assert math.isfinite(often_nan(driven.strategy.incumbent(), 1))


def test_nsga2s_front_is_non_dominated(tiny_dataset: Path) -> None:
    driven = under(5_000_000, BlackBox("optuna_nsga2", tiny_dataset, accuracy), 40)
    points = {a: (accuracy(a, 0), driven.problem.cost(a).macs) for a, _ in driven.asked}
    best = {
        a
        for a, (top1, macs) in points.items()
        if not any(t >= top1 and m <= macs and (t, m) != (top1, macs) for t, m in points.values())
    }
    front = driven.strategy.front()
    assert set(front) == best
    assert len(front) == len(set(front)) > 1
    assert driven.strategy.incumbent() == max(points, key=lambda a: points[a][0])


def coarse(architecture: Architecture, epochs: int) -> float:
    """An accuracy with many equal values: fronts of duplicates and ties."""
    return (architecture.choices.count(0) // 3) / 10


@pytest.mark.parametrize("measure", [accuracy, coarse])
@pytest.mark.parametrize(
    ("space", "steps"), [("st_default", 12), (str(SPACE), 1), (str(SPACE), 5)], ids=["many", "six-1", "six-5"]
)
def test_nsga2s_front_has_no_duplicates_and_is_the_same_after_a_continuation(
    tiny_dataset: Path, space: str, measure: Accuracy, steps: int
) -> None:
    driven, other = (BlackBox("optuna_nsga2", tiny_dataset, measure, space=space) for _ in range(2))
    for _ in range(steps):
        driven.step()
    state = decode(encode(driven.strategy.state_dict()), torch.device("cpu"))
    other.strategy.load_state_dict(state)
    other.problem._load_state(driven.problem._state())
    other.steps = driven.steps
    assert other.strategy.front() == driven.strategy.front()
    for _ in range(5):
        driven.step()
        other.step()
        front = driven.strategy.front()
        assert other.strategy.front() == front
        assert len(set(front)) == len(front) > 0


def test_hyperbands_rungs() -> None:
    assert rungs(1, 8, 3) == [1, 3, 8]
    assert rungs(1, 9, 3) == [1, 3, 9]
    assert rungs(1, 27, 3) == [1, 3, 9, 27]
    assert rungs(2, 8, 2) == [2, 4, 8]
    assert rungs(8, 8, 3) == [8]


def test_hyperband_prunes_as_asynchronous_halving_does(tiny_dataset: Path) -> None:
    """With one bracket (η above R) a trial passes the first rung if it is among the best 1/η so far."""
    driven = BlackBox(
        "optuna_hyperband", tiny_dataset, lambda a, e: (hash(a.choices) % 1009) / 1009, factor=10, first_rung=0.125
    )
    driven = under(7_000_000, driven, 45)
    seen: list[float] = []
    passed = []
    for trial in driven.strategy.study.trials:
        values = list(trial.intermediate_values.items())
        if not values:
            continue
        assert [step for step, _ in values] == [1, 8][: len(values)]
        seen.append(values[0][1])
        promoted = sorted(seen)[-max(len(seen) // 10, 1)]
        if trial.state == TrialState.PRUNED:
            assert len(values) == 1
            assert values[0][1] < promoted
        elif trial.state == TrialState.COMPLETE:
            assert values[0][1] >= promoted
            passed.append(trial)
    assert 1 <= len(passed) < len(seen) / 2


def test_a_running_trial_goes_on_from_plain_data(tiny_dataset: Path) -> None:
    driven = BlackBox("optuna_hyperband", tiny_dataset, accuracy)
    driven.step()
    while driven.strategy.trials[-1].state != TrialState.RUNNING:
        driven.step()
    state = decode(encode(driven.strategy.state_dict()), torch.device("cpu"))
    other = BlackBox("optuna_hyperband", tiny_dataset, accuracy)
    other.strategy.load_state_dict(state)
    other.problem._load_state(driven.problem._state())
    other.steps = driven.steps
    for _ in range(6):
        driven.step()
        other.step()
    assert other.strategy.state_dict() == driven.strategy.state_dict()


def test_optuna_is_silent_only_within_its_strategies(
    tiny_dataset: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("optuna")
    before = logger.level, logger.handlers, logger.propagate
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            under(TIGHT, BlackBox(name, tiny_dataset, accuracy), 12).strategy.front()
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
    assert (logger.level, logger.handlers, logger.propagate) == before
    logger.addHandler(caplog.handler)  # Optuna 4 does not propagate
    try:
        optuna.create_study()
    finally:
        logger.removeHandler(caplog.handler)
    assert "A new study created" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_run(name: str, tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(registry.get_strategy(name), tiny_dataset, tmp_path, 1.5)
    assert record.search.architectures_evaluated >= 2
    assert record.diagnostics["trials"] >= 2


@pytest.mark.parametrize("name", ["optuna_nsga2", "optuna_hyperband"])
def test_an_architecture_beyond_the_budget_does_not_count_as_a_trial(name: str, tiny_dataset: Path) -> None:
    driven = BlackBox(name, tiny_dataset, accuracy, budget=2.0)
    driven.to_the_end()
    asked = driven.strategy.study.trials
    assert asked[-1].state == TrialState.RUNNING
    told = len(asked) - (not asked[-1].intermediate_values)
    assert driven.strategy.diagnostics()["trials"] == len(driven.strategy.state_dict()["trials"]) == told


@pytest.mark.parametrize("name", ["optuna_random", "optuna_tpe", "optuna_nsga2", "optuna_hyperband"])
def test_a_reused_sampler_suggests_the_same_as_new_ones(name: str, tiny_dataset: Path) -> None:
    kept, new = (BlackBox(name, tiny_dataset, accuracy, seed=3) for _ in range(2))
    new.strategy.kept = False
    for driven in (kept, new):
        under(5_000_000, driven, 45)
    assert len({id(kept.strategy.study.sampler), id(new.strategy.study.sampler)}) == 2
    assert kept.asked == new.asked
    assert kept.strategy.front() == new.strategy.front()


@pytest.mark.skipif(optuna.__version__ != "5.0.0", reason="another version of Optuna may suggest others")
@pytest.mark.parametrize(("name", "settings", "expected"), PROPOSED)
def test_a_seed_proposes_the_same_as_ever(
    name: str, settings: dict[str, Any], expected: str, tiny_dataset: Path
) -> None:
    driven = under(7_000_000, BlackBox(name, tiny_dataset, accuracy, seed=1, **settings), 40)
    found = "\n".join(f"{architecture} {epochs}" for architecture, epochs in driven.asked)
    assert hashlib.sha256(found.encode()).hexdigest()[:16] == expected
