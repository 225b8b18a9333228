"""The conformance suite: checks in a minute on any machine that a strategy follows the contract.

It generates its own clips and spaces. A strategy that passes may run on any leaderboard; the suite does not judge the
quality of its search.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pvnas_bench import registry
from pvnas_bench.conformance._drive import Course, drive
from pvnas_bench.conformance._world import PROTOCOL, World, world
from pvnas_bench.errors import UsageError
from pvnas_bench.space import SearchSpace
from pvnas_bench.strategy import AnyStrategy
from pvnas_bench.system.text import either
from pvnas_bench.training import process

SEED = 3
FAMILY = "mbconv"
"""Family of the suite's spaces."""
TOLERANCE = 1.01
"""Largest ratio of computed to charged MACs."""
FEW_STEPS, MORE_BUDGET = 4, 4
"""A search of fewer than `FEW_STEPS` steps is too short to resume; it is repeated with `MORE_BUDGET` times the
budget."""

SHOWN = 2
"""Reasons of a failed check that are shown."""

CHECKS = {
    "described": "info and hyper-parameters are described",
    "runs": "runs until its budget is spent",
    "space": "stays in the space",
    "cap": "stays under the cap",
    "budget": "stays within the budget",
    "charged": "all its computation is charged",
    "test data": "never reads test data",
    "global chance": "does not change global random state",
    "diagnostics": "diagnostics are JSON",
    "same seed": "same seed, same trajectory",
    "state": "resumes from a saved state with the same trajectory",
    "structural": "runs on a space with structural decisions only",
    "modular": "runs on a space with modular decisions only",
}
"""Descriptions of the checks by name, in order."""


@dataclass(frozen=True)
class Result:
    """Outcome of one check; the reason is empty if it passed."""

    check: str
    passed: bool
    reason: str = ""


def check(name: str) -> Iterator[Result]:
    """Check a strategy, given by its name or file; yield each result when it is known.

    Raises:
        UsageError: the strategy does not exist, or does not work on the suite's spaces of blocks.
    """
    kind = registry.get_strategy(name)
    if kind.info.families and FAMILY not in kind.info.families:
        families = either(kind.info.families)
        raise UsageError(
            f"{kind.info.name} works on spaces of the family {families}, but the suite's spaces have the family "
            f"{FAMILY}: add it to the strategy's info, or test the strategy with `pvnas-bench run`"
        )
    with process.configured(threads=1, deterministic=True), world() as clips:
        yield from results(kind, clips)


def results(kind: type[AnyStrategy], clips: World, budget: float = PROTOCOL.budget) -> Iterator[Result]:
    """Check a strategy on prepared clips.

    Args:
        budget: budget of each search in reference trainings.
    """
    yield _described(kind)
    config = kind.Config()
    first = drive(kind, config, clips.problem("all", SEED, budget), upset=1, count=True)
    if len(first.points) < FEW_STEPS and not first.problems:
        budget *= MORE_BUDGET
        first = drive(kind, config, clips.problem("all", SEED, budget), upset=1, count=True)
    problems = first.problems
    if first.unbegun:
        first.fail("runs", f"a budget of {budget:g} reference trainings is too small for one step")
    second = None
    if not first.crashed:
        second = drive(kind, config, clips.problem("all", SEED, budget), upset=2, keep=True)
        for name, reasons in second.problems.items():
            problems.setdefault(name, []).extend(reasons)
    for name in ("runs", "space", "cap", "budget"):
        yield _result(name, problems)
    if first.computed > TOLERANCE * first.charged:
        problems["charged"] = [f"its convolutions computed {first.computed:,} MACs, {first.charged:,} were charged"]
    for name in ("charged", "test data", "global chance", "diagnostics"):
        yield _result(name, problems)
    if second is None:
        yield Result("same seed", False, "not checked: the strategy does not run")
        yield Result("state", False, "not checked: the strategy does not run")
    else:
        yield _compare("same seed", first, second, 0)
        if "state" in problems or not second.states:
            yield _result("state", problems)
        else:
            middle = (len(second.states) - 1) // 2
            middle = max(middle, min(1, len(second.states) - 1))
            third = drive(
                kind, config, clips.problem("all", SEED, budget), upset=3, state=second.states[middle], start=middle
            )
            if third.crashed:
                yield Result("state", False, f"resumed after {middle} steps: {third.problems['runs'][0]}")
            else:
                yield _compare("state", second, third, middle)
    for level in kind.info.levels:
        yield _result(level, {level: drive(kind, config, clips.problem(level, SEED, budget)).problems.get("runs", [])})


def _described(kind: type[AnyStrategy]) -> Result:
    info, missing = kind.info, []
    for name in ("name", "title", "paper", "published"):
        if not getattr(info, name):
            missing.append(f"info.{name} is empty")
    if not info.families and (families := _families(kind)):
        missing.append(f"info.families is empty, but the class searches spaces of {either(families)} only")
    missing += [
        f"hyper-parameter {name} has no description"
        for name, field in kind.Config.model_fields.items()
        if not field.description
    ]
    return _result("described", {"described": missing})


def _families(kind: type[AnyStrategy]) -> list[str]:
    """Families of the spaces in the brackets of the class and its bases: ``Strategy[MineConfig, BlockSpace]``."""
    bases = [base for one in kind.__mro__ for base in vars(one).get("__orig_bases__", ())]
    named = [getattr(arg, "__bound__", None) or arg for base in bases for arg in get_args(base)]
    return sorted(
        {one.family for one in named if isinstance(one, type) and issubclass(one, SearchSpace) and one.family}
    )


def _result(name: str, problems: dict[str, list[str]]) -> Result:
    reasons = list(dict.fromkeys(problems.get(name, [])))
    left = [f"{len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else []
    return Result(name, not reasons, "; ".join(reasons[:SHOWN] + left))


def _compare(name: str, one: Course, other: Course, start: int) -> Result:
    """Compare two courses; the second must equal the first from step `start` on."""
    words = ("cost", "incumbent", "front", "metrics or diagnostics")
    for step, (expected, got) in enumerate(zip(one.points[start:], other.points, strict=False), start + 1):
        for word, a, b in zip(words, expected, got, strict=True):
            if a != b:
                return Result(name, False, f"step {step} differs in {word}: {_short(a)} and {_short(b)}")
    if len(one.points) != len(other.points) + start:
        return Result(name, False, f"numbers of steps differ: {len(one.points)} and {len(other.points) + start}")
    return Result(name, True)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."
