"""The runner: one search, one final training, one record."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pvnas_bench
from pvnas_bench import records, runtime, seeding, speed
from pvnas_bench.final import Final
from pvnas_bench.network.families import workloads
from pvnas_bench.network.workloads import convolution_pass
from pvnas_bench.ranking import ranking
from pvnas_bench.request import Observer, Request, Setup, protocol_entry
from pvnas_bench.search import Search
from pvnas_bench.tabular import TabularFinal
from pvnas_bench.training import TrainingDiverged

__all__ = ["Observer", "Request", "Run", "run"]


class Run:
    """One run, from request to record. Everything that a user can get wrong is found out by the constructor."""

    def __init__(self, request: Request | Setup, observer: Observer | None = None) -> None:
        """Resolve every name, prepare the clips, and check that a search is possible.

        Args:
            request: or what it stands for, where that is known.

        Raises:
            UsageError: something asked for does not exist or cannot work; nothing was written to the results.
        """
        self.observer = observer or Observer()
        self.setup = request if isinstance(request, Setup) else Setup(request, self.observer)

    def __call__(self) -> tuple[records.Record, Path]:
        """Search, train and test what was found, and write the record.

        A strategy that raises, an incumbent that is invalid, and an interruption end in a record that says so.

        Raises:
            UsageError: the budget is too small for one step of the strategy; nothing was written.
        """
        record, path = self.record(), self.setup.path
        records.save(record, path)
        return record, path

    def record(self) -> records.Record:
        """As a call, without writing the record."""
        setup = self.setup
        final = Final(setup, self.observer) if setup.table is None else TabularFinal(setup)
        with runtime.configured(setup.threads, setup.request.deterministic):
            search = Search(self.setup, self.observer)
            status, error = search.run()
            outcome = None
            if search.incumbent is not None and status != "failed":
                try:
                    outcome = final(search, retrain=status == "ok")
                except KeyboardInterrupt:
                    status, error = "interrupted", "interrupted during the final training"
                    outcome = final(search, retrain=False)
                except TrainingDiverged as diverged:
                    status, error = "failed", f"final training diverged: {diverged}"
            pace = self._pace() if status == "ok" and setup.table is None else None
            ranked = ranking(search, setup.table) if status == "ok" and setup.table is not None else {}
        measured = {**setup.preparation, **final.controls, **ranked}
        return self._record(search, status, error, outcome, pace, measured)

    def _pace(self) -> records.Speed:
        space, device = self.setup.space, self.setup.device
        with seeding.torch_seeded(0, "speed"):
            passes, reference = workloads(space, device), convolution_pass(device)
        return speed.measure(passes, reference=reference)

    def _record(
        self,
        search: Search,
        status: records.Status,
        error: str | None,
        outcome: records.Outcome | None,
        pace: records.Speed | None,
        measured: Mapping[str, Any],
    ) -> records.Record:
        """The record; `measured` is what the harness says in `diagnostics` beside the strategy."""
        setup = self.setup
        info = setup.kind.info
        return records.Record(
            id=setup.id,
            status=status,
            error=error,
            strategy=records.StrategyEntry(
                name=info.name,
                entry=setup.entry,
                title=info.title,
                levels=info.levels,
                role=info.role,
                config=setup.config.model_dump(mode="json"),
            ),
            space=records.SpaceEntry(
                name=setup.space.name,
                version=setup.space.version,
                fingerprint=setup.space_fingerprint,
                cap=setup.cap_name,
                cap_macs=setup.cap,
                reference_macs=setup.costs(setup.space.reference).macs,
            ),
            data=setup.data,
            protocol=protocol_entry(setup.protocol).model_copy(update={"fingerprint": setup.protocol_fingerprint}),
            seed=setup.request.seed,
            device=str(setup.device),
            search=search.cost,
            trajectory=tuple(search.trajectory),
            diagnostics={**search.diagnostics, **measured},
            outcome=outcome,
            speed=pace,
            provenance=records.Provenance(
                created=datetime.now(UTC),
                command=setup.command,
                pvnas_bench=pvnas_bench.__version__,
                commit=runtime.commit(),
                python=sys.version.split()[0],
                libraries=runtime.libraries(),
                hardware=runtime.hardware(setup.device),
                threads=setup.threads,
                deterministic=setup.request.deterministic,
            ),
        )


def run(request: Request, observer: Observer | None = None) -> tuple[records.Record, Path]:
    """Run a request; see `Run`."""
    return Run(request, observer)()
