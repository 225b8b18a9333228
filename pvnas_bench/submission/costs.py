"""What follows from architectures, protocol, ledger and tables: made anew, and compared exactly.

No code of the submission runs here. Spaces are those of the package and of installed plug-ins.
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.errors import UsageError
from pvnas_bench.network.cost import Cost, network_layers
from pvnas_bench.network.families import Costs, cost_model, layers
from pvnas_bench.protocol import Protocol
from pvnas_bench.records import TABLE_FACTS, Outcome, PhaseCost, Record
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.runs.table_facts import facts
from pvnas_bench.space import Architecture, Caps, SearchSpace
from pvnas_bench.submission.findings import shown
from pvnas_bench.submission.identity import protocol_of
from pvnas_bench.submission.scores import table_of
from pvnas_bench.table import Surrogate, Table, find
from pvnas_bench.training.train import clips_per_epoch, training_macs

FITTED = 1e-5
"""Largest difference between predictions of one surrogate on two machines."""


class Recomputation:
    """Computes what a record must say about costs; spaces and cost models are shared by its records."""

    def __init__(self, tables: Path | None = None) -> None:
        """Set up.

        Args:
            tables: folder of tables; None: the user's, then the published ones.
        """
        self._tables = tables
        self._models: dict[tuple[str, int], Costs] = {}

    def table(self, record: Record) -> Table | None:
        """The table or the surrogate of a record; None if it trained.

        Raises:
            UsageError: there is no table of its space and data set here.
        """
        if not table_of(record):
            return None
        opened = find_whole if record.surrogate else find
        return opened(_named(record.space.name), record.data.name, self._tables)

    def disagreements(self, record: Record) -> Iterator[str]:
        """Disagreements of a record with what its architectures, protocol and table give.

        Raises:
            UsageError: the table is not here.
        """
        try:
            space = _named(record.space.name)
        except UsageError as error:
            yield f"space: {error}"
            return
        before = len(differing := list(_space(record, space)))
        yield from differing
        if before:
            return
        classes = len(record.data.classes)
        costs = self._costs(space, classes)
        reference = costs(space.reference).macs
        if record.space.reference_macs != reference:
            yield f"space.reference_macs is {record.space.reference_macs:,}, the reference has {reference:,}"
        try:
            protocol = protocol_of(record)
        except UsageError:  # `identity` says so
            return
        unit = training_macs(reference, record.data.clips.get("train", 0), protocol.epochs, protocol)
        if not unit:
            return
        yield from _search(record, unit)
        known: dict[str, Cost | str] = {}

        def cost(string: str) -> Cost | str:
            if string not in known:
                try:
                    known[string] = costs(_parsed(space, string))
                except (UsageError, ValueError) as error:
                    known[string] = f"{shown(string)} is no architecture of {space.name}: {error}"
            return known[string]

        for step in record.trajectory:
            of_step = cost(step.incumbent)
            if isinstance(of_step, str):
                yield f"trajectory: step {step.step}: {of_step}"
                break
            if step.macs != of_step.macs:
                yield f"trajectory: step {step.step} has {step.macs:,} MACs, its incumbent has {of_step.macs:,}"
                break
        if record.outcome is None:
            return
        found = cost(record.outcome.architecture)
        if isinstance(found, str):
            yield f"outcome.architecture: {found}"
            return
        for member in record.outcome.front:
            if isinstance(of_member := cost(member), str):
                yield f"outcome.front: {of_member}"
                break
        yield from self._outcome(record, record.outcome, found, space, protocol, unit)

    def _costs(self, space: SearchSpace, classes: int) -> Costs:
        key = space.fingerprint, classes
        if key not in self._models:
            self._models[key] = cost_model(space, classes)
        return self._models[key]

    def _outcome(
        self, record: Record, outcome: Outcome, cost: Cost, space: SearchSpace, protocol: Protocol, unit: int
    ) -> Iterator[str]:
        for name in ("macs", "parameters"):
            told, expected = getattr(outcome, name), getattr(cost, name)
            if told != expected:
                yield f"outcome.{name} is {told:,}, the architecture has {expected:,}"
        table = self.table(record)
        architecture, classes = _parsed(space, outcome.architecture), len(record.data.classes)
        expected_layers = (
            layers(space, architecture, classes) if table is None else network_layers(space.spec(architecture), classes)
        )
        if _rows(outcome.network) != _rows(tuple(vars(layer) for layer in expected_layers)):
            yield "outcome.network is not the network of the architecture"
        yield from _phase("outcome.cost", outcome.cost, unit)
        if outcome.cost.overshoot or outcome.cost.architectures_evaluated:
            yield "outcome.cost has overshoot or evaluated architectures, which a final training has not"
        if not outcome.latency_ms > 0:
            yield f"outcome.latency_ms is {outcome.latency_ms:g}"
        if table is not None:
            yield from _looked_up(record, outcome, table)
            if table.fingerprint == table_of(record):
                yield from _facts(record, table, space, self._costs(space, classes), architecture)
        elif outcome.trained:
            yield from _final(record, outcome, protocol, backbone=space.backbone is not None)


def _named(name: str) -> SearchSpace:
    """A space of the package or of an installed plug-in; a path in a record is never opened.

    Raises:
        UsageError: there is none of that name.
    """
    if not re.fullmatch(r"\w+", name):
        raise UsageError(f"{shown(name)} is no name of a space")
    return registry.get_space(name)


def _rows(network: tuple[Mapping[str, object], ...]) -> list[dict[str, object]]:
    """Layers as JSON has them: lists instead of tuples."""
    return [{key: list(value) if isinstance(value, tuple) else value for key, value in row.items()} for row in network]


def _parsed(space: SearchSpace, string: str) -> Architecture:
    """The architecture of a string.

    Raises:
        UsageError, ValueError: the space has none, or writes it otherwise.
    """
    architecture = space.parse(string)
    if str(architecture) != string:
        raise ValueError(f"the space writes it {architecture}")
    return architecture


def _space(record: Record, space: SearchSpace) -> Iterator[str]:
    told = record.space
    if told.name != space.name or told.fingerprint != f"{space.fingerprint}:{told.cap}":
        yield f"space.fingerprint is {shown(told.fingerprint)}, the space has {space.fingerprint}"
    elif told.cap in space.caps and told.cap_macs != space.caps[told.cap]:
        yield f"space.cap_macs is {told.cap_macs:,}, the cap {told.cap} of {space.name} is {space.caps[told.cap]:,}"
    elif told.cap not in space.caps and not re.fullmatch("[0-9]{1,19}", told.cap):
        yield f"space.cap is {shown(told.cap)}, {space.name} has {' and '.join(space.caps)}"


def _phase(where: str, cost: PhaseCost, unit: int) -> Iterator[str]:
    if cost.reference_trainings != cost.macs / unit:
        yield (
            f"{where}.reference_trainings is {cost.reference_trainings!r}, "
            f"{cost.macs:,} MACs are {cost.macs / unit!r} of them"
        )


def _search(record: Record, unit: int) -> Iterator[str]:
    yield from _phase("search", record.search, unit)
    for step in record.trajectory:
        if round(step.cost * unit) / unit != step.cost:
            yield f"trajectory: the cost of step {step.step} is {step.cost!r}, no whole number of MACs"
            return


def _final(record: Record, outcome: Outcome, protocol: Protocol, *, backbone: bool) -> Iterator[str]:
    """Compare the cost of the final phase with that of its trainings, validations and tests."""
    clips, count = record.data.clips, len(outcome.trained)
    train, val, test = (clips.get(split, 0) for split in ("train", "val", "test"))
    views = len(protocol.test_views)
    once = training_macs(outcome.macs, train, protocol.epochs, protocol)
    passes = val * protocol.epochs + test
    samples = protocol.epochs * clips_per_epoch(train, protocol) + passes
    macs, seen = count * (once + outcome.macs * views * passes), count * samples
    if backbone:  # the controls of the first network test it again, see `run.time_controls`
        windows = record.diagnostics.get("clip_length")
        tests = (len(windows) if isinstance(windows, list) else 0) + 1
        macs, seen = macs + tests * outcome.macs * views * test, seen + tests * test
    if outcome.cost.macs != macs:
        yield f"outcome.cost.macs is {outcome.cost.macs:,}, {count} trainings with their tests take {macs:,}"
    if outcome.cost.samples != seen:
        yield f"outcome.cost.samples is {outcome.cost.samples:,}, {count} trainings with their tests take {seen:,}"


def _looked_up(record: Record, outcome: Outcome, table: Table) -> Iterator[str]:
    """Compare the final phase of a search on a table with the table."""
    if table.fingerprint != table_of(record):
        yield f"protocol.fingerprint has the table {table_of(record)}, the table here is {table.fingerprint}"
        return
    if record.data.model_copy(update={"skipped": ()}) != table.about.data.model_copy(update={"skipped": ()}):
        yield f"data is not that of the table {table.about.stem}"
        return
    if outcome.architecture not in table:
        yield f"outcome.architecture {outcome.architecture} is not in the table {table.about.stem}"
        return
    trainings, slack = table.scoring(outcome.architecture), FITTED if isinstance(table, Surrogate) else 0.0
    if [one.seed for one in outcome.trained] != [one.seed for one in trainings] and outcome.trained:
        yield f"outcome.trained has {len(outcome.trained)} trainings, the table has {len(trainings)}"
    for number, (told, known) in enumerate(zip(outcome.trained, trainings, strict=False)):
        for name in ("seed", "test_top1", "test_top5", "test_mean_class", "test_loss"):
            if not _same(getattr(told, name), getattr(known, name), slack):
                mine, expected = getattr(told, name), getattr(known, name)
                yield f"outcome.trained.{number}.{name} is {mine!r}, the table has {expected!r}"
        curve = [row.get(key, math.nan) for row in told.curve for key in ("epoch", "train_loss", "val_top1")]
        columns = zip(known.train_loss, known.val_top1, strict=True)
        expected_curve = [value for e, (loss, top1) in enumerate(columns, 1) for value in (float(e), loss, top1)]
        if len(curve) != len(expected_curve) or not all(map(_same, curve, expected_curve, repeat(slack))):
            yield f"outcome.trained.{number}.curve is not that of the table"
        if told.confusion:
            yield f"outcome.trained.{number}.confusion is there, a table has none"
    latency = sum(one.latency_ms for one in trainings) / len(trainings)
    if not _same(outcome.latency_ms, latency, slack):
        yield f"outcome.latency_ms is {outcome.latency_ms!r}, the table has {latency!r}"
    macs = sum(one.training_macs for one in trainings) if outcome.trained else 0
    if outcome.cost.macs != macs:
        yield f"outcome.cost.macs is {outcome.cost.macs:,}, the table has {macs:,}"
    if outcome.cost.samples:
        yield f"outcome.cost.samples is {outcome.cost.samples:,}, a look-up has none"
    yield from _ranking(record, table, slack)
    cap = record.space.cap_macs
    for step in record.trajectory:
        regret = table.regret(step.incumbent, cap) if step.incumbent in table else math.nan
        logged = step.metrics.get("regret")
        if logged is None or math.isnan(logged) or not _same(logged, regret, slack):
            yield f"trajectory: the regret of step {step.step} is {logged}, the table gives {regret}"
            return


def _facts(record: Record, table: Table, space: SearchSpace, costs: Costs, found: Architecture) -> Iterator[str]:
    """Compare what a record says of the task and of its network with the table; see `table_facts`."""
    caps = Caps.parse(space, record.space.cap)
    if caps.latency_ms is not None:  # which networks it allows depends on the machine
        return
    slack = FITTED if isinstance(table, Surrogate) else 0.0
    expected = facts(table, space, caps, costs, found)
    for name in TABLE_FACTS:
        told = record.diagnostics.get(name)
        if told is not None and not _alike(told, expected.get(name), slack):
            yield f"diagnostics.{name} is not what the table gives"


def _alike(told: object, known: object, slack: float) -> bool:
    """Equal JSON values, numbers within a tolerance."""
    if isinstance(known, dict):
        same = isinstance(told, dict) and told.keys() == known.keys()
        return same and all(_alike(told[key], known[key], slack) for key in known)  # type: ignore[index]
    if isinstance(known, float) and isinstance(told, int | float):
        return _same(float(told), known, slack)
    return told == known


def _ranking(record: Record, table: Table, slack: float) -> Iterator[str]:
    """Compare the scores of the ranked architectures, where there are any, with their truth; see `rank_correlation`."""
    pairs = record.diagnostics.get("rank_pairs")
    if pairs is None:
        if "rank_tau" in record.diagnostics:
            yield "diagnostics.rank_tau is there without rank_pairs"
        return
    try:
        scores, truth = ([float(pair[i]) for pair in pairs] for i in (0, 1))
        tau = kendall_tau(scores, truth)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        yield "diagnostics.rank_pairs is no list of [score, top-1]"
        return
    cap = record.space.cap_macs
    known = [table.top1(one) for one in table.ranked(record.seed) if table.trainings(one)[0].macs <= cap]
    if len(truth) != len(known) or not all(map(_same, truth, known, repeat(slack))):
        yield "diagnostics.rank_pairs has other accuracies than the table"
    elif record.diagnostics.get("rank_tau") != (None if math.isnan(tau) else tau):
        yield f"diagnostics.rank_tau is {record.diagnostics.get('rank_tau')!r}, its pairs give {tau!r}"


def _same(first: float, second: float, slack: float = 0.0) -> bool:
    """Equal, or as good as equal with slack, where what is not finite is nan in a record."""
    return math.isclose(first, second, rel_tol=slack, abs_tol=slack) or (
        math.isnan(first) and not math.isfinite(second)
    )
