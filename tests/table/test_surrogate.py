"""A surrogate recovers a planted truth and its noise, and answers as a table does."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import planted
import pytest
from scipy.stats import kendalltau

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.network.cost import CostModel
from pvnas_bench.space import Architecture
from pvnas_bench.table import Surrogate, Table
from pvnas_bench.table.surrogate import LEAST, SIMILAR

NETWORKS, NOISE, CLASSES = 400, 0.03, 3
SPACE = registry.get_space(planted.SPACE)
COSTS = CostModel(SPACE, CLASSES)
TRUTH = planted.truth(SPACE)


def fitted(table: Table) -> Surrogate:
    return Surrogate(table, SPACE, COSTS)


@pytest.fixture(scope="module")
def once() -> Surrogate:
    """Of 400 networks trained once."""
    return fitted(planted.table(NETWORKS, 1, NOISE))


@pytest.fixture(scope="module")
def twice() -> Surrogate:
    """Of 400 networks trained twice."""
    return fitted(planted.table(NETWORKS, 2, NOISE))


def unseen(surrogate: Surrogate, number: int = 300) -> list[Architecture]:
    """Random networks that are not in the table."""
    rng = np.random.default_rng(99)
    drawn = (SPACE.canonical(SPACE.sample(rng)) for _ in range(2 * number))
    return [one for one in drawn if not surrogate.trainings(str(one))][:number]


@pytest.fixture(params=["once", "twice"])
def surrogate(request: pytest.FixtureRequest) -> Surrogate:
    return cast(Surrogate, request.getfixturevalue(request.param))


def test_a_planted_truth_is_recovered_on_networks_that_are_not_in_the_table(surrogate: Surrogate) -> None:
    networks = unseen(surrogate)
    predicted = np.array([surrogate.top1(str(one)) for one in networks])
    true = np.array([TRUTH(one) for one in networks])
    assert kendalltau(predicted, true)[0] > 0.8
    assert np.sqrt(((predicted - true) ** 2).mean()) < NOISE / 2


def test_the_quality_left_out_is_that_on_fresh_networks(surrogate: Surrogate) -> None:
    networks = unseen(surrogate)
    rng, seeds = np.random.default_rng(5), len(surrogate.seeds)
    true = np.array([TRUTH(one) for one in networks])
    measured = true + NOISE / np.sqrt(seeds) * rng.normal(size=len(true))
    predicted = np.array([surrogate.top1(str(one)) for one in networks])
    quality = surrogate.quality()
    assert quality is not None
    assert quality.tau == pytest.approx(kendalltau(predicted, measured)[0], abs=0.06)
    assert (quality.tau_ceiling is None) == (quality.noise is None) == (seeds == 1)
    if quality.tau_ceiling is not None:
        assert quality.tau_ceiling == pytest.approx(kendalltau(true, measured)[0], abs=0.06)
    assert quality.r2 == pytest.approx(1 - ((predicted - measured) ** 2).mean() / measured.var(), abs=0.1)
    assert quality.within_50 == pytest.approx(0.5, abs=0.08)
    assert quality.within_90 == pytest.approx(0.9, abs=0.05)
    assert (quality.fitted, quality.networks, quality.trainings) == (NETWORKS, NETWORKS, NETWORKS * seeds)


def test_the_noise_is_that_of_one_training_and_common_to_validation_and_test(surrogate: Surrogate) -> None:
    assert surrogate.noise == pytest.approx(NOISE, rel=0.2)
    assert surrogate.repeated == (len(surrogate.seeds) > 1)
    rng = np.random.default_rng(3)
    drawn = [
        [surrogate.drawn(str(one), int(number)) for number in rng.integers(2**40, size=20)]
        for one in unseen(surrogate, 60)
    ]
    values = np.array([[(t.val_top1[-1], t.test_top1) for t in row] for row in drawn])
    inside = (values - values.mean(1, keepdims=True)).reshape(-1, 2) * np.sqrt(20 / 19)
    assert inside.std(0) == pytest.approx(NOISE, rel=0.25)
    assert np.corrcoef(inside.T)[0, 1] == pytest.approx(planted.SHARED, abs=0.1)


def test_the_mean_of_all_drawn_trainings_is_the_truth_of_the_surrogate(surrogate: Surrogate) -> None:
    for one in unseen(surrogate, 20):
        drawn = [surrogate.drawn(str(one), number) for number in range(SIMILAR)]
        assert np.mean([t.test_top1 for t in drawn]) == pytest.approx(surrogate.top1(str(one)), abs=1e-6)
        (told,) = surrogate.scoring(str(one))
        assert told.test_top1 == surrogate.top1(str(one))
        assert np.mean([t.val_top1 for t in drawn], axis=0) == pytest.approx(told.val_top1, abs=1e-6)


def test_curves_are_fractions_and_end_with_the_accuracy_of_the_full_training(surrogate: Surrogate) -> None:
    epochs = surrogate.about.epochs
    for number, one in enumerate(unseen(surrogate, 100)):
        training = surrogate.drawn(str(one), number)
        assert len(training.val_top1) == len(training.val_loss) == len(training.train_loss) == epochs
        assert all(0 <= value <= 1 for value in (*training.val_top1, training.test_top1, training.test_mean_class))
        assert abs(training.val_top1[-1] - TRUTH(one)) < 5 * NOISE
        assert training.test_top5 >= training.test_top1
        cost = COSTS(one)
        assert (training.macs, training.parameters) == (cost.macs, cost.parameters)
        assert training.training_macs == 1000 * cost.macs
        assert training.seconds == pytest.approx(cost.macs / 1e6, rel=0.2)


def test_equal_numbers_give_equal_trainings_and_isomorphic_architectures_are_one(surrogate: Surrogate) -> None:
    rng = np.random.default_rng(8)
    with_skip = next(
        one
        for _ in range(1000)
        if (one := SPACE.sample(rng)) != SPACE.canonical(one) and not surrogate.trainings(str(one))
    )
    first = surrogate.drawn(str(with_skip), 11)
    assert surrogate.drawn(str(with_skip), 11) == first
    assert surrogate.drawn(str(SPACE.canonical(with_skip)), 11) == first
    assert len({surrogate.drawn(str(with_skip), number).test_top1 for number in range(10)}) > 5


def test_a_network_of_the_table_is_answered_by_its_real_trainings(surrogate: Surrogate) -> None:
    for name in surrogate.architectures[:20]:
        real = surrogate.trainings(name)
        assert [surrogate.drawn(name, number) for number in range(len(real))] == list(real)
        assert surrogate.top1(name) != np.mean([t.test_top1 for t in real])  # the truth is the model's mean


def test_the_truth_of_a_trained_network_lies_between_its_trainings_and_those_of_others(once: Surrogate) -> None:
    measured = np.array([once.trainings(name)[0].test_top1 for name in once.architectures])
    true = np.array([TRUTH(SPACE.parse(name)) for name in once.architectures])
    model = np.array([once.top1(name) for name in once.architectures])
    assert np.abs(model - true).mean() < 0.6 * np.abs(measured - true).mean()
    lucky = measured.argmax()
    assert model[lucky] < measured[lucky]


def test_every_architecture_of_the_space_is_in_it_and_nothing_else(once: Surrogate) -> None:
    assert str(SPACE.reference) in once
    assert all(str(one) in once for one in unseen(once, 5))
    assert "no/architecture" not in once
    assert once.missing(SPACE) == []


def test_the_regret_is_that_to_the_best_network_under_the_cap(once: Surrogate) -> None:
    under = [one for one in unseen(once) if COSTS(one).macs <= SPACE.caps["L"]]
    regrets = [once.regret(str(one), SPACE.caps["L"]) for one in under]
    assert min(regrets) >= 0
    assert all(once.regret(str(one)) >= regret for one, regret in zip(under, regrets, strict=True))
    best = max(under, key=lambda one: once.top1(str(one)))
    assert once.regret(str(best), SPACE.caps["L"]) == min(regrets)
    # no single change of the best known network that is under the cap is better
    highest = once.best(lambda one: COSTS(one).macs <= SPACE.caps["L"])
    climbed = best
    while True:
        near = [SPACE.canonical(one) for one in SPACE.neighbours(climbed) if COSTS(one).macs <= SPACE.caps["L"]]
        better = max(near, key=lambda one: once.top1(str(one)))
        if once.top1(str(better)) <= once.top1(str(climbed)):
            break
        climbed = better
    assert once.top1(str(climbed)) <= highest + 1e-6


def test_the_standing_is_the_share_of_random_networks_that_are_worse(twice: Surrogate) -> None:
    def allowed(one: Architecture) -> bool:
        return COSTS(one).macs <= SPACE.caps["L"]

    rng = np.random.default_rng(17)
    others = [one for _ in range(4000) if allowed(one := SPACE.sample(rng))]
    true = np.array([TRUTH(one) for one in others])
    inside, networks = 0, [one for one in unseen(twice) if allowed(one)][:40]
    for one in networks:
        standing = twice.standing(one, allowed)
        assert standing is not None
        assert 0 <= standing.low <= standing.share <= standing.high <= 1
        share = float((true < TRUTH(one)).mean())
        assert standing.share == pytest.approx(share, abs=0.25)
        inside += standing.low <= share <= standing.high
    assert inside >= 0.75 * len(networks)
    assert twice.standing(networks[0], allowed) == twice.standing(networks[0], allowed)
    assert twice.standing(networks[0], lambda one: False) is None


PROGRAM = """
import sys
sys.path.append({support!r})
import planted
from pvnas_bench import registry
from pvnas_bench.network.cost import CostModel
from pvnas_bench.table import Surrogate
space = registry.get_space(planted.SPACE)
surrogate = Surrogate(planted.table(60), space, CostModel(space, 3))
reference = str(space.reference)
print(surrogate.fingerprint, [surrogate.drawn(reference, 5), surrogate.scoring(reference), surrogate.regret(reference)])
"""


def test_the_answers_are_the_same_in_another_process() -> None:
    support = str(Path(planted.__file__).parent)
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(support=support)], capture_output=True, text=True, check=True
    ).stdout
    surrogate, reference = fitted(planted.table(60)), str(SPACE.reference)
    answers = [surrogate.drawn(reference, 5), surrogate.scoring(reference), surrogate.regret(reference)]
    assert told == f"{surrogate.fingerprint} {answers}\n"


def test_the_fingerprint_is_of_the_table_and_the_model() -> None:
    one, other = planted.table(LEAST), planted.table(LEAST + 1)
    assert fitted(one).fingerprint == fitted(planted.table(LEAST)).fingerprint
    assert one.fingerprint in fitted(one).fingerprint
    assert len({one.fingerprint, fitted(one).fingerprint, fitted(other).fingerprint}) == 3


def test_a_diverged_training_counts_with_its_accuracy() -> None:
    content = planted.content(80)
    worst = content.trainings[0]
    infinite = (float("inf"),) * len(worst.val_top1)
    zero = (0.0,) * len(worst.val_top1)
    content.trainings[0] = worst._replace(
        train_loss=infinite, val_loss=infinite, val_top1=zero, test_top1=0.0, test_top5=0.0, test_loss=float("inf")
    )
    assert content.about is not None
    surrogate = fitted(Table(content.about, content.sessions, content.trainings, SPACE))
    training = surrogate.drawn(str(SPACE.reference), 3)
    assert np.isfinite([*training.val_loss, *training.train_loss, training.test_loss]).all()
    assert surrogate.top1(worst.architecture) < fitted(planted.table(80)).top1(worst.architecture)


def test_a_table_that_cannot_carry_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has 19 of 2\.2e\+09 architectures: a surrogate needs 20; train more"):
        fitted(planted.table(LEAST - 1))
    content = planted.content(LEAST)
    content.trainings[3] = content.trainings[3]._replace(val_top1=(float("nan"),) * len(content.trainings[3].val_top1))
    assert content.about is not None
    with pytest.raises(UsageError, match="has trainings without validation"):
        fitted(Table(content.about, content.sessions, content.trainings, SPACE))
