"""The decision rule: its zones, and its declared error rates and power in simulation."""

import math
from collections.abc import Callable

import made_claims
import numpy as np
import pytest
from scipy import stats

from pvnas_bench.boards.statistics import seeds_needed
from pvnas_bench.claims.judgement import judge
from pvnas_bench.claims.rule import Kind, decide, estimate, interval, p_value, together

ERROR, POWER = 0.05, 0.8
REPEATS = 2000
SLACK = 3 * math.sqrt(ERROR * (1 - ERROR) / REPEATS)
"""Three standard errors of a simulated rate."""
Draw = Callable[[np.random.Generator, int], np.ndarray]

ARMS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "a few regrets": lambda rng, n: rng.choice([0.0, 0.5, 1.0, 4.0], n, p=[0.4, 0.3, 0.2, 0.1]),
    "rare accidents": lambda rng, n: rng.choice([0.0, 10.0], n, p=[0.9, 0.1]) + rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
    "skewed": lambda rng, n: rng.gamma(0.5, 1, n),
}


def verdict(differences: np.ndarray, least: float, kind: Kind = "better") -> str:
    return estimate(differences.tolist(), least, kind, error=ERROR, power=POWER).verdict


def test_the_zones_of_the_rule() -> None:
    assert [decide(*ends, 1.0, "better") for ends in ((0.1, 1.5), (0.1, 0.9), (-0.1, 1.5), (-0.5, 0.5), (2, 3))] == [
        "holds",
        "fails",
        "undecided",
        "fails",
        "holds",
    ]
    assert [decide(*ends, 1.0, "no_worse") for ends in ((-0.9, -0.1), (-2, -1.1), (-1.5, 0.5), (0.5, 2))] == [
        "holds",
        "fails",
        "undecided",
        "holds",
    ]


def test_a_claim_holds_if_all_tests_hold_and_fails_if_one_fails() -> None:
    assert together(["holds", "holds"]) == "holds"
    assert together(["holds", "undecided"]) == "undecided"
    assert together(["holds", "undecided", "fails"]) == "fails"


def test_the_interval_of_symmetric_values_is_students() -> None:
    half = np.random.default_rng(0).normal(0, 2, 6)
    values = 1 + np.concatenate([half, -half])
    test = stats.ttest_1samp(values, 0.0)
    assert interval(values, 0.025, 0.025) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert interval(values, 0.025, 0.01)[1] == pytest.approx(test.confidence_interval(0.98).high)
    assert interval([0.3, 0.3, 0.3], 0.025, 0.025) == (0.3, 0.3)
    for null in (0.0, -1.0, 2.0):
        assert p_value(values, null) == pytest.approx(stats.ttest_1samp(values, null, alternative="greater").pvalue)


@pytest.mark.parametrize("sign", [1, -1])
def test_skewness_moves_the_end_on_its_side_only(sign: int) -> None:
    """Johnson's t of a mean at the moved end is the quantile, but for terms of a higher order in 1 / n."""
    values = sign * np.random.default_rng(0).gamma(1, 1, 400)
    student = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    ends = interval(values, 0.025, 0.025)
    assert ends[sign < 0] == pytest.approx(tuple(student)[sign < 0])
    moved = ends[sign > 0]
    n, s2, third = 400, values.var(ddof=1), ((values - values.mean()) ** 3).mean()
    away = values.mean() - moved
    johnson = (away + third / (6 * s2 * n) + third / (3 * s2**2) * away**2) / math.sqrt(s2 / n)
    assert johnson == pytest.approx(-sign * stats.t.ppf(0.975, n - 1), abs=0.03)


@pytest.mark.parametrize("pairs", [10, 30, 100])
@pytest.mark.parametrize("arm", ARMS)
def test_a_planted_zero_is_not_called_holds_more_often_than_declared(arm: str, pairs: int) -> None:
    """Both entries draw alike; the effect that counts is small, so that only the lower end keeps from holding."""
    rng = np.random.default_rng(pairs)
    draws = (ARMS[arm](rng, pairs) - ARMS[arm](rng, pairs) for _ in range(REPEATS))
    rate = np.mean([verdict(d, 1e-9) == "holds" for d in draws])
    assert rate <= ERROR / 2 + SLACK, rate


@pytest.mark.parametrize("arm", ["normal", "a few regrets", "skewed"])
def test_a_planted_effect_of_the_declared_size_is_found_with_the_declared_power(arm: str) -> None:
    rng = np.random.default_rng(1)
    deviation = float((ARMS[arm](rng, 100_000) - ARMS[arm](rng, 100_000)).std())
    least = 0.5 * deviation
    pairs = seeds_needed(least, deviation / math.sqrt(2), POWER, ERROR)
    assert pairs == 34
    told = [verdict(least + ARMS[arm](rng, pairs) - ARMS[arm](rng, pairs), least) for _ in range(REPEATS)]
    assert told.count("holds") / REPEATS >= POWER - 0.03
    assert told.count("fails") / REPEATS <= ERROR / 2 + SLACK


