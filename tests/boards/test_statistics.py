import itertools
import math

import numpy as np
import pytest
import scikit_posthocs
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pvnas_bench.boards import statistics
from pvnas_bench.boards.statistics import hypothesis as hypothesis_tests
from pvnas_bench.boards.statistics import resampling

finite = st.floats(0, 1, allow_subnormal=False)
samples = st.lists(finite, min_size=1, max_size=12)


@given(samples)
def test_iqm_is_scipys_trimmed_mean(values: list[float]) -> None:
    assert statistics.iqm(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25))


def test_iqm_ignores_outliers() -> None:
    assert statistics.iqm([0.0, 0.4, 0.5, 0.6, 1.0]) == pytest.approx(0.5)
    assert statistics.iqm([0.1, 0.2, 0.9]) == pytest.approx(0.4)


def test_bootstrap_of_the_mean_is_near_the_exact_one() -> None:
    values = np.array([0.1, 0.35, 0.4, 0.47, 0.8])
    every = np.array(list(itertools.product(values, repeat=5))).mean(axis=1)  # all 5^5 resamples
    interval = statistics.bootstrap([values])
    assert interval.value == pytest.approx(values.mean())
    assert interval.low is not None and interval.high is not None
    assert (every <= interval.low).mean() > 0.015 and (every < interval.low).mean() < 0.035
    assert (every >= interval.high).mean() > 0.015 and (every > interval.high).mean() < 0.035


def test_bootstrap_of_the_iqm_is_near_scipys() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 12)
    theirs = scipy.stats.bootstrap(
        (values,),
        lambda v, axis: scipy.stats.trim_mean(v, 0.25, axis=axis),
        method="percentile",
        n_resamples=20000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = statistics.bootstrap([values], "iqm")
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_bootstrap_is_stratified() -> None:
    # Tasks that differ, runs that do not: resampling within tasks leaves nothing uncertain.
    interval = statistics.bootstrap([[0.2, 0.2, 0.2], [0.9, 0.9, 0.9]])
    assert (interval.low, interval.high) == pytest.approx((0.55, 0.55))
    assert statistics.bootstrap([[0.2, 0.3], [0.9]]) == statistics.Interval(pytest.approx(1.4 / 3), None, None)


def test_bootstrap_means_weigh_strata_by_their_runs() -> None:
    strata = [[0.0, 0.2, 0.4, 0.6], [0.9, 0.7]]
    interval = statistics.bootstrap(strata)
    assert interval.value == pytest.approx(np.mean([0.0, 0.2, 0.4, 0.6, 0.9, 0.7]))
    first = np.array(list(itertools.product(strata[0], repeat=4))).sum(axis=1)
    second = np.array(list(itertools.product(strata[1], repeat=2))).sum(axis=1)
    every = (first[:, None] + second[None, :]).ravel() / 6
    assert interval.low == pytest.approx(np.quantile(every, 0.025), abs=0.02)
    assert interval.high == pytest.approx(np.quantile(every, 0.975), abs=0.02)


@given(samples, st.sampled_from(["mean", "iqm"]))
def test_bootstrap_stays_within_the_data_and_repeats_itself(
    values: list[float], statistic: statistics.Statistic
) -> None:
    interval = statistics.bootstrap([values], statistic)
    assert interval == statistics.bootstrap([values], statistic)
    if len(values) == 1:
        assert interval.low is None and interval.high is None
        return
    assert interval.low is not None and interval.high is not None
    assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12


def test_percentile_intervals_cover_the_mean_as_often_as_they_should() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        interval = statistics.bootstrap([rng.normal(0.5, 0.1, 30)])
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= 0.5 <= interval.high
    assert 0.89 <= covered / 300 <= 0.98


def test_improvement_is_relative_to_the_control() -> None:
    gain = statistics.relative_improvement([0.6, 0.6], [0.5, 0.5, 0.5])
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2, 0.2))
    assert statistics.relative_improvement([0.6], [0.5, 0.5]).low is None
    spread = statistics.relative_improvement([0.5, 0.7], [0.4, 0.6])
    assert spread.low == pytest.approx(0.5 / 0.6 - 1) and spread.high == pytest.approx(0.7 / 0.4 - 1)
    with pytest.raises(ValueError, match="positive"):
        statistics.relative_improvement([0.6], [0.0])


