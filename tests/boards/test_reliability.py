"""Intraclass correlations, and the seeds that a comparison needs."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, ttest_rel
from statsmodels.stats.power import TTestPower

from pvnas_bench.boards.statistics import power, reliability, seeds_needed, tau_between_halves, tau_between_seeds

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Six targets rated by four judges: table 2 of Shrout & Fleiss (1979)."""


def test_intraclass_correlations_are_those_of_the_publication() -> None:
    found = reliability(SHROUT_FLEISS)
    assert found.icc_oneway == pytest.approx(0.17, abs=0.005)
    assert found.icc == pytest.approx(0.71, abs=0.005)
    assert found.of_mean(4) == pytest.approx(0.91, abs=0.005)
    assert (found.icc_low, found.icc_high) == pytest.approx((0.34, 0.95), abs=0.005)
    assert found.f == pytest.approx(11.02, abs=0.01)  # 11.24 / 1.02, of table 3
    assert found.noise**2 == pytest.approx(1.02, abs=0.005)


def test_planted_deviations_are_recovered() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.05, (4000, 1)) + rng.normal(0, 0.02, (4000, 6)) + rng.normal(0, 0.03, (1, 6))
    found = reliability(scores)
    assert found.spread == pytest.approx(0.05, rel=0.03)
    assert found.noise == pytest.approx(0.02, rel=0.03)
    assert found.icc == pytest.approx(0.05**2 / (0.05**2 + 0.02**2), abs=0.01)
    assert found.icc_low < found.icc < found.icc_high
    assert found.p < 1e-6
    shifts = scores.mean(0) - scores.mean()
    assert found.seed_effect == pytest.approx(shifts.std(ddof=1), rel=0.01)


def test_noise_alone_has_no_reliability_and_its_p_values_are_uniform() -> None:
    rng = np.random.default_rng(1)
    found = [reliability(rng.normal(size=(8, 4)) + rng.normal(size=(1, 4))) for _ in range(2000)]
    assert np.mean([one.icc for one in found]) == pytest.approx(0, abs=0.02)
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.015)
    covered = [one.icc_low <= 0 <= one.icc_high for one in found]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_scores_that_seeds_do_not_change_are_perfectly_reliable() -> None:
    found = reliability([[0.1, 0.1], [0.5, 0.5]])
    assert (found.noise, found.icc, found.p) == (0, 1, 0)
    assert reliability(np.full((3, 3), 0.5)).p == 1.0


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, math.nan], [0.0, 1.0]]])
def test_tables_without_two_of_each_are_refused(scores: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two entries and two seeds"):
        reliability(scores)


@pytest.mark.parametrize(("difference", "noise"), [(0.03, 0.026), (0.05, 0.026), (0.1, 0.099), (0.05, 0.149)])
def test_the_seeds_needed_are_those_of_another_library(difference: float, noise: float) -> None:
    effect = difference / (noise * math.sqrt(2))
    expected = TTestPower().solve_power(effect, power=0.8, alpha=0.05, alternative="two-sided")
    needed = seeds_needed(difference, noise)
    assert needed == max(math.ceil(expected), 2)
    assert power(needed, difference, noise) >= 0.8
    assert needed == 2 or power(needed - 1, difference, noise) < 0.8


def test_power_is_the_share_of_simulated_comparisons_that_are_significant() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.normal(0.0, 1.0, (4000, 9)), rng.normal(1.2, 1.0, (4000, 9))
    significant = ttest_rel(one, other, axis=1).pvalue < 0.05
    assert power(9, 1.2, 1.0) == pytest.approx(significant.mean(), abs=0.03)


def test_seeds_needed_without_noise_and_beyond_reason() -> None:
    assert seeds_needed(0.01, 0.0) == 2
    assert seeds_needed(1e-6, 1.0) is None


def test_tau_between_seeds_is_the_mean_over_pairs() -> None:
    scores = np.random.default_rng(3).random((12, 3))
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([kendalltau(scores[:, i], scores[:, j]).statistic for i, j in pairs])
    assert tau_between_seeds(scores) == pytest.approx(expected)
    scores[0, 2] = math.nan
    assert math.isfinite(tau_between_seeds(scores))
    assert math.isnan(tau_between_seeds(scores[:, :1]))


def test_tau_between_halves_is_one_for_reliable_scores_and_zero_for_noise() -> None:
    rng = np.random.default_rng(4)
    order = np.arange(20.0)[:, None]
    assert tau_between_halves(order + 1e-3 * rng.normal(size=(20, 5))) == pytest.approx(1)
    assert abs(tau_between_halves(rng.normal(size=(200, 6)))) < 0.1
    assert math.isnan(tau_between_halves(order))
