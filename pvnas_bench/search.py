"""The search phase of a run: drives a strategy through its steps."""

import json
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pvnas_bench import records, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import BudgetExhausted, Ledger
from pvnas_bench.phase import Phase
from pvnas_bench.problem import Problem
from pvnas_bench.request import Observer, Setup
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.strategy import SearchFinished
from pvnas_bench.tabular import TabularProblem
from pvnas_bench.training import Clock, Workbench


class Search:
    """The search phase: drives the strategy through its steps and keeps the trajectory."""

    def __init__(self, setup: Setup, observer: Observer) -> None:
        self._setup, self._observer = setup, observer
        self.ledger = Ledger(setup.reference_training, setup.protocol.budget)
        self._clock = Clock()
        store, splits = setup.search_view()
        bench = Workbench(store, setup.protocol, setup.device, self.ledger, self._clock)
        problem = (setup.space, setup.costs, bench, splits, setup.cap, setup.request.seed)
        self.problem = (
            Problem(*problem) if setup.table is None else TabularProblem(setup.table, setup.request.partial, *problem)
        )
        self.strategy = setup.kind(setup.config)
        self.incumbent: Architecture | None = None
        self.front: tuple[Architecture, ...] = ()
        self.trajectory: list[records.Step] = []
        self.diagnostics: Mapping[str, Any] = {}
        self._phase = Phase.begin()

    def run(self) -> tuple[records.Status, str | None]:
        """Search until the budget is spent.

        Raises:
            UsageError: not one step fits into the budget.
        """
        self._phase = Phase.begin()
        setup = self._setup
        status: records.Status = "ok"
        error: str | None = None
        self._observer.timed(self._clock)
        self._observer.searching(setup.protocol.budget)
        try:
            self._steps()
        except UsageError:
            raise
        except KeyboardInterrupt:
            status, error = "interrupted", "interrupted during the search"
        except Exception as failure:
            reason = "".join(traceback.format_exception_only(failure)).strip()
            status, error = "failed", f"{reason} ({_innermost(failure)})"
        self.cost = self._phase.cost(self.ledger, self._clock, setup.device)
        return status, error

    def _steps(self) -> None:
        setup, seed = self._setup, self._setup.request.seed
        step = 0
        while True:
            try:
                if step == 0:
                    with seeding.torch_seeded(seed, "setup"):
                        self.strategy.setup(self.problem)
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

    def _note(self, step: int) -> None:
        """Ask for the incumbent, check it, and put the step on the trajectory."""
        setup = self._setup
        incumbent = self.strategy.incumbent()
        if incumbent is not self.incumbent:
            valid(setup.space, incumbent)
        macs = setup.costs(incumbent).macs
        if macs > setup.cap:
            raise ValueError(f"the incumbent {incumbent} has {macs:,} MACs, above the cap of {setup.cap:,}")
        self.incumbent, self.front = incumbent, tuple(self.strategy.front())
        self.diagnostics = json.loads(json.dumps(self.strategy.diagnostics()))
        if setup.table is not None:
            self.problem.log(regret=setup.table.regret(str(incumbent), setup.cap))
        noted = records.Step(
            step=step,
            cost=self.ledger.spent,
            wall=time.perf_counter() - self._phase.wall + self._clock.simulated,
            incumbent=str(incumbent),
            macs=macs,
            metrics=dict(self.problem.metrics),
        )
        self.problem.metrics.clear()
        self.trajectory.append(noted)
        self._observer.stepped(noted, setup.protocol.budget)


def _innermost(failure: BaseException) -> str:
    frame = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def valid(space: SearchSpace, architecture: Architecture) -> None:
    """Check that an architecture is one of the space's.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(architecture, Architecture) or space.architecture(architecture.choices) != architecture:
        raise ValueError(f"{architecture!r} is no architecture of {space.name}")
