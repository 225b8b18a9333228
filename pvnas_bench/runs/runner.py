"""The runner: one search, one final training, one record."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pvnas_bench import records, release, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.network.families import workloads
from pvnas_bench.network.workloads import convolution_pass
from pvnas_bench.protocol import protocol_entry
from pvnas_bench.runs import yardstick
from pvnas_bench.runs.checkpoints import Checkpoints
from pvnas_bench.runs.final import Final, Kept
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.rank_correlation import ranking
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import OtherProcesses, Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.runs.table_facts import facts
from pvnas_bench.runs.tabular_final import TabularFinal
from pvnas_bench.runs.tracking import tracked
from pvnas_bench.runs.weights import model_info
from pvnas_bench.system import files, machine, signals
from pvnas_bench.system.leases import claimed
from pvnas_bench.system.masking import masked, masked_values
from pvnas_bench.system.signals import Stop, TimedOut
from pvnas_bench.training import distributed, model_file, process
from pvnas_bench.training.workbench import TrainingFailed

__all__ = ["Observer", "Request", "Run", "run"]


class Run:
    """One run, from request to record. The constructor detects all user errors."""

    def __init__(
        self, request: Request | Setup, observer: Observer | None = None, world: distributed.World = distributed.ALONE
    ) -> None:
        """Resolve every name, prepare the clips, and check that a search is possible.

        Args:
            request: the request, or its setup if known.
            world: the processes of the run, each with the same request.

        Raises:
            UsageError: the request cannot work; nothing was written to the results.
            RankLost: another process of the run has ended.
        """
        self.observer = observer or Observer()
        self._kept: Kept | None = None
        with world.in_turn():
            self.setup = request if isinstance(request, Setup) else Setup(request, self.observer, world)
        self.observer = tracked(self.observer, self.setup)

    def __call__(self, *, trials: OtherProcesses | None = None, patience: float = 0.0) -> tuple[records.Record, Path]:
        """Search, train and test the result, and write the record.

        A strategy's error, an invalid incumbent, a timeout or an interruption becomes the status of the record. After
        a timeout or an interruption the checkpoint is kept, and the same request resumes from it. With several
        processes, the first one writes files and enforces the time limit; the loss of one interrupts the others.

        Args:
            trials: other processes that train a search's architectures in parallel; results are the same.
            patience: seconds to wait for another process that executes the same run.

        Raises:
            UsageError: the budget is too small for one step of the strategy; another process executes the same run;
                the record cannot be written.
            RankLost: another process of the run ended before the search began.
        """
        setup = self.setup
        if not setup.world.first:
            with signals.heeded() as stop, setup.configured():
                return self._run(Checkpoints(setup, None, stop, self.observer)), setup.path
        with claimed(setup.path, patience=patience) as claim, signals.heeded(setup.request.timeout) as stop:
            checkpoints = Checkpoints(setup, claim, stop, self.observer)
            self.observer.opened()
            with setup.configured():
                record = self._run(checkpoints, trials)
            claim.check()
            self._save(record, checkpoints)
            self.observer.recorded(record)
            if record.status in ("ok", "failed"):
                checkpoints.clear()
                files.remove_leftovers(setup.path)
                files.remove_leftovers(setup.path.with_name(model_file.FILE_NAME))
        return record, setup.path

    def record(self) -> records.Record:
        """Run a search on a table without files: no record, no checkpoint."""
        with self.setup.configured():
            return self._run(None)

    def lost(self, status: records.Status, error: str) -> None:
        """Write the record of a run whose process died, from its last checkpoint, which is kept.

        Raises:
            UsageError: another process executes the run by now; the record cannot be written.
        """
        with claimed(self.setup.path) as claim:
            checkpoints = Checkpoints(self.setup, claim, Stop(None), self.observer)
            search = Search(self.setup, self.observer)
            search.recall((checkpoints.load() or {}).get("search"))
            self._save(self._record(search, status, error, None, None, self.setup.preparation), checkpoints)

    def _run(self, checkpoints: Checkpoints | None, trials: OtherProcesses | None = None) -> records.Record:
        """Search and train, resuming from the last checkpoint."""
        setup = self.setup
        final: Final | TabularFinal = TabularFinal(setup)
        if setup.table is None:
            assert checkpoints is not None
            final = Final(setup, self.observer, checkpoints)
        search = Search(setup, self.observer, checkpoints, trials)
        state = (checkpoints.load() if checkpoints and setup.request.resume else None) or {}
        status, error = search.run(state.get("search"))
        if trials is not None:
            trials.drop()
        settle = checkpoints.settle if checkpoints else lambda: None
        if status in ("interrupted", "timeout"):
            settle()
        outcome = None
        if search.incumbent is not None and status != "failed":
            try:
                outcome = final(search, retrain=status == "ok", state=state.get("final"))
            except KeyboardInterrupt:
                settle()
                status, error = "interrupted", "interrupted during the final training"
                outcome = final(search, retrain=False)
            except distributed.RankLost as lost:
                settle()
                status, error = "interrupted", f"{lost} during the final training"
                outcome = final(search, retrain=False)
            except TimedOut as late:
                settle()
                status, error = "timeout", f"{late} during the final training"
                outcome = final(search, retrain=False)
            except TrainingFailed as failure:
                status, error = "failed", f"final training: {type(failure).__name__}: {failure}"
        self._kept = final.model
        pace = self._pace() if status == "ok" and setup.table is None and setup.world.first else None
        ranked = {}
        if status == "ok" and setup.table is not None and not setup.request.null:
            ranked = ranking(search, setup.table)
        measured = {**setup.preparation, **final.controls, **ranked}
        if setup.table is not None:
            measured |= facts(setup.table, setup.space, setup.caps, setup.costs, search.incumbent)
        if checkpoints and checkpoints.failures:
            measured["checkpoints_not_written"] = checkpoints.failures
        return self._record(search, status, error, outcome, pace, measured)

    def _save(self, record: records.Record, checkpoints: Checkpoints) -> None:
        """Write the record; if the disk is full, delete the older checkpoint and try again.

        Raises:
            UsageError: the record cannot be written; the newest checkpoint is kept.
        """
        path = self.setup.path
        try:
            try:
                self._write(record)
            except OSError:
                checkpoints.thin()
                self._write(record)
        except OSError as error:
            raise UsageError(
                f"the record cannot be written to {path.parent} ({error.strerror}): free some space, then repeat the "
                "command to resume from the last checkpoint"
            ) from None

    def _write(self, record: records.Record) -> None:
        """Write the record; before it the weights, so that a record that is there has all its files."""
        path = self.setup.path
        if record.status == "ok" and self._kept is not None:
            content = model_file.encode(model_info(self.setup, record, self._kept), self._kept.weights)
            files.write_atomically(path.with_name(model_file.FILE_NAME), content)
        records.save(record, path)

    def _pace(self) -> records.Speed:
        space, device = self.setup.space, self.setup.device
        with seeding.torch_seeded(0, "speed"):
            passes, reference = workloads(space, device), convolution_pass(device)
        return yardstick.measure(passes, reference=reference)

    def _record(
        self,
        search: Search,
        status: records.Status,
        error: str | None,
        outcome: records.Outcome | None,
        pace: records.Speed | None,
        measured: Mapping[str, Any],
    ) -> records.Record:
        """Build the record; `measured` holds the harness's entries of `diagnostics`."""
        setup = self.setup
        info = setup.kind.info
        processes = {"processes": setup.world.size} if setup.world.size > 1 else {}
        return records.Record(
            id=setup.id,
            null=setup.request.null,
            status=status,
            error=error and masked(error),
            strategy=records.StrategyEntry(
                name=info.name,
                entry=setup.entry,
                title=info.title,
                levels=info.levels,
                role=info.role,
                config=masked_values(setup.config.model_dump(mode="json")),
                source=setup.source,
            ),
            space=records.SpaceEntry(
                name=setup.space.name,
                version=setup.space.version,
                fingerprint=setup.space_fingerprint,
                cap=setup.caps.name,
                cap_macs=search.problem.cap,
                caps={} if setup.caps.only_macs else {limit.key: limit.most for limit in setup.caps.limits},
                reference_macs=setup.costs(setup.space.reference).macs,
            ),
            data=setup.data,
            protocol=protocol_entry(setup.protocol).model_copy(update={"fingerprint": setup.protocol_fingerprint}),
            seed=setup.request.seed,
            device=str(setup.device),
            search=search.cost,
            trajectory=tuple(search.trajectory),
            diagnostics=masked_values({**search.diagnostics, **measured}),
            outcome=outcome,
            speed=pace,
            provenance=records.Provenance(
                created=datetime.now(UTC),
                command=setup.command,
                pvnas_bench=release.VERSION,
                commit=machine.commit(),
                python=sys.version.split()[0],
                libraries=machine.libraries(),
                hardware=process.hardware(setup.device) | processes,
                threads=setup.threads,
                deterministic=setup.request.deterministic,
            ),
        )


def run(request: Request, observer: Observer | None = None) -> tuple[records.Record, Path]:
    """Run a request, together with the other processes of `torchrun` if there are any; see `Run`."""
    with distributed.joined() as world:
        return Run(request, observer, world)()
