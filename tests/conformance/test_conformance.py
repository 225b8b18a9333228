"""The conformance suite finds and names broken rules."""

from typing import Any

import broken
import pytest
from pydantic import Field, create_model

from pvnas_bench import registry
from pvnas_bench.conformance import CHECKS, results
from pvnas_bench.conformance._world import PROTOCOL, World
from pvnas_bench.strategy import AnyStrategy

BUDGET = 4.0
"""Budget of each search in reference trainings, in which most strategies show all their phases."""
BUDGETS = {
    "bananas": 2.0,
    "enas": 6.0,
    "nni_darts": PROTOCOL.budget,
    "nni_gumbel_darts": PROTOCOL.budget,
    "optuna_gp": 0.7,
    "optuna_random": 3.0,
    "optuna_tpe": 3.0,
    "optuna_hyperband": 2.0,
    "optuna_nsga2": 2.0,
    "random_search": 2.0,
    "local_search": 2.0,
    "regularized_evolution": 2.0,
    "sm_nas": 2.0,
}
"""Budgets of the others."""
FEW_SCORES = {"samples": 24, "evolved": 12, "generation": 6, "population": 4}
CHANGED = {
    "naswot": FEW_SCORES,
    "stentr": FEW_SCORES,
    "synflow": FEW_SCORES,
    "optuna_gp": {"startup": 4},
    "optuna_nsga2": {"population": 3},
    "regularized_evolution": {"population": 3, "tournament": 2},
}
"""Hyper-parameters with which a search shows all its phases in less time."""

SHIPPED = [kind.info.name for kind in registry.all_strategies()]


def with_defaults(kind: Any, changed: dict[str, Any]) -> type[AnyStrategy]:
    """A strategy whose hyper-parameters have other defaults; those that it does not have are left out."""
    fields: dict[str, Any] = {
        key: (type(value), Field(value, description="as in this test"))
        for key, value in changed.items()
        if key in kind.Config.model_fields
    }
    return type(kind.__name__, (kind,), {"Config": create_model("ChangedConfig", __base__=kind.Config, **fields)})


def failures(kind: type[AnyStrategy], clips: World, budget: float = PROTOCOL.budget) -> dict[str, str]:
    """Reasons of the failed checks."""
    found = list(results(kind, clips, budget))
    assert [result.check for result in found] == [
        name for name in CHECKS if name not in ("structural", "modular") or name in kind.info.levels
    ]
    assert all(result.passed != bool(result.reason) for result in found)
    return {result.check: result.reason for result in found if not result.passed}


@pytest.mark.parametrize("kind", [broken.Sound, broken.Learns])
def test_a_strategy_that_keeps_nothing_but_its_attributes_passes(clips: World, kind: type[AnyStrategy]) -> None:
    assert "state_dict" not in vars(kind)
    assert failures(kind, clips) == {}