def test_rank_intervals() -> None:
    apart = [[0.9, 0.91, 0.92], [0.5, 0.51, 0.52], [0.1, 0.11, 0.12]]
    assert statistics.rank_intervals(apart) == [(1, 1), (2, 2), (3, 3)]
    assert statistics.rank_intervals([[0.5, 0.5], [0.5, 0.5], [0.1, 0.1]]) == [(1, 2), (1, 2), (3, 3)]
    overlapping = statistics.rank_intervals([[0.4, 0.6, 0.8], [0.3, 0.6, 0.8], [0.0, 0.1, 0.05]])
    assert overlapping == [(1, 2), (1, 2), (3, 3)]
    assert statistics.rank_intervals([[0.9], [0.1, 0.2]]) == [None, (2, 2)]


@given(st.lists(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=5), min_size=1, max_size=6))
def test_rank_bounds_match_counting(columns: list[list[float]]) -> None:
    width = min(len(column) for column in columns)
    values = np.array([column[:width] for column in columns])
    best, worst = resampling._rank_bounds(values)
    for column in range(width):
        for row in range(len(values)):
            others = values[:, column]
            assert best[row, column] == 1 + sum(others > values[row, column])
            assert worst[row, column] == sum(others >= values[row, column])


def brute_wilcoxon(first: list[float], second: list[float]) -> float:
    """Wilcoxon p-value by definition: twice the share of sign assignments at least as extreme."""
    difference = np.array([a - b for a, b in zip(first, second, strict=True) if a != b])
    if not len(difference):
        return 1.0
    ranks = scipy.stats.rankdata(np.abs(difference))
    observed = ranks[difference > 0].sum()
    sums = np.array([np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(ranks))])
    return min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9))
def test_wilcoxon_with_ties_and_zeros_matches_enumeration(pairs: list[tuple[int, int]]) -> None:
    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert statistics.wilcoxon(first, second) == pytest.approx(brute_wilcoxon(first, second))


@pytest.mark.parametrize("size", [3, 5, 8, 15, 25])
def test_wilcoxon_matches_scipys_exact_test(size: int) -> None:
    rng = np.random.default_rng(size)
    first, second = rng.normal(0.5, 0.1, size), rng.normal(0.45, 0.1, size)
    assert statistics.wilcoxon(first, second) == pytest.approx(
        scipy.stats.wilcoxon(first, second, method="exact").pvalue
    )


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("ties", [False, True])
def test_wilcoxon_of_many_pairs_is_scipys_normal_test_and_near_the_exact_one(
    shift: float, ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    differences = rng.normal(shift, 1, 300)
    differences = np.round(4 * differences) if ties else differences
    normal = statistics.wilcoxon(differences, np.zeros(300))
    expected = scipy.stats.wilcoxon(differences, zero_method="wilcox", correction=True, method="approx").pvalue
    assert normal == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(hypothesis_tests, "MOST_PAIRS", 300)
    exact = statistics.wilcoxon(differences, np.zeros(300))
    assert math.log(normal) == pytest.approx(math.log(exact), abs=0.03, rel=0.02)


def test_the_smallest_p_value_is_attained_and_is_the_minimum() -> None:
    for pairs in range(1, 10):
        assert statistics.smallest_p(pairs) == pytest.approx(2 / 2**pairs)
        assert statistics.wilcoxon(np.arange(1, pairs + 1), np.zeros(pairs)) == pytest.approx(2 / 2**pairs)
    assert statistics.smallest_p(0) == 1.0


def test_five_pairs_can_never_be_significant_and_six_can() -> None:
    assert statistics.smallest_p(5) > 0.05 > statistics.smallest_p(6)
    assert statistics.pairs_needed(1) == 6
    assert statistics.pairs_needed(3) == 7  # 3 * 2 / 2^7 = 0.047
    assert statistics.pairs_needed(105) == 13  # 105 * 2 / 2^12 = 0.0513


@given(st.lists(finite, min_size=1, max_size=8))
def test_holm_is_monotone_and_between_the_raw_and_bonferroni(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    assert (adjusted >= np.array(p_values) - 1e-15).all()
    assert (adjusted <= np.minimum(1, np.array(p_values) * len(p_values)) + 1e-15).all()


def test_pairwise_matches_scikit_posthocs() -> None:
    rng = np.random.default_rng(5)
    table = rng.normal([0.5, 0.55, 0.7, 0.72], 0.05, (10, 4))
    ours, shared = statistics.pairwise([dict(enumerate(column)) for column in table.T.tolist()])
    theirs = scikit_posthocs.posthoc_wilcoxon(table.T.tolist(), p_adjust="holm", method="exact").to_numpy()
    off = ~np.eye(4, dtype=bool)
    assert ours[off] == pytest.approx(theirs[off])
    assert (shared[off] == 10).all()


def test_pairwise_uses_shared_blocks_only() -> None:
    first = dict.fromkeys(range(7), 0.9)
    second = {seed: 0.5 + seed / 100 for seed in range(3, 12)}
    adjusted, shared = statistics.pairwise([first, second])
    assert shared[0, 1] == 4
    assert adjusted[0, 1] == pytest.approx(2 / 2**4)


@settings(max_examples=50)
@given(
    arrays(np.float64, st.tuples(st.integers(3, 8), st.integers(3, 6)), elements=st.sampled_from([0.1, 0.2, 0.3, 0.4]))
)
def test_friedman_matches_scipy(table: np.ndarray) -> None:
    ours = statistics.friedman(table)
    assert ours.mean_ranks == pytest.approx(scipy.stats.rankdata(-table, axis=1).mean(axis=0))
    if all(len(set(row)) == 1 for row in table):
        assert ours.p == 1.0
        return
    theirs = scipy.stats.friedmanchisquare(*table.T)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_friedman_needs_blocks_and_entries() -> None:
    with pytest.raises(ValueError, match="two blocks and three entries"):
        statistics.friedman([[0.1, 0.2, 0.3]])


@given(st.lists(finite, min_size=1, max_size=20))
def test_ranks_match_scipy(values: list[float]) -> None:
    assert statistics.ranks(values) == pytest.approx(scipy.stats.rankdata(values))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=15))
