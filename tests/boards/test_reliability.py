"""Intraclass correlations, the seeds that a comparison needs, and the reports of a protocol."""

import math
from pathlib import Path

import made_up
import numpy as np
import pytest
from scipy.stats import kendalltau, ttest_rel
from statsmodels.stats.power import TTestPower

from pvnas_bench import registry
from pvnas_bench.boards import reliability as protocols
from pvnas_bench.boards.statistics import power, reliability, seeds_needed, tau_between_halves, tau_between_seeds
from pvnas_bench.errors import UsageError
from pvnas_bench.table import Table

SPACE = registry.get_space("st_micro")
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


@pytest.mark.parametrize("scores", [[[3, 2, 1], [1, 3, 2], [2, 1, 3]], [[4, 2], [2, 4], [3, 3]]])
def test_a_mean_of_scores_that_share_nothing_is_not_reliable(scores: list[list[int]]) -> None:
    found = reliability(scores)  # equal means of the entries: the lowest intraclass correlation there is
    assert found.icc == pytest.approx(-1 / (len(scores[0]) - 1))
    assert found.of_mean(3) == 0


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


@pytest.mark.parametrize("seeds", [2, 5, 10, 30, 100])
def test_power_is_a_number_and_rises_for_effects_far_above_the_noise(seeds: int) -> None:
    """SciPy's non-central t is nan at some of them, in either tail."""
    powers = [power(seeds, difference, 1.0) for difference in np.geomspace(0.1, 1000, 400)]
    assert np.isfinite(powers).all()
    assert (np.diff(powers) > -1e-6).all()
    assert powers[-1] == pytest.approx(1)


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


def table(deviation: float, noise: float, architectures: int = 200, seeds: int = 3) -> Table:
    """A table of final trainings with planted deviations."""
    content = made_up.content(SPACE, seeds=seeds, sample=architectures)
    rng = np.random.default_rng(5)
    names = sorted({training.architecture for training in content.trainings})
    truth = dict(zip(names, rng.normal(0.5, deviation, architectures), strict=True))
    trainings = [t._replace(test_top1=truth[t.architecture] + noise * rng.normal()) for t in content.trainings]
    assert content.about is not None
    return Table(content.about, content.sessions, trainings, SPACE)


def test_a_report_recovers_planted_deviations_and_comes_back_from_its_file(tmp_path: Path) -> None:
    found = protocols.report(table(0.06, 0.02), "all")
    assert found.scores.spread == pytest.approx(0.06, rel=0.15)
    assert found.scores.noise == pytest.approx(0.02, rel=0.1)
    assert found.scores.icc == pytest.approx(0.9, abs=0.04)
    assert found.seeds_needed["5"] == seeds_needed(0.05, found.scores.noise)
    assert found.space == f"{SPACE.fingerprint}:all"
    (tmp_path / "r.json").write_text(found.model_dump_json())
    assert protocols.read(tmp_path / "r.json") == found
    assert f"noise         {100 * found.scores.noise:.1f} points" in protocols.text(found)
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(UsageError, match=r"r\.json is not a reliability report of this version"):
        protocols.read(tmp_path / "r.json")


def test_a_report_of_six_seeds_tells_how_two_means_of_three_agree() -> None:
    found = protocols.report(table(0.04, 0.03, seeds=6), "all")
    means = math.asin(found.scores.of_mean(3)) * 2 / math.pi  # of a normal distribution (Greiner's equation)
    assert found.tau_of_halves == pytest.approx(means, abs=0.04) and found.tau < means - 0.1
    assert f"between two seeds, {found.tau_of_halves:.2f} between means of 3" in protocols.text(found)
    few = protocols.report(table(0.04, 0.03), "all")
    assert few.tau_of_halves is None and "between means of" not in protocols.text(few)