@pytest.mark.parametrize(
    ("kind", "check", "reason"),
    [
        (broken.SeedsNumpy, "global chance", "the strategy changed the state of numpy.random"),
        (broken.SeedsTorch, "global chance", "step 1 seeded torch's global generator"),
        (broken.DrawsFromPython, "global chance", "the strategy changed the state of Python's random"),
        (broken.DrawsFromPython, "same seed", "differs in"),
        (broken.Undetermined, "same seed", "differs in"),
        (broken.ComputesInSecret, "charged", "were charged"),
        (broken.RaisesItsBudget, "budget", "changed the ledger's budget"),
        (broken.PaysItselfBack, "budget", "reduced the ledger's MACs"),
        (broken.Overspends, "budget", "the excess is larger than one batch"),
        (broken.GoesOn, "budget", "step 1 continued after BudgetExhausted"),
        (broken.Endless, "runs", "200 steps in a row spent nothing"),
        (broken.Unaffordable, "runs", "a budget of 40 reference trainings is too small for one step"),
        (broken.AsksForTest, "test data", "asked the store for the split 'test'"),
        (broken.OpensFiles, "test data", "read 'path' of the data set"),
        (broken.ReadsPastTheStore, "test data", "bypassing the store"),
        (broken.HasNoStep, "runs", "NotImplementedError: HasNoStep does not define step()"),
        (broken.HasNoIncumbent, "runs", "NotImplementedError: HasNoIncumbent does not define incumbent()"),
        (broken.LeavesTheSpace, "space", "incumbent after setup"),
        (broken.AboveTheCap, "cap", "incumbent after step 2 has"),
        (broken.ForgetsEverything, "state", "differs in"),
        (broken.ForgetsItsBest, "state", "differs in incumbent"),
        (broken.KeepsObjects, "state", "state['seen'] is a set"),
        (broken.HidesInAClosure, "state", "made in the closure of the function in the attribute count"),
        (broken.HidesInAGlobal, "state", "step changes the module's global TRIED"),
        (broken.HidesInItsClass, "state", "step changes the class attribute HidesInItsClass.tried"),
        (broken.HidesInAnObject, "state", "step changes the attribute memory (a Memory)"),
        (broken.ReplacesAnObject, "state", "step sets the attribute memory to a Memory"),
        (
            broken.KeepsAnIterator,
            "state",
            "the attribute drawn is an iterator (a generator), whose position",
        ),
        (broken.Counts, "state", "the attribute numbers is an iterator (a count), whose position"),
        (broken.AsksForNothing, "runs", "epochs must be a whole number of at least 1, got -1 (broken.py:"),
        (broken.AsksForHalfAnEpoch, "runs", "epochs must be a whole number of at least 1, got 0.5"),
        (broken.AsksForTrue, "runs", "epochs must be a whole number of at least 1, got True"),
        (broken.AsksForZero, "runs", "epochs must be a whole number of at least 1, got 0"),
        (broken.ChargesLessThanNothing, "runs", "a ledger cannot be refunded: macs is -5"),
        (broken.PassesBackwards, "runs", "a ledger cannot be refunded: macs is -5"),
        (broken.Resumes, "runs", "a ledger cannot decrease"),
        (broken.LoadsAnOldState, "runs", "a ledger cannot decrease"),
        (broken.DropsTheMeter, "charged", "were charged"),
        (broken.CallsTheBareSupernet, "charged", "were charged"),
        (broken.Crashes, "runs", "ZeroDivisionError: lost its way (broken.py:"),
        (broken.OnlyOneLevel, "modular", "ValueError: needs frames to choose from"),
        (broken.Undescribed, "described", "hyper-parameter rate has no description"),
        (broken.SearchesBlocks, "described", "info.families is empty, but the class searches spaces of mbconv only"),
        (broken.NoJson, "diagnostics", "after setup they are not JSON"),
    ],
)
def test_broken_rules_are_named(clips: World, kind: type[AnyStrategy], check: str, reason: str) -> None:
    assert reason in failures(kind, clips)[check]


def test_a_rule_broken_in_every_step_has_two_reasons_and_a_number(clips: World) -> None:
    """After setup, after four steps, and after the one that ends the search."""
    reasons = failures(broken.StaysAboveTheCap, clips)["cap"].split("; ")
    assert [reason.partition(" has ")[0] for reason in reasons[:2]] == [
        "incumbent after setup",
        "incumbent after step 1",
    ]
    assert reasons[2:] == [f"{broken.STEPS} more"]


@pytest.mark.parametrize(
    "kind",
    [
        broken.KeepsObjects,
        broken.ForgetsEverything,
        broken.HidesInAClosure,
        broken.HidesInAnObject,
        broken.ReplacesAnObject,
        broken.KeepsAnIterator,
        broken.Counts,
    ],
)
def test_a_strategy_whose_state_cannot_be_saved_fails_once(clips: World, kind: type[AnyStrategy]) -> None:
    assert list(failures(kind, clips)) == ["state"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_strategy_passes(clips: World, name: str) -> None:
    kind = registry.get_strategy(name)
    if name in CHANGED:
        kind = with_defaults(kind, CHANGED[name])
    assert failures(kind, clips, BUDGETS.get(name, BUDGET)) == {}


@pytest.mark.parametrize("name", ["pvnas", *(pytest.param(n, marks=pytest.mark.long) for n in ("da_nas", "fp_nas"))])
def test_a_guarded_search_passes_while_its_alphas_move_and_candidates_are_pruned(clips: World, name: str) -> None:
    """The supernets of this suite stay at chance, where the guard keeps alphas from moving."""
    free = {"guard": False, "warmup": 0.1, "sharpness": 0.0}
    assert failures(with_defaults(registry.get_strategy(name), free), clips, 6.0) == {}
