"""Real against null searches: the test, the agreement of architectures, the verdicts, the page."""

import itertools
import json
import math

import numpy as np
import pytest
from record_factory import record
from scipy import stats
from tiny_space import SPACE

from pvnas_bench.boards import learnt, statistics
from pvnas_bench.boards.learnt_page import to_json, to_markdown
from pvnas_bench.records import Record


@pytest.mark.parametrize("seed", range(8))
def test_mann_whitney_equals_the_count_of_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(6, size=9).astype(float) + (rng.random(9) if seed % 2 else 0)
    n = int(rng.integers(2, 6))
    ranks = stats.rankdata(scores)
    sums = [ranks[list(chosen)].sum() for chosen in itertools.combinations(range(9), n)]
    expected = np.mean([s >= ranks[:n].sum() - 1e-9 for s in sums])
    assert statistics.mann_whitney(scores[:n], scores[n:]) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "method"), [(12, "exact"), (80, "asymptotic")])
def test_mann_whitney_equals_scipys(n: int, method: str) -> None:
    rng = np.random.default_rng(n)
    one, other = rng.random(n) + 0.1, rng.random(n)
    theirs = stats.mannwhitneyu(one, other, alternative="greater", method=method)
    assert statistics.mann_whitney(one, other) == pytest.approx(theirs.pvalue)
    if method == "asymptotic":
        one, other = np.round(one, 1), np.round(other, 1)
        theirs = stats.mannwhitneyu(one, other, alternative="greater", method=method)
        assert statistics.mann_whitney(one, other) == pytest.approx(theirs.pvalue)


def test_mann_whitney_of_equal_or_missing_scores_shows_nothing() -> None:
    assert statistics.mann_whitney([0.5, 0.5], [0.5]) == statistics.mann_whitney([], [0.5]) == 1.0
    with pytest.raises(ValueError, match="finite"):
        statistics.mann_whitney([math.nan], [0.5])


def test_distances_are_those_of_the_space() -> None:
    rng = np.random.default_rng(0)
    reals, nulls = ([SPACE.sample(rng) for _ in range(n)] for n in (7, 5))
    found = learnt.agreement(list(map(str, reals)), list(map(str, nulls)))
    within = [np.mean([SPACE.hamming(a, b) for a, b in itertools.combinations(group, 2)]) for group in (reals, nulls)]
    between = np.mean([SPACE.hamming(a, b) for a in reals for b in nulls])
    assert (found.reals, found.nulls, found.between) == pytest.approx((*within, between))
    assert found.decisions == len(SPACE.decisions)
    alone = learnt.agreement([str(reals[0])], list(map(str, nulls)))
    assert alone.reals is None and alone.nulls is not None


def test_the_power_is_that_of_simulated_experiments() -> None:
    rng, n, level = np.random.default_rng(1), 20, 0.05
    shift, deviation = learnt.EFFECT, 0.08
    reals, nulls = rng.normal(0.5, deviation, (400, n)), rng.normal(0.5, deviation, (400, n))
    power = np.mean([learnt.sensitivity(a, b, level)[0] for a, b in zip(reals, nulls, strict=True)])
    rejected = np.mean([statistics.mann_whitney(a + shift, b) < level for a, b in zip(reals, nulls, strict=True)])
    assert power == pytest.approx(rejected, abs=0.06)
    detectable = np.mean([learnt.sensitivity(a, b, level)[1] for a, b in zip(reals, nulls, strict=True)])
    found = np.mean([statistics.mann_whitney(a + detectable, b) < level for a, b in zip(reals, nulls, strict=True)])
    assert found == pytest.approx(learnt.POWER, abs=0.06)


def test_too_few_seeds_have_no_power() -> None:
    assert learnt.sensitivity(np.array([0.9, 0.8]), np.array([0.1, 0.2]), 0.05) == (0.0, math.inf)


ARCHITECTURES = [str(architecture) for architecture in itertools.islice(SPACE.enumerate(), 40)]


def runs(
    entry: str, reals: list[float], nulls: list[float], learnt_one: str | None = None, **options: object
) -> list[Record]:
    """Real and null runs with these scores, one per seed; the real ones end with one architecture if it is given."""
    rng = np.random.default_rng(len(entry))
    made = []
    for null, scores in ((False, reals), (True, nulls)):
        for seed, top1 in enumerate(scores):
            one: Record = record(entry, seed, top1, null=null, **options)
            assert one.outcome is not None
            name = learnt_one if learnt_one and not null else ARCHITECTURES[int(rng.integers(len(ARCHITECTURES)))]
            made.append(one.model_copy(update={"outcome": one.outcome.model_copy(update={"architecture": name})}))
    return made


