"""Driving a strategy step by step, as the runner does, while watching for breaches of the contract."""

import copy
import inspect
import json
import math
import random
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pvnas_bench import seeding
from pvnas_bench.conformance._hidden import Hidden
from pvnas_bench.conformance._world import Watch
from pvnas_bench.ledger import BudgetExhausted
from pvnas_bench.problem import Problem
from pvnas_bench.runs.search import valid
from pvnas_bench.strategy import AnyStrategy, SearchFinished, Strategy, StrategyConfig

IDLE_STEPS = 200
"""Consecutive steps without spending after which a search is stopped."""

Point = tuple[int, str, tuple[str, ...], str]
"""State after a step: MACs spent, incumbent, front, and metrics and diagnostics as JSON."""


@dataclass
class Course:
    """The course of a run: its trajectory and the problems with it."""

    points: list[Point] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """Reasons of failure, by check."""
    states: list[dict[str, Any]] = field(default_factory=list)
    """Copies of the states of strategy and problem after setup and after each step."""
    computed: int = 0
    """MACs of all convolutions, if counted."""
    charged: int = 0
    """MACs on the ledger."""
    crashed: bool = False
    unbegun: bool = False
    """True if the budget was too small for any work."""

    def fail(self, check: str, reason: str) -> None:
        """Add a reason of failure to a check."""
        reasons = self.problems.setdefault(check, [])
        if reason not in reasons:
            reasons.append(reason)


class CountConvolutions(TorchDispatchMode):
    """Counts the MACs of every convolution, forward and backward."""

    macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        aten = torch.ops.aten
        if func is aten.convolution.default:
            self.macs += out.numel() * math.prod(args[1].shape[1:])
        elif func is aten.convolution_backward.default:
            self.macs += args[0].numel() * math.prod(args[2].shape[1:]) * sum(args[-1][:2])
        return out


def drive(
    kind: type[AnyStrategy],
    config: StrategyConfig,
    watched: tuple[Problem, Watch],
    *,
    upset: int = 0,
    state: Mapping[str, Any] | None = None,
    start: int = 0,
    keep: bool = False,
    count: bool = False,
) -> Course:
    """Search until the budget is spent.

    Args:
        upset: seed of the global generators before the run.
        state: state of strategy and problem to resume from after setup.
        start: number of steps before that state.
        keep: save the state after setup and after each step.
        count: count the MACs of convolutions.
    """
    problem, watch = watched
    course, strategy = Course(), kind.info.variants.get(problem.space.family, kind)(problem, config)
    counter = CountConvolutions()  # type: ignore[no-untyped-call]
    with _upset(upset):
        before = _global_states()
        step = start
        try:
            with seeding.torch_seeded(problem.seed, "setup"):
                strategy.setup()
                _reseeded(course, "setup", problem.seed, "setup")
            if state is not None:
                strategy.load_state_dict(state["strategy"])
                problem._load_state(state["problem"])
            _look(course, strategy, problem, "setup")
            hidden = Hidden.of(strategy) if type(strategy).state_dict is Strategy.state_dict else None
            if keep:
                course.states.append(_saved(course, strategy, problem))
            idle = 0
            while True:
                spent, refused = problem.ledger.macs, watch.refused
                ended = _step(course, strategy, problem, step, counter if count else None)
                step += 1
                course.points.append(_look(course, strategy, problem, f"step {step}"))
                for reason in hidden.lost(strategy) if hidden is not None and keep else ():
                    course.fail("state", reason)
                if ended:
                    break
                if watch.refused > refused:
                    course.fail("budget", f"step {step} continued after BudgetExhausted: do not catch it")
                    break
                idle = 0 if problem.ledger.macs > spent else idle + 1
                if idle == IDLE_STEPS:
                    course.fail("runs", f"{idle} steps in a row spent nothing: raise SearchFinished when done")
                    break
                if problem.ledger.spent > 2 * problem.ledger.budget:
                    break
                if keep:
                    course.states.append(_saved(course, strategy, problem))
        except Exception as failure:
            course.crashed = True
            where = _where(failure, strategy)
            reason = " ".join("".join(traceback.format_exception_only(failure)).split())
            course.fail("runs", f"{reason} ({Path(where.filename).name}:{where.lineno} in {where.name})")
        for name, changed in _changed(before).items():
            if changed:
                course.fail("global chance", f"the strategy changed the state of {name}: draw from problem.rng(name)")
    ledger = problem.ledger
    if watch.ledger:
        course.problems.setdefault("budget", []).extend(dict.fromkeys(watch.ledger))
    if ledger.macs - ledger.budget * ledger.reference > watch.largest:
        course.fail(
            "budget",
            f"spent {ledger.spent:.2f} of {ledger.budget:g} reference trainings: the excess is larger than one batch",
        )
    for reason in watch.test_data:
        course.fail("test data", reason)
    course.computed, course.charged = counter.macs, ledger.macs
    course.unbegun = watch.refused > 0 and not ledger.macs
    return course