@pytest.mark.parametrize("pairs", [30, 100])
def test_a_skewed_effect_of_the_declared_size_is_not_called_fails_more_often_than_declared(pairs: int) -> None:
    """The entry avoids accidents of the other one: differences are skewed, and their mean is the size that counts."""
    rng = np.random.default_rng(2)
    draws = (ARMS["rare accidents"](rng, pairs) - rng.normal(size=pairs) for _ in range(REPEATS))
    rate = np.mean([verdict(d, 1.0) == "fails" for d in draws])
    assert rate <= ERROR + SLACK, rate


@pytest.mark.parametrize(("true", "wrong"), [(-1.0, "holds"), (0.0, "fails")])
def test_not_worse_errs_no_more_often_than_declared(true: float, wrong: str) -> None:
    """Worse by the margin: not called holds; as good: not called fails, and found with the power that is told."""
    rng = np.random.default_rng(3)
    told = [verdict(rng.normal(true, 1.0, 12), 1.0, "no_worse") for _ in range(REPEATS)]
    assert told.count(wrong) / REPEATS <= ERROR / 2 + SLACK
    if true == 0:
        reach = estimate([-1.0, 1.0] * 6, 1.0, "no_worse", error=ERROR, power=POWER)
        noise = math.sqrt(12 / 11)
        assert reach.power == pytest.approx(told.count("holds") / REPEATS, abs=0.08 * noise)


def test_three_tests_together_keep_the_declared_rates() -> None:
    """Tests share an entry. All effects of the declared size: rarely fails; one of them zero: rarely holds."""
    rng = np.random.default_rng(4)
    tests = [{**made_claims.TEST, "title": other, "against": other, "least": 1.0} for other in ("b", "c", "d")]
    claim = made_claims.claim(tests=tests, seeds=20)

    def told(effects: tuple[float, ...]) -> list[str]:
        states = []
        for _ in range(400):
            ours = rng.normal(size=20)
            values = [list(zip(ours + effect, rng.normal(size=20), strict=True)) for effect in effects]
            states.append(judge(claim, made_claims.result(claim, *values)).state)
        return states

    slack = 3 * math.sqrt(ERROR * (1 - ERROR) / 400)
    assert told((1.0, 1.0, 1.0)).count("fails") / 400 <= ERROR / 2 + slack
    assert told((5.0, 5.0, 0.0)).count("holds") / 400 <= ERROR / 2 + slack
    assert told((5.0, 5.0, 5.0)).count("holds") == 400


def test_bootstrap_intervals_err_more_often_than_they_say() -> None:
    """Why the rule has Student's: ten pairs of entries that are alike, with a few values."""
    rng = np.random.default_rng(5)
    above = 0
    for _ in range(300):
        d = ARMS["a few regrets"](rng, 10) - ARMS["a few regrets"](rng, 10)
        if np.ptp(d) > 0:
            found = stats.bootstrap((d,), np.mean, n_resamples=499, method="percentile", rng=rng)
            above += found.confidence_interval.low > 0
    assert above / 300 > ERROR


def test_an_undecided_test_says_its_power_and_the_pairs_that_it_takes() -> None:
    differences = [-1.0, 1.0] * 5
    found = estimate(differences, 0.5, "better", error=ERROR, power=POWER)
    assert found.verdict == "undecided"
    degrees, deviation = 9, math.sqrt(10 / 9)
    shift = 0.5 / deviation * math.sqrt(10)
    limit = stats.t.ppf(0.975, degrees)
    power = stats.nct.sf(limit, degrees, shift) + stats.nct.cdf(-limit, degrees, shift)
    assert found.power == pytest.approx(power)
    assert found.seeds == seeds_needed(0.5, deviation / math.sqrt(2))
    assert found.seeds is not None and found.seeds > 10


def test_censored_runs_withhold_the_verdict_that_they_favour() -> None:
    good, bad = [1.0, 1.1, 0.9, 1.0] * 3, [-1.0, -1.1, -0.9, -1.0] * 3

    def told(differences: list[float], censored: tuple[float, float]) -> str:
        return estimate(differences, 0.5, "better", error=ERROR, power=POWER, censored=censored).verdict

    assert [told(good, share) for share in ((0.0, 1.0), (0.2, 0.0), (0.3, 0.0))] == ["holds", "holds", "undecided"]
    assert [told(bad, share) for share in ((1.0, 0.0), (0.0, 0.2), (0.0, 0.3))] == ["fails", "fails", "undecided"]
