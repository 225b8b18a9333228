"""The search phase of a run: drives a strategy through its steps."""

import json
import traceback
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from pvnas_bench import records, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import BudgetExhausted, Ledger
from pvnas_bench.problem import Problem, Trials
from pvnas_bench.runs.checkpoints import Checkpoints, State
from pvnas_bench.runs.meters import NOTHING, Elsewhere, Phase
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.setup import Setup
from pvnas_bench.runs.tabular import TabularProblem
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.strategy import SearchFinished
from pvnas_bench.system.signals import TimedOut
from pvnas_bench.table import Table
from pvnas_bench.training import process
from pvnas_bench.training.distributed import RankLost
from pvnas_bench.training.workbench import Clock, Workbench

IDLE_STEPS = 10_000
"""Consecutive steps without spending after which a search fails."""
RUNAWAY = 2
"""Multiple of the budget beyond which spending is an error."""
LARGEST_DIAGNOSTICS = 8 * 2**20
"""Largest length of the diagnostics in characters; a larger record could not be read back."""
_STEPS = TypeAdapter(list[records.Step])


class OtherProcesses(Trials, Protocol):
    """Trials with known resource use."""

    @property
    def used(self) -> Elsewhere:
        """Resource use of the trials so far."""

    def drop(self) -> None:
        """Cancel the running trials, whose results are not needed."""