def scores(rng: np.random.Generator, mean: float, count: int = 15) -> list[float]:
    return np.clip(rng.normal(mean, 0.06, count), 0, 1).tolist()


def test_a_learner_is_shown_and_a_search_by_chance_is_not_at_the_declared_rates() -> None:
    wrong, shown, experiments, strategies = 0, 0, 150, 3
    for experiment in range(experiments):
        rng = np.random.default_rng(experiment)
        records = runs("learner", scores(rng, 0.6), scores(rng, 0.5))
        for number in range(strategies):
            records += runs(f"idle{number}", scores(rng, 0.5), scores(rng, 0.5))
        (board,) = learnt.compare(records)
        verdicts = {row.entry: row.verdict for row in board.rows}
        shown += verdicts.pop("learner") == "learnt"
        wrong += "learnt" in verdicts.values()
    assert wrong / experiments <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / experiments)  # family-wise
    assert shown / experiments > 0.9


def test_a_null_better_than_its_real_searches_is_not_learning() -> None:
    rng = np.random.default_rng(0)
    (board,) = learnt.compare(runs("harmful", scores(rng, 0.4), scores(rng, 0.6)))
    (row,) = board.rows
    assert row.verdict == "not shown" and row.p > 0.99 and row.effect < 0 and row.superiority < 0.1


def test_a_row_has_the_numbers_of_its_runs() -> None:
    records = runs("alpha", [0.5, 0.7, 0.6], [0.1, 0.2, 0.3], ARCHITECTURES[0])
    records += [record("random_sampling", seed, 0.4, role="random_control") for seed in range(3)]
    records.append(record("alpha", 9, status="failed"))
    records.append(record("alone", 0, 0.5))
    (board,) = learnt.compare(records)
    (row,) = board.rows
    assert (row.entry, row.reals, row.nulls, row.left_out) == ("alpha", 3, 3, 1)
    assert (row.real_mean, row.null_mean, row.effect) == pytest.approx((0.6, 0.2, 0.4))
    assert row.p == row.adjusted == pytest.approx(1 / 20) and row.verdict == "not shown"
    assert row.power == 0.0 and math.isinf(row.detectable), "three against three reach p = 0.05 at best"
    assert row.superiority == 1.0
    assert row.agreement.reals == 0.0 and row.agreement.between > 0
    assert row.series["alpha_entropy"] == pytest.approx((0.675, 0.675))
    assert board.control == pytest.approx(0.4) and board.incomplete == ("alone",)


def test_boards_are_apart_and_those_without_nulls_left_out() -> None:
    records = runs("alpha", [0.5, 0.6], [0.4, 0.3]) + runs("alpha", [0.5, 0.6], [0.4, 0.3], budget=8.0)
    records.append(record("beta", 0, 0.5, data="d" * 64, data_name="words"))
    assert [(board.budget, len(board.rows)) for board in learnt.compare(records)] == [(4.0, 1), (8.0, 1)]


def test_a_repeated_record_counts_once_and_seeds_are_averaged() -> None:
    records = runs("alpha", [0.5, 0.7], [0.3, 0.4])
    (once,), (twice,) = learnt.compare(records), learnt.compare(records * 2)
    assert once == twice


def test_the_page_states_verdicts_numbers_and_power() -> None:
    rng = np.random.default_rng(3)
    records = runs("learner", scores(rng, 0.7), scores(rng, 0.5)) + runs("idle[k=1]", scores(rng, 0.5), [0.5, 0.51])
    boards = learnt.compare(records)
    page = to_markdown(boards)
    assert "| learner | **learnt** | 15 / 15 |" in page
    assert "| idle\\[k=1\\] | not shown | 15 / 2 |" in page
    (told,) = json.loads(to_json(boards))
    assert [row["verdict"] for row in told["rows"]] == ["not shown", "learnt"]
    idle = boards[0].rows[0]
    assert f"| {100 * idle.power:.0f} % | {100 * idle.detectable:.1f} |" in page
    few = to_json(learnt.compare(runs("alpha", [0.5], [0.4])))
    assert json.loads(few)[0]["rows"][0]["detectable"] is None
