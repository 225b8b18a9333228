"""Metrics of claims: closed forms on made-up records and tables."""

from typing import Any

import made_up
import pytest
import record_factory
from made_claims import claim

from pvnas_bench import registry
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.claims import measure
from pvnas_bench.claims.metrics import (
    CostAtAccuracy,
    CostToQuality,
    Diagnostic,
    DiagnosticRatio,
    Hypervolume,
    Missing,
    RankTau,
    Regret,
    SearchCost,
    Top1,
    Value,
    reached,
)
from pvnas_bench.records import Record, Step
from pvnas_bench.table import Table

SPACE = registry.get_space("st_micro")


@pytest.fixture(scope="module")
def table() -> Table:
    content = made_up.content(SPACE, seeds=2, sample=40)
    assert content.about is not None
    return Table(content.about, content.sessions, content.trainings, SPACE)


def run(regrets: list[float] | None = None, samples: list[float] | None = None, **other: Any) -> Record:
    """A record whose steps cost one reference training and two seconds each."""
    made = record_factory.record(**other)
    steps = []
    for number, regret in enumerate(regrets or []):
        metrics = {"regret": regret} | ({"total_samples": samples[number]} if samples and number < len(samples) else {})
        steps.append(Step(number + 1, number + 1.0, 2 * (number + 1.0), "a", 1, metrics))
    return made.model_copy(update={"trajectory": tuple(steps)}) if steps else made


def found(record: Record, architecture: str, front: tuple[str, ...] = ()) -> Record:
    """The record with other networks; its test accuracy stays."""
    assert record.outcome is not None
    return record.model_copy(
        update={"outcome": record.outcome.model_copy(update={"architecture": architecture, "front": front})}
    )


def test_top1_is_the_mean_over_retrainings() -> None:
    assert Top1(name="top1")(run(top1=0.4, retrainings=2), None, None) == Value(0.4)
    with pytest.raises(Missing):
        Top1(name="top1")(run(status="failed"), None, None)


def test_regret_at_a_cost_is_that_of_the_last_step_before_it() -> None:
    made = run([0.4, 0.3, 0.2, 0.25])
    assert [Regret(name="regret", at=at)(made, None, None).value for at in (0.5, 1.0, 2.9, 3.0, 9.0)] == [
        0.4,
        0.4,
        0.3,
        0.2,
        0.25,
    ]
    assert Regret(name="regret")(made, None, None).value == 0.25
    with pytest.raises(Missing, match="not on a table"):
        Regret(name="regret")(run(), None, None)


@pytest.mark.parametrize(
    ("regrets", "index"),
    [([0.3, 0.1, 0.1], 1), ([0.1, 0.3, 0.1], 2), ([0.1, 0.1, 0.3], None), ([0.1], 0), ([float("nan")], None)],
)
def test_a_quality_is_reached_where_it_stays(regrets: list[float], index: int | None) -> None:
    assert reached(regrets, 0.1) == index


def test_cost_to_quality_in_each_unit_and_censored_at_the_whole_search() -> None:
    made = run([0.4, 0.05, 0.2, 0.1], [20.0, 60.0, 280.0])

    def cost(regret: float, per: str) -> Value:
        return CostToQuality(name="cost_to_quality", regret=regret, per=per)(made, None, None)  # type: ignore[arg-type]

    assert (cost(0.1, "cost"), cost(0.1, "seconds")) == (Value(4.0), Value(8.0))
    assert (cost(0.2, "cost"), cost(0.2, "samples")) == (Value(2.0), Value(60.0))
    assert (cost(0.01, "cost"), cost(0.01, "samples")) == (Value(4.0, True), Value(280.0, True))
    assert CostToQuality.ratio and CostToQuality.lower
    with pytest.raises(Missing, match="no total_samples"):
        CostToQuality(name="cost_to_quality", regret=0.1, per="samples")(run([0.1]), None, None)


def test_resources_of_the_search() -> None:
    made = run()
    assert SearchCost(name="search_cost", of="cpu_seconds")(made, None, None) == Value(30.5)
    assert SearchCost(name="search_cost", of="peak_memory_bytes")(made, None, None) == Value(600 * 2**20)
    assert SearchCost(name="search_cost", of="reference_trainings")(made, None, None) == Value(4.0)


def test_diagnostics_by_name_and_as_ratio() -> None:
    made = run(diagnostics={"distinct_derived": 3, "seconds": {"validation": 2.0, "score": 0.5}, "word": "no"})
    assert Diagnostic(name="diagnostic", key="distinct_derived")(made, None, None) == Value(3.0)
    ratio = DiagnosticRatio(name="diagnostic_ratio", of="seconds.validation", over="seconds.score")
    assert ratio(made, None, None) == Value(4.0)
    for key in ("word", "seconds", "seconds.none", "none"):
        with pytest.raises(Missing, match=key):
            Diagnostic(name="diagnostic", key=key)(made, None, None)


