"""Scores and trajectory of a record, by arithmetic. Nothing here needs torch or the clips."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pvnas_bench.records import PhaseCost, Record, Trained
from pvnas_bench.submission.findings import shown

ROUNDING = 1e-6
"""Accuracies are float32."""
MOST_OVERSHOOT = 0.01
"""Largest overshoot, as a fraction of the budget: the leaderboard notes larger ones."""
TOP5 = 5


def table_of(record: Record) -> str:
    """Fingerprint of the table that a run looked up, empty if it trained; see `Setup.protocol_fingerprint`."""
    parts = record.protocol.fingerprint.split(":")
    return parts[2] if len(parts) == 3 else ""


def scores(record: Record) -> Iterator[str]:
    """Disagreements in the numbers of a record."""
    yield from _seconds("search", record.search)
    yield from _trajectory(record)
    if record.outcome is None:
        return
    yield from _seconds("outcome.cost", record.outcome.cost)
    if record.outcome.trained and not table_of(record):
        yield from _trainings(record, record.outcome.trained)


def _seconds(where: str, cost: PhaseCost) -> Iterator[str]:
    total = math.fsum(cost.seconds.values())
    if abs(total - cost.wall_seconds) > ROUNDING * (1 + cost.wall_seconds):
        yield f"{where}.wall_seconds is {cost.wall_seconds:.6g}, its activities are {total:.6g} together"


def _trajectory(record: Record) -> Iterator[str]:
    steps, search, budget = record.trajectory, record.search, record.protocol.budget
    if search.overshoot != max(search.reference_trainings - budget, 0.0):
        spent = search.reference_trainings
        yield f"search.overshoot is {search.overshoot:g}, of {spent:g} spent and {budget:g} allowed"
    if search.reference_trainings > budget * (1 + MOST_OVERSHOOT):
        yield f"search.reference_trainings is {search.reference_trainings:g}, the budget is {budget:g}"
    if record.status != "ok":
        return
    if not steps:
        yield "trajectory is empty"
        return
    if [step.step for step in steps] != list(range(1, len(steps) + 1)):
        yield "trajectory: the steps are not 1, 2, 3, …"
    for name in ("cost", "wall"):
        values = [getattr(step, name) for step in steps]
        falls = next((i for i, (a, b) in enumerate(pairwise(values), 1) if b < a), None)
        if falls is not None:
            yield f"trajectory: {name} falls at step {steps[falls].step}"
    last, outcome = steps[-1], record.outcome
    if last.cost != search.reference_trainings:
        spent = search.reference_trainings
        yield f"trajectory ends at a cost of {last.cost!r}, search.reference_trainings is {spent!r}"
    if last.wall > search.wall_seconds + ROUNDING:
        yield f"trajectory ends after {last.wall:g} s, search.wall_seconds is {search.wall_seconds:g}"
    cap = record.space.cap_macs
    above = next((step for step in steps if step.macs > cap), None)
    if above is not None:
        yield f"trajectory: the incumbent of step {above.step} has {above.macs:,} MACs, the cap is {cap:,}"
    if outcome is not None and outcome.architecture != last.incumbent:
        yield f"outcome.architecture is {shown(outcome.architecture)}, the search ended with {shown(last.incumbent)}"


def _trainings(record: Record, trained: Sequence[Trained]) -> Iterator[str]:
    settings = record.protocol.settings
    seeds = [one.seed for one in trained]
    expected = settings.get("retrainings")
    if seeds != list(range(len(seeds))) or len(seeds) != expected:
        yield f"outcome.trained has the seeds {shown(seeds)}, the protocol has {expected} retrainings from seed 0"
    rows = {tuple(map(sum, one.confusion)) for one in trained}
    if len(rows) > 1:
        yield "outcome.trained: the test clips of a class differ between retrainings"
    for number, one in enumerate(trained):
        for message in _training(record, one):
            yield f"outcome.trained.{number}.{message}"


def _training(record: Record, one: Trained) -> Iterator[str]:
    clips, classes = record.data.clips, len(record.data.classes)
    tested = clips.get("test", 0)
    if len(one.confusion) != classes or any(len(row) != classes for row in one.confusion):
        yield f"confusion is not {classes} × {classes}"
        return
    totals = [sum(row) for row in one.confusion]
    hits = [row[label] for label, row in enumerate(one.confusion)]
    if sum(totals) != tested or not tested:
        yield f"confusion has {sum(totals)} clips, the test split has {tested}"
        return
    if not _near(one.test_top1, sum(hits) / tested):
        yield f"test_top1 is {one.test_top1:.6g}, confusion has {sum(hits)} of {tested} clips right"
    present = [hit / total for hit, total in zip(hits, totals, strict=True) if total]
    if not _near(one.test_mean_class, math.fsum(present) / len(present)):
        yield f"test_mean_class is {one.test_mean_class:.6g}, confusion gives {math.fsum(present) / len(present):.6g}"
    if not _near(one.test_top5, round(one.test_top5 * tested) / tested if one.test_top5 >= 0 else math.nan):
        yield f"test_top5 is {one.test_top5:.6g}, no multiple of 1 / {tested}"
    least = 1.0 if classes <= TOP5 else one.test_top1
    if one.test_top5 < least - ROUNDING:
        yield f"test_top5 is {one.test_top5:.6g}, less than {least:.6g}"
    # A clip that is not the most probable class has a probability of 1/2 at most.
    floor = (1 - sum(hits) / tested) * math.log(2)
    if not one.test_loss >= floor * (1 - ROUNDING):
        yield f"test_loss is {one.test_loss:.6g}, {tested - sum(hits)} wrong clips cost {floor:.6g} at least"
    yield from _curve(record, one)


def _curve(record: Record, one: Trained) -> Iterator[str]:
    epochs = record.protocol.settings.get("epochs")
    validated = record.data.clips.get("val", 0)
    if len(one.curve) != epochs or any(row.get("epoch") != epoch for epoch, row in enumerate(one.curve, 1)):
        yield f"curve does not have the epochs 1 to {epochs}"
    for row in one.curve:
        if ("val_top1" in row) != bool(validated) or "train_loss" not in row:
            yield "curve lacks train_loss, or has val_top1 without a val split"
            return
        top1 = row.get("val_top1", 0.0)
        if validated and not _near(top1, round(top1 * validated) / validated if top1 >= 0 else math.nan):
            yield f"curve: val_top1 is {top1:.6g}, no multiple of 1 / {validated}"
            return


def _near(first: float, second: float) -> bool:
    """Equal up to the rounding of float32; nan is near nothing."""
    return abs(first - second) <= ROUNDING
