"""The comparison of a record with its repetition, on the same and on another machine."""

import math
from pathlib import Path

import numpy as np
import pytest
from record_factory import record
from scipy import stats

from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.submission.repetition import ERROR, WIDEST, Place, compared, noise_limit
from pvnas_bench.submission.verify import Repeat, verify

from .conftest import loaded

CLIPS = 64
"""Test clips of the factory's records."""


def with_top1(told: Record, top1: float) -> Record:
    """The record with another score."""
    assert told.outcome is not None
    trained = tuple(one.model_copy(update={"test_top1": top1}) for one in told.outcome.trained)
    return told.model_copy(update={"outcome": told.outcome.model_copy(update={"trained": trained})})


def elsewhere(told: Record) -> Record:
    """The record as of a machine with more threads."""
    return told.model_copy(update={"provenance": told.provenance.model_copy(update={"threads": 64})})


def test_on_the_same_machine_the_last_digit_counts() -> None:
    told = record(top1=0.5)
    assert compared(told, told, [told]).messages == []
    (message,) = compared(told, with_top1(told, 0.5 + 1 / CLIPS), [told]).messages
    assert "test_top1 is 0.5, the repetition has 0.515625" in message


def test_elsewhere_the_noise_between_seeds_counts() -> None:
    told = record(top1=0.5)
    known = [record(seed=seed, top1=0.5 + 0.01 * (seed % 3 - 1)) for seed in range(30)]
    limit, _ = noise_limit(told, known)
    near, far = (elsewhere(with_top1(told, 0.5 + part * limit)) for part in (0.9, 1.1))
    assert compared(told, near, known).messages == []
    (message,) = compared(told, far, known).messages
    assert "the runs differ in threads" in message
    assert compared(told, elsewhere(told), known).how == "equal tests, although the runs differ in threads"


def test_an_architecture_costs_the_same_everywhere() -> None:
    told = record(top1=0.5)
    assert told.outcome is not None
    cheaper = told.model_copy(update={"outcome": told.outcome.model_copy(update={"macs": 1})})
    assert any("MACs changed" in message for message in compared(told, elsewhere(cheaper), [told]).messages)


def test_a_repetition_that_fails_is_a_disagreement() -> None:
    told = record(top1=0.5)
    failed = told.model_copy(update={"status": "failed", "error": "boom", "outcome": None})
    assert compared(told, failed, [told]).messages == ["status is 'ok', the repetition has 'failed' (boom)"]


def test_the_limit_is_that_of_a_difference_of_two_seeds() -> None:
    """Pooled over entries, as scipy's t distribution has it; controls do not count."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 0.12, 8).clip(0, 1), rng.normal(0.6, 0.12, 5).clip(0, 1)
    known = [
        *(record("one", seed=i, top1=float(x)) for i, x in enumerate(first)),
        *(record("two", seed=i, top1=float(x)) for i, x in enumerate(second)),
        *(record("control", seed=i, top1=x, role="random_control") for i, x in enumerate((0.0, 1.0))),
        *(record("one", seed=i, top1=x, data="other") for i, x in enumerate((0.0, 1.0))),
    ]
    freedom = 7 + 4
    deviation = math.sqrt((7 * first.var(ddof=1) + 4 * second.var(ddof=1)) / freedom)
    expected = stats.t.ppf(1 - ERROR / 2, freedom) * math.sqrt(2) * deviation
    limit, words = noise_limit(record("one", top1=0.5), known)
    assert limit == pytest.approx(expected)
    assert "11 degrees of freedom" in words


def test_without_seeds_the_limit_is_that_of_the_test_clips() -> None:
    told = record(top1=0.5)
    binomial = math.sqrt(0.25 / CLIPS)
    expected = stats.norm.ppf(1 - ERROR / 2) * math.sqrt(2) * WIDEST * binomial
    assert noise_limit(told, [told])[0] == pytest.approx(expected)
    wild = [record(seed=seed, top1=float(seed)) for seed in range(2)]
    assert noise_limit(told, wild)[0] == pytest.approx(expected)


def test_an_honest_repetition_elsewhere_passes_and_a_much_better_score_does_not() -> None:
    """Seeds that differ by 10 points: 2,000 honest pairs, and pairs of which one score has 70 points more."""
    rng = np.random.default_rng(1)
    known = [record(seed=seed, top1=float(x)) for seed, x in enumerate(rng.normal(0.5, 0.1, 40).clip(0, 1))]
    limit, _ = noise_limit(record(top1=0.5), known)
    differences = rng.normal(0, 0.1, 2000) - rng.normal(0, 0.1, 2000)
    assert (np.abs(differences) > limit).mean() < 0.005
    assert (np.abs(differences + 0.7) > limit).mean() > 0.9


def test_other_content_or_salt_draws_other_runs(looked_up: Path) -> None:
    from pvnas_bench.submission import manifest
    from pvnas_bench.submission import verify as module

    told = manifest.read(looked_up).manifest
    assert told is not None
    found = [(record.id, record) for record in loaded(looked_up)]

    def drawn(**options: object) -> str:
        return module._drawn(told, found, Repeat(**options))[0][0]  # type: ignore[arg-type]

    assert drawn() == drawn()
    assert {drawn(salt=str(salt)) for salt in range(40)} == {record.id for _, record in found}


def test_an_unknown_cell_and_absent_clips_are_errors_of_the_user(
    looked_up: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no completed run 'x' in this submission: --cell may be [0-9a-f]{16}"):
        verify(looked_up, Repeat(named=("x",)))
    with pytest.raises(UsageError, match=r"the clips of 'tiny\d*' .* are needed: give --dataset"):
        verify(trained, Repeat())
    with pytest.raises(UsageError, match="no such folder"):
        verify(tmp_path / "nowhere")


def test_a_data_set_is_known_by_its_name_or_is_the_only_one(tmp_path: Path) -> None:
    told = record(data_name="mine")
    one, other = tmp_path / "other", tmp_path / "mine.csv"
    assert Place((one,)).dataset(told) == str(one)
    assert Place((one, other)).dataset(told) == str(other)
    with pytest.raises(UsageError):
        Place((one, one)).dataset(told)