def test_rank_tau_less_that_of_the_parameter_count(table: Table) -> None:
    made = run(diagnostics={"rank_tau": 0.5})
    assert RankTau(name="rank_tau")(made, table, None) == Value(0.5)
    truth = [table.top1(a) for a in table.architectures]
    parameters = [table.trainings(a)[0].parameters for a in table.architectures]
    less = RankTau(name="rank_tau", beyond="parameters")(made, table, None)
    assert less.value == pytest.approx(0.5 - kendall_tau(parameters, truth))


def test_rank_tau_beyond_macs_counts_the_networks_under_the_cap(table: Table) -> None:
    macs = sorted(table.trainings(a)[0].macs for a in table.architectures)
    made = run(diagnostics={"rank_tau": 0.5}, cap_macs=macs[20])
    under = [a for a in table.architectures if table.trainings(a)[0].macs <= macs[20]]
    tau = kendall_tau([table.trainings(a)[0].macs for a in under], [table.top1(a) for a in under])
    assert RankTau(name="rank_tau", beyond="macs")(made, table, None).value == pytest.approx(0.5 - tau)


def test_hypervolume_is_the_area_that_the_true_front_dominates(table: Table) -> None:
    """By counting cells of a fine grid; chance is 1/4, the reference cost 1.1 times the cap."""
    names = table.architectures[:3]
    made = found(run(macs=1_000_000, cap_macs=2_000_000), names[0], names[1:])
    points = [(table.trainings(a)[0].macs / 2_200_000, (table.top1(a) - 0.25) / 0.75) for a in names]
    cells = [((i + 0.5) / 400, (j + 0.5) / 400) for i in range(400) for j in range(400)]
    area = sum(any(c >= x and q <= y for x, y in points) for c, q in cells) / 400**2
    assert Hypervolume(name="hypervolume")(made, table, None).value == pytest.approx(area, abs=0.005)


def test_hypervolume_without_a_table_is_of_the_final_network_alone() -> None:
    made = found(run(top1=0.625, macs=11_000_000, cap_macs=20_000_000), "x", ("y", "z"))
    assert Hypervolume(name="hypervolume")(made, None, None).value == pytest.approx(0.5 * 0.5)


def test_cost_at_accuracy_is_of_the_cheapest_network_as_accurate_as_the_other(table: Table) -> None:
    by_accuracy = sorted(table.architectures, key=table.top1)
    worst, middle, best = by_accuracy[0], by_accuracy[20], by_accuracy[-1]
    metric = CostAtAccuracy(name="cost_at_accuracy")
    other = found(run(top1=table.top1(middle), macs=777), middle)
    macs = {a: float(table.trainings(a)[0].macs) for a in table.architectures}
    assert metric(other, table, None) == Value(777.0)
    assert metric(found(run(), worst, (middle, best)), table, other) == Value(min(macs[middle], macs[best]))
    assert metric(found(run(), worst), table, other) == Value(max(macs.values()), True)


def test_cost_at_accuracy_without_a_table_is_censored_at_the_cap() -> None:
    metric = CostAtAccuracy(name="cost_at_accuracy")
    assert metric(run(top1=0.6, macs=5), None, run(top1=0.5)) == Value(5.0)
    assert metric(run(top1=0.4, macs=5, cap_macs=9), None, run(top1=0.5)) == Value(9.0, True)


def test_runs_that_are_missing_failed_or_unmeasured_are_named() -> None:
    asked = claim(seeds=4)
    alpha = {seed: run(entry="alpha", seed=seed, top1=0.5) for seed in (0, 1, 2, 3)}
    beta = {0: run(entry="beta", top1=0.4), 1: run(entry="beta", seed=1, status="failed")}
    measured = measure(asked, {"alpha": alpha, "beta": beta}, None)
    (test,) = measured.tests
    assert [(pair.seed, pair.value, pair.against) for pair in test.pairs] == [(0, 0.5, 0.4)]
    assert test.missing == (
        "beta: the run ended with status failed (seeds 1)",
        "beta has not run (seeds 2, 3)",
    )
    assert [(one.entry, one.runs) for one in measured.entries] == [("alpha", 4), ("beta", 2)]


def test_hours_leave_out_what_was_looked_up() -> None:
    made = run()
    assert made.outcome is not None
    search = made.search.model_copy(update={"cpu_seconds": 100.0, "seconds": {"table": 60.0}})
    made = made.model_copy(update={"search": search})
    measured = measure(claim(), {"alpha": {0: made}}, None)
    assert measured.entries[0].cpu_seconds == pytest.approx(40.0 + made.outcome.cost.cpu_seconds)