def test_a_report_of_scores_without_noise_comes_back_from_its_file(tmp_path: Path) -> None:
    found = protocols.report(table(0.06, 0.0, architectures=5), "all")
    (tmp_path / "r.json").write_text(found.model_dump_json())
    assert protocols.read(tmp_path / "r.json") == found
    assert (found.scores.noise, found.scores.icc, found.seeds_needed["3"]) == (pytest.approx(0), pytest.approx(1), 2)


def test_only_architectures_with_every_seed_count_and_two_are_too_few() -> None:
    full = table(0.06, 0.02, architectures=10)
    trainings = [t for name in full.architectures for t in full.trainings(name)]
    part = Table(full.about, full.sessions, trainings[:-1], SPACE)
    assert protocols.report(part, "all").scores.entries == 9
    with pytest.raises(UsageError, match="three architectures with two seeds at least"):
        protocols.report(Table(full.about, full.sessions, trainings[:6], SPACE), "all")


def test_a_table_is_as_reliable_as_its_networks_under_the_cap() -> None:
    full = table(0.06, 0.02, architectures=12, seeds=2)
    left = set(full.architectures[:5])
    scores = [[t.test_top1 for t in full.trainings(name)] for name in sorted(left)]
    assert protocols.of_table(full, left.__contains__) == reliability(scores)
    assert protocols.of_table(full, set(full.architectures[:2]).__contains__) is None
    one_missing = [t for name in full.architectures for t in full.trainings(name)][1:]
    part = Table(full.about, full.sessions, one_missing, SPACE)
    assert protocols.of_table(part, left.__contains__) == reliability(scores[1:])
    first, second = (full.trainings(name)[0]._replace(test_top1=0.0) for name in full.architectures[:2])
    by_two_names = Table(full.about, full.sessions, [*one_missing, first, first, second], SPACE)
    assert protocols.of_table(by_two_names, left.__contains__) == reliability([[0.0, scores[0][1]], *scores[1:]])
    never_again = [t for t in [*one_missing, first, first] if (t.architecture, t.seed) != (full.architectures[0], 1)]
    without_seed = Table(full.about, full.sessions, never_again, SPACE)
    assert protocols.of_table(without_seed, left.__contains__) == reliability(scores[1:])
    single = [t for t in one_missing if t.seed == 0]
    assert protocols.of_table(Table(full.about, full.sessions, single, SPACE), left.__contains__) is None
    equal = [t._replace(test_top1=0.5) for t in one_missing]
    assert protocols.of_table(Table(full.about, full.sessions, equal, SPACE), left.__contains__) is None


def test_the_consistency_of_a_board_is_over_the_seeds_that_all_entries_share() -> None:
    scores = [{0: 0.1, 1: 0.2, 2: 0.9}, {0: 0.5, 1: 0.6}, {0: 0.3, 1: 0.4, 7: 0.0}]
    assert protocols.shared(scores) == [[0.1, 0.2], [0.5, 0.6], [0.3, 0.4]]
    assert protocols.shared(scores[:1]) is None
    assert protocols.shared([{0: 0.1}, {1: 0.2}]) is None
    assert protocols.shared([]) is None and protocols.consistency_sentence([]) is None
    said = protocols.consistency_sentence(scores)
    assert said is not None and "ICC 1.00" in said and "over 3 searches × 2 seeds" in said and "half" not in said


def test_a_board_says_how_stable_its_order_is_between_halves_of_the_seeds() -> None:
    stable = [dict(enumerate(row)) for row in [[0.1, 0.11, 0.1, 0.12], [0.3, 0.3, 0.31, 0.3], [0.5, 0.5, 0.5, 0.52]]]
    said = protocols.consistency_sentence(stable)
    assert said is not None and said.endswith("their order by one half of the seeds and by the other: τ 1.00.")
    noise = np.random.default_rng(1).normal(size=(40, 6))
    said = protocols.consistency_sentence([dict(enumerate(row)) for row in noise])
    assert said is not None and abs(float(said.rsplit("τ ")[-1].rstrip("."))) < 0.2
    report = reliability(noise)
    assert f"{report.of_mean(6):.2f} of the mean" in said