class Search:
    """The search phase: drives the strategy through its steps and records the trajectory."""

    def __init__(
        self,
        setup: Setup,
        observer: Observer,
        checkpoints: Checkpoints | None = None,
        trials: OtherProcesses | None = None,
    ) -> None:
        self._setup, self._observer, self._checkpoints, self._trials = setup, observer, checkpoints, trials
        self.ledger = Ledger(setup.reference_training, setup.protocol.budget)
        self._clock = Clock()
        store, splits = setup.search_view()
        bench = Workbench(store, setup.protocol, setup.device, self.ledger, self._clock, setup.world)
        problem = (setup.space, setup.costs, bench, splits, setup.caps, setup.request.seed)
        self.problem = (
            Problem(*problem, trials, null=setup.request.null)
            if setup.table is None
            else TabularProblem(setup.table, setup.request.partial, *problem, null=setup.request.null)
        )
        kind = setup.kind.info.variants.get(setup.space.family, setup.kind)
        self.strategy = kind(self.problem, setup.config)
        self.incumbent: Architecture | None = None
        self.front: tuple[Architecture, ...] = ()
        self.trajectory: list[records.Step] = []
        self.diagnostics: dict[str, Any] = {}
        self._phase = Phase.begin()
        self._best: float | None = None

    def run(self, state: State | None = None) -> tuple[records.Status, str | None]:
        """Search until the budget is spent.

        Args:
            state: state of this search in a checkpoint, to resume from.

        Raises:
            UsageError: the budget is too small for one step, or the state does not fit this search.
        """
        if self._setup.table is None:
            process.load_compiler()
        self._phase = Phase.begin(self._setup.device)
        if state is not None and "cost" in state:
            self._restore(state)
            self.cost = records.PhaseCost.model_validate(state["cost"])
            return "ok", None
        setup = self._setup
        status: records.Status = "ok"
        error: str | None = None
        self._observer.timed(self._clock)
        self._observer.searching(setup.protocol.budget)
        try:
            self._steps(state)
        except UsageError:
            raise
        except KeyboardInterrupt:
            status, error = "interrupted", "interrupted during the search"
        except RankLost as lost:
            status, error = "interrupted", f"{lost} during the search"
        except TimedOut as late:
            status, error = "timeout", f"{late} during the search"
        except (Exception, SystemExit) as failure:
            reason = "".join(traceback.format_exception_only(failure)).strip()
            status, error = "failed", f"{reason} ({_innermost(failure)})"
        self.cost = self._phase.cost(self.ledger, self._clock, setup.device, self._elsewhere)
        return status, error

    @property
    def _elsewhere(self) -> Elsewhere:
        return self._trials.used if self._trials else NOTHING

    def _steps(self, state: State | None) -> None:
        setup, seed = self._setup, self._setup.request.seed
        step, begun, idle = 0, False, 0
        while True:
            try:
                if not begun:
                    with seeding.torch_seeded(seed, "setup"):
                        self.strategy.setup()
                    begun = True
                    if state is not None:
                        step = self._load(state)
                spent = self.ledger.macs
                with seeding.torch_seeded(seed, "step", step):
                    self.strategy.step()
            except SearchFinished:
                finished = True
            except BudgetExhausted as exhausted:
                if step == 0:
                    raise UsageError(
                        f"a budget of {setup.protocol.budget:g} reference trainings is too small for one step of "
                        f"{setup.kind.info.name} ({exhausted}): raise --budget"
                    ) from exhausted
                finished = True
            else:
                finished = False
            step += 1
            self._note(step)
            if finished:
                return
            idle = 0 if self.ledger.macs > spent else idle + 1
            if self.ledger.spent > RUNAWAY * self.ledger.budget:
                raise RuntimeError(f"spent {self.ledger.spent:.3g} of {self.ledger.budget:g} reference trainings")
            if idle == IDLE_STEPS:
                raise RuntimeError(
                    f"{idle:,} steps in a row spent nothing: raise SearchFinished when the search is complete"
                )
            if self._checkpoints is not None:
                self._checkpoints.boundary(self._state)

    # --- resuming -----------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        """State for `run` to resume from between two steps."""
        return {
            "search": {
                "strategy": self.strategy.state_dict(),
                "problem": self.problem._state(),
                "clock": [dict(self._clock.seconds), self._clock.simulated],
                "phase": self._phase.state(self._setup.device, self._elsewhere),
                **self._findings(),
            }
        }

    def ended(self) -> dict[str, Any]:
        """State for `run` to resume from after the search, JSON values."""
        return {"cost": self.cost.model_dump(mode="json"), **self._findings()}

    def _findings(self) -> dict[str, Any]:
        return {
            "incumbent": str(self.incumbent),
            "front": list(map(str, self.front)),
            "trajectory": _STEPS.dump_python(self.trajectory, mode="json"),
            "diagnostics": dict(self.diagnostics),
        }

    def _restore(self, state: State) -> None:
        parse = self._setup.space.parse
        self.incumbent, self.front = parse(state["incumbent"]), tuple(map(parse, state["front"]))
        self.trajectory = _STEPS.validate_python(state["trajectory"])
        self.diagnostics = state["diagnostics"]

    def recall(self, state: State | None) -> None:
        """Load the results of a search from a checkpoint without resuming it."""
        phase = Phase.begin()
        if state is not None:
            self._restore(state)
            if "cost" in state:
                self.cost = records.PhaseCost.model_validate(state["cost"])
                return
            phase = Phase.resumed(state["phase"])
            self.ledger.resume(*state["problem"]["ledger"])
            seconds, self._clock.simulated = state["clock"]
            self._clock.seconds.update(seconds)
        self.cost = phase.cost(self.ledger, self._clock, self._setup.device)

    def _load(self, state: State) -> int:
        """Restore strategy, problem and meters from a checkpoint; return the number of steps."""
        try:
            self.strategy.load_state_dict(state["strategy"])
            self.problem._load_state(state["problem"])
            self._restore(state)
            seconds, self._clock.simulated = state["clock"]
            self._phase = Phase.resumed(state["phase"], self._setup.device)
        except Exception as error:
            raise UsageError(
                f"cannot resume from the checkpoint in {self._setup.path.parent} ({type(error).__name__}: {error}): "
                "start over with --no-resume"
            ) from error
        self._clock.seconds.clear()
        self._clock.seconds.update(seconds)
        self._observer.resuming(len(self.trajectory))
        return self.trajectory[-1].step

    def _regret(self, table: Table, incumbent: Architecture) -> float:
        """Regret of the incumbent among the table's architectures under the caps."""
        setup = self._setup
        if setup.caps.only_macs:
            return table.regret(str(incumbent), self.problem.cap)
        if self._best is None:
            self._best = table.best(lambda one: setup.caps.allow(setup.costs(one)))
        return max(self._best - table.top1(str(incumbent)), 0.0)

    def _note(self, step: int) -> None:
        """Ask for the incumbent, check it, and add the step to the trajectory."""
        setup = self._setup
        self._phase.tick()
        incumbent = self.strategy.incumbent()
        if incumbent is None or incumbent is not self.incumbent:
            valid(setup.space, incumbent)
        setup.world.agree(f"step {step}: {incumbent}, {self.ledger.macs} MACs")
        cost = setup.costs(incumbent)
        if not setup.caps.allow(cost):
            raise ValueError(f"the incumbent {incumbent} has {setup.caps.exceeded(cost)}")
        front = tuple(self.strategy.front())
        if front != self.front:
            for member in front:
                valid(setup.space, member)
        self.incumbent, self.front = incumbent, front
        diagnostics = json.dumps({**self.problem.facts, **self.strategy.diagnostics()})
        if len(diagnostics) > LARGEST_DIAGNOSTICS:
            raise ValueError(
                f"the diagnostics have {len(diagnostics):,} characters, at most {LARGEST_DIAGNOSTICS:,} are allowed"
            )
        self.diagnostics = json.loads(diagnostics)
        if self.problem.failures:
            self.diagnostics["trial_failures"] = dict(self.problem.failures)
        if setup.table is not None:
            self.problem.log(regret=self._regret(setup.table, incumbent))
        noted = records.Step(
            step=step,
            cost=self.ledger.spent,
            wall=self._phase.elapsed + self._clock.simulated,
            incumbent=str(incumbent),
            macs=cost.macs,
            metrics=self.problem.take_logged(),
        )
        self.trajectory.append(noted)
        self._observer.stepped(noted, setup.protocol.budget)


def _innermost(failure: BaseException) -> str:
    frame = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def valid(space: SearchSpace, architecture: Architecture) -> None:
    """Check that an architecture belongs to the space.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(architecture, Architecture) or space.architecture(architecture.choices) != architecture:
        raise ValueError(f"{architecture!r} is not an architecture of {space.name}")