def test_kendall_tau_matches_counting(pairs: list[tuple[int, int]]) -> None:
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in itertools.combinations(pairs, 2)]
    scale = math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs))
    expected = sum(x * y for x, y in signs) / scale if scale else math.nan
    assert statistics.kendall_tau(*zip(*pairs, strict=True)) == pytest.approx(expected, nan_ok=True)


def test_tie_groups_follow_the_best_of_each_group() -> None:
    p = np.ones((4, 4))
    assert statistics.tie_groups(p) == [1, 1, 1, 1]
    p[0, 2] = p[2, 0] = p[0, 3] = p[3, 0] = 0.01
    assert statistics.tie_groups(p) == [1, 1, 2, 2]
    p[2, 3] = p[3, 2] = 0.01
    assert statistics.tie_groups(p) == [1, 1, 2, 3]
    assert statistics.tie_groups(np.ones((0, 0))) == []


def test_cliques_are_maximal_runs_without_a_difference() -> None:
    p = np.ones((4, 4))
    p[0, 3] = p[3, 0] = 0.01
    assert statistics.cliques(p) == [(0, 2), (1, 3)]
    p[1, 3] = p[3, 1] = p[2, 3] = p[3, 2] = 0.01
    assert statistics.cliques(p) == [(0, 2)]
    assert statistics.cliques(np.zeros((3, 3))) == []


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=8).map(sorted),
    st.lists(st.floats(-1, 11), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_step_values_are_the_last_report_and_nothing_between(
    costs: list[float], grid: list[float], rng: object
) -> None:
    values = [float(i) for i in range(len(costs))]
    for at, value in zip(grid, statistics.step_values(costs, values, grid), strict=True):
        reported = [v for c, v in zip(costs, values, strict=True) if c <= at]
        assert math.isnan(value) if not reported else value == reported[-1]


def test_step_values_refuse_costs_that_fall() -> None:
    with pytest.raises(ValueError, match="ascend"):
        statistics.step_values([2, 1], [0.1, 0.2], [1])


def test_mean_band() -> None:
    curves = [[np.nan, 0.2, 0.4], [0.1, 0.4, 0.4]]
    mean, low, high = statistics.mean_band(curves)
    assert mean == pytest.approx([np.nan, 0.3, 0.4], nan_ok=True)
    assert low == pytest.approx([np.nan, 0.2, 0.4], nan_ok=True)
    assert high == pytest.approx([np.nan, 0.4, 0.4], nan_ok=True)
    assert np.isnan(statistics.mean_band(curves[1:])[1]).all()


def test_performance_profile_counts_runs_above() -> None:
    profile, low, high = statistics.performance_profile([[0.2, 0.4], [0.6, 0.8]], [0.0, 0.2, 0.5, 0.8])
    assert profile == pytest.approx([1, 0.75, 0.5, 0])
    assert low == pytest.approx([1, 0.5, 0.5, 0])
    assert high == pytest.approx([1, 1, 0.5, 0])
    assert np.isnan(statistics.performance_profile([[0.2]], [0.1])[1]).all()


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=10))
def test_nondominated_and_hypervolume_match_counting(points: list[tuple[int, int]]) -> None:
    macs, scores = [float(m) for m, _ in points], [s / 10 for _, s in points]
    kept = statistics.nondominated(macs, scores)
    for i, keep in enumerate(kept):
        dominated = any(
            macs[j] <= macs[i] and scores[j] >= scores[i] and (macs[j], scores[j]) != (macs[i], scores[i])
            for j in range(len(points))
        )
        assert keep == (not dominated)
    # Unit cells of the box of MACs 0..10 and score 0..1 whose worst corner some point dominates.
    cells = sum(any(m <= x and s >= y for m, s in points) for x in range(10) for y in range(1, 11))
    assert statistics.hypervolume(macs, scores, 10.0, 0.0) == pytest.approx(cells / 100)


