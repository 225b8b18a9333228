"""The conformance suite: whether a strategy keeps to the contract, on anyone's machine in a minute.

It brings its own clips and spaces. A strategy that passes may run on any leaderboard; what it finds is another matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pvnas_bench import registry
from pvnas_bench.conformance._drive import Course, drive
from pvnas_bench.conformance._world import PROTOCOL, World, world
from pvnas_bench.errors import UsageError
from pvnas_bench.strategy import AnyStrategy
from pvnas_bench.training import process

SEED = 3
FAMILY = "mbconv"
"""Of the spaces that the suite brings."""
TOLERANCE = 1.01
FEW_STEPS, MORE_BUDGET = 4, 4
"""A search of fewer steps has no middle: it is repeated with so many times the budget."""

CHECKS = {
    "described": "info and hyper-parameters are described",
    "runs": "runs until its budget is spent",
    "space": "stays in the space",
    "cap": "stays under the cap",
    "budget": "keeps to the budget",
    "charged": "all that it computes is charged",
    "test data": "never touches test data",
    "global chance": "leaves global random state alone",
    "diagnostics": "diagnostics are JSON",
    "same seed": "same seed, same trajectory",
    "state": "saved and loaded in the middle, same continuation",
    "structural": "runs where only structural decisions are free",
    "modular": "runs where only modular decisions are free",
}
"""What is checked, in order, by name."""


@dataclass(frozen=True)
class Result:
    """One check's outcome; the reason is empty where it passed."""

    check: str
    passed: bool
    reason: str = ""


def check(name: str) -> Iterator[Result]:
    """Check a strategy by its name or its file; the results come as they are found.

    Raises:
        UsageError: there is no such strategy, or it does not work on spaces of blocks, which the suite brings.
    """
    kind = registry.get_strategy(name)
    if kind.info.families and FAMILY not in kind.info.families:
        families = " or ".join(kind.info.families)
        raise UsageError(
            f"{kind.info.name} works on spaces of the family {families}, and the suite's are of {FAMILY}: "
            "add that family to its info, or test the strategy with runs of your own"
        )
    with process.configured(threads=1, deterministic=True), world() as found:
        yield from results(kind, found)


def results(kind: type[AnyStrategy], made: World, budget: float = PROTOCOL.budget) -> Iterator[Result]:
    """Check a strategy in a world of clips that is ready, by searches of so many reference trainings."""
    yield _described(kind)
    config = kind.Config()
    first = drive(kind, config, made.problem("all", SEED, budget), upset=1, count=True)
    if len(first.points) < FEW_STEPS and not first.problems:
        budget *= MORE_BUDGET
        first = drive(kind, config, made.problem("all", SEED, budget), upset=1, count=True)
    problems = first.problems
    if first.unbegun:
        first.fail("runs", f"not one step fits into {budget:g} reference trainings")
    second = None
    if not first.crashed:
        second = drive(kind, config, made.problem("all", SEED, budget), upset=2, keep=True)
        for name, reasons in second.problems.items():
            problems.setdefault(name, []).extend(reasons)
    for name in ("runs", "space", "cap", "budget"):
        yield _result(name, problems)
    if first.computed > TOLERANCE * first.charged:
        problems["charged"] = [f"its convolutions took {first.computed:,} MACs, its ledger says {first.charged:,}"]
    for name in ("charged", "test data", "global chance", "diagnostics"):
        yield _result(name, problems)
    if second is None:
        yield Result("same seed", False, "not checked: it does not run")
        yield Result("state", False, "not checked: it does not run")
    else:
        yield _compare("same seed", first, second, 0)
        if "state" in problems or not second.states:
            yield _result("state", problems)
        else:
            middle = (len(second.states) - 1) // 2
            middle = max(middle, min(1, len(second.states) - 1))
            third = drive(
                kind, config, made.problem("all", SEED, budget), upset=3, state=second.states[middle], start=middle
            )
            if third.crashed:
                yield Result("state", False, f"after {middle} steps: {third.problems['runs'][0]}")
            else:
                yield _compare("state", second, third, middle)
    for level in kind.info.levels:
        yield _result(level, {level: drive(kind, config, made.problem(level, SEED, budget)).problems.get("runs", [])})


def _described(kind: type[AnyStrategy]) -> Result:
    info, missing = kind.info, []
    for name in ("name", "title", "paper", "published"):
        if not getattr(info, name):
            missing.append(f"info.{name} is empty")
    missing += [
        f"hyper-parameter {name} has no description"
        for name, field in kind.Config.model_fields.items()
        if not field.description
    ]
    return _result("described", {"described": missing})


def _result(name: str, problems: dict[str, list[str]]) -> Result:
    reasons = problems.get(name, [])
    return Result(name, not reasons, "; ".join(dict.fromkeys(reasons)))


def _compare(name: str, one: Course, other: Course, start: int) -> Result:
    """Whether the second course is the first from step `start` on."""
    words = ("cost", "incumbent", "front", "metrics or diagnostics")
    for step, (expected, got) in enumerate(zip(one.points[start:], other.points, strict=False), start + 1):
        for word, a, b in zip(words, expected, got, strict=True):
            if a != b:
                return Result(name, False, f"step {step} has another {word}: {_short(a)} and {_short(b)}")
    if len(one.points) != len(other.points) + start:
        return Result(name, False, f"{len(one.points)} steps and {len(other.points) + start}")
    return Result(name, True)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."