def _where(failure: Exception, strategy: AnyStrategy) -> traceback.FrameSummary:
    """The innermost call in the strategy's own file; the innermost of all where it has none."""
    calls = traceback.extract_tb(failure.__traceback__)
    file = inspect.getsourcefile(type(strategy))
    return next((call for call in reversed(calls) if call.filename == file), calls[-1])


def _step(
    course: Course, strategy: AnyStrategy, problem: Problem, step: int, counter: CountConvolutions | None
) -> bool:
    """Run one step; return True if the search is over."""
    with seeding.torch_seeded(problem.seed, "step", step):
        try:
            if counter is None:
                strategy.step()
            else:
                with counter:
                    strategy.step()
        except (SearchFinished, BudgetExhausted):
            return True
        finally:
            _reseeded(course, f"step {step + 1}", problem.seed, "step", step)
    return False


def _reseeded(course: Course, where: str, seed: int, *names: str | int) -> None:
    if torch.initial_seed() != seeding.derive(seed, *names):
        course.fail("global chance", f"{where} seeded torch's global generator: only the harness seeds it")


def _look(course: Course, strategy: AnyStrategy, problem: Problem, where: str) -> Point:
    """Check the strategy's current results, and return them as a point of the course."""
    incumbent, front = strategy.incumbent(), tuple(strategy.front())
    for name, architecture in (("incumbent", incumbent), *(("front", member) for member in front)):
        try:
            valid(problem.space, architecture)
        except ValueError as error:
            course.fail("space", f"{name} after {where}: {error}")
        else:
            if not problem.feasible(architecture):
                course.fail("cap", f"{name} after {where} has {problem.caps.exceeded(problem.cost(architecture))}")
    try:
        diagnostics = json.dumps(_without_times({**problem.facts, **strategy.diagnostics()}))
    except (TypeError, ValueError) as error:
        diagnostics = ""
        course.fail("diagnostics", f"after {where} they are not JSON: {error}")
    metrics = json.dumps(problem.take_logged(), sort_keys=True)
    return problem.ledger.macs, str(incumbent), tuple(map(str, front)), metrics + diagnostics


def _without_times(value: Any) -> Any:
    """Diagnostics without durations, which differ between runs."""
    if isinstance(value, Mapping):
        return {key: _without_times(item) for key, item in value.items() if not str(key).endswith("seconds")}
    return value


def _saved(course: Course, strategy: AnyStrategy, problem: Problem) -> dict[str, Any]:
    try:
        state = plain_copy(strategy.state_dict())
    except TypeError as error:
        course.fail("state", str(error))
        state = {}
    return {"strategy": state, "problem": copy.deepcopy(problem._state())}


def plain_copy(state: Any, where: str = "state") -> Any:
    """Deep copy of a state of tensors, arrays, numbers, strings, lists and dicts.

    Raises:
        TypeError: the state holds a value of another type.
    """
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, np.ndarray):
        return state.copy()
    if state is None or type(state) in (bool, int, float, str):
        return state
    if isinstance(state, Mapping):
        return {key: plain_copy(value, f"{where}[{key!r}]") for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(plain_copy(value, f"{where}[{i}]") for i, value in enumerate(state))
    raise TypeError(f"{where} is a {type(state).__name__}: use tensors, numbers, strings, lists and dicts")


# --- global random generators ---------------------------------------------------------------------------------------


def _global_states() -> dict[str, Any]:
    return {
        "Python's random": random.getstate(),
        "numpy.random": np.random.get_state(legacy=False),  # noqa: NPY002
        "torch's generator": torch.get_rng_state(),
    }


def _changed(before: Mapping[str, Any]) -> dict[str, bool]:
    now = _global_states()
    python, legacy, of_torch = before
    return {
        python: before[python] != now[python],
        legacy: str(before[legacy]) != str(now[legacy])
        or not np.array_equal(before[legacy]["state"]["key"], now[legacy]["state"]["key"]),
        of_torch: not torch.equal(before[of_torch], now[of_torch]),
    }


@contextmanager
def _upset(seed: int) -> Iterator[None]:
    """Seed the global generators within the context; restore them afterwards."""
    before = _global_states()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            python, legacy, _ = before.values()
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