def test_hypervolume_of_nothing_better_than_the_reference_is_zero() -> None:
    assert statistics.hypervolume([], [], 10, 0.1) == 0
    assert statistics.hypervolume([11], [0.9], 10, 0.1) == 0
    assert statistics.hypervolume([5], [0.05], 10, 0.1) == 0
    with pytest.raises(ValueError, match="reference point"):
        statistics.hypervolume([1], [0.5], 10, 1.0)


def test_attainment_surface_of_two_runs() -> None:
    runs = [([1.0, 3.0], [0.3, 0.8]), ([2.0], [0.6])]
    best = statistics.attainment(runs, 50)  # attained by at least one of two
    assert (best[0].tolist(), best[1].tolist()) == ([1.0, 2.0, 3.0], [0.3, 0.6, 0.8])
    worst = statistics.attainment(runs, 100)  # by both
    assert (worst[0].tolist(), worst[1].tolist()) == ([2.0, 3.0], [0.3, 0.6])


@pytest.mark.parametrize("broken", [[[]], [[0.1, math.nan]], []])
def test_scores_must_exist_and_be_finite(broken: list[list[float]]) -> None:
    for function in (statistics.bootstrap, statistics.rank_intervals):
        with pytest.raises(ValueError, match=r"finite|at least one run"):
            function(broken)
    with pytest.raises(ValueError, match="finite"):
        statistics.wilcoxon([math.nan], [0.0])


def brute_posterior(differences: list[float], region: float) -> tuple[float, float, float]:
    """The Bayesian signed-rank test by its definition, over all pairs of pairs, with draws of its own."""
    values = np.array([0.0, *differences])
    means = (values[:, None] + values[None, :]) / 2
    draws = np.random.default_rng(1).dirichlet([0.5] + [1.0] * len(differences), 20_000)
    shares = []
    for inside in (means < -region, np.abs(means) <= region, means > region):
        shares.append(np.einsum("si,sj,ij->s", draws, draws, inside.astype(float)))
    won = np.argmax(shares, axis=0)
    return tuple(np.bincount(won, minlength=3) / len(draws))


@pytest.mark.parametrize(("pairs", "shift", "region"), [(5, 0.0, 0.02), (10, 0.03, 0.02), (20, -0.02, 0.01), (8, 0, 0)])
def test_the_bayesian_signed_rank_test_is_its_definition(pairs: int, shift: float, region: float) -> None:
    rng = np.random.default_rng(pairs)
    first, second = rng.normal(0.5 + shift, 0.05, pairs), rng.normal(0.5, 0.05, pairs)
    found = statistics.signed_rank_posterior(first, second, region)
    assert sum(found) == pytest.approx(1)
    assert found == pytest.approx(brute_posterior((first - second).tolist(), region), abs=0.03)
    again = statistics.signed_rank_posterior(second, first, region)
    assert (again.better, again.equal, again.worse) == pytest.approx(found, abs=0.03)


def test_the_answers_of_the_bayesian_test() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(0.5, 0.01, 20)
    answers = {}
    for shift in (-0.2, 0.0, 0.2, 0.03):
        answers[shift] = statistics.signed_rank_posterior(scores + shift, rng.permutation(scores), 0.03).answer
    assert answers == {-0.2: "worse", 0.0: "practically equal", 0.2: "better", 0.03: None}


@pytest.mark.parametrize(("first", "second", "region"), [([], [], 0.1), ([0.1], [0.1, 0.2], 0.1), ([0.1], [0.2], -1)])
def test_the_bayesian_test_needs_pairs_and_a_region(first: list[float], second: list[float], region: float) -> None:
    with pytest.raises(ValueError, match=r"pairs of scores|not negative"):
        statistics.signed_rank_posterior(first, second, region)
