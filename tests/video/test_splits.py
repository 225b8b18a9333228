"""Splits by subject: each subject on one side, every class on both, the share as close as by brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvnas_bench.video import split_by_subject


def brute_force(labels: np.ndarray, subjects: np.ndarray, fraction: float) -> tuple[int, float]:
    """Minimum (classes missing on a side, distance from the share) over all choices of subjects."""
    names = np.unique(subjects)
    best = (len(labels) + 1, np.inf)
    for choice in product([False, True], repeat=len(names)):
        best = min(best, badness(labels, subjects, np.isin(subjects, names[list(choice)]), fraction))
    return best


def badness(labels: np.ndarray, subjects: np.ndarray, mask: np.ndarray, fraction: float) -> tuple[int, float]:
    missing = 0
    for label in np.unique(labels):
        if len(np.unique(subjects[labels == label])) > 1:
            missing += label not in labels[mask] or label not in labels[~mask]
    return missing, abs(mask.sum() - fraction * len(labels))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.3, 0.5]))
def test_as_good_as_brute_force(seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    subjects = rng.integers(0, 7, 60)
    labels = rng.integers(0, 4, 60)
    subjects[:2] = 0, 1
    mask = split_by_subject(labels, subjects, fraction, seed)
    assert not set(subjects[mask]) & set(subjects[~mask])
    missing, gap = badness(labels, subjects, mask, fraction)
    best_missing, best_gap = brute_force(labels, subjects, fraction)
    assert missing == best_missing
    assert gap <= best_gap + 3  # local search, not enumeration: within 5 % of the clips of the optimum


def test_a_class_of_two_subjects_is_on_both_sides() -> None:
    labels = np.array([0] * 40 + [1] * 2)
    subjects = np.array([n // 4 for n in range(40)] + [100, 101])
    for seed in range(20):
        mask = split_by_subject(labels, subjects, 0.25, seed)
        assert mask[labels == 1].sum() == 1
        assert abs(mask.sum() - 10.5) <= 2


def test_the_seed_decides_and_repeats() -> None:
    labels, subjects = np.arange(200) % 5, np.arange(200) // 10
    splits = [split_by_subject(labels, subjects, 0.3, seed) for seed in (0, 0, 1)]
    assert (splits[0] == splits[1]).all() and (splits[0] != splits[2]).any()
    assert all(mask.sum() == 60 for mask in splits)


def test_names_and_ids_give_the_same_split() -> None:
    labels, subjects = np.arange(60) % 3, np.arange(60) // 10
    names = np.array(["abcdef"[s] for s in subjects])
    np.testing.assert_array_equal(split_by_subject(labels, subjects, 0.3, 4), split_by_subject(labels, names, 0.3, 4))


@pytest.mark.parametrize("subjects", [np.full(40, -1), np.full(40, ""), np.full(40, 7)])
def test_without_subjects_by_class(subjects: np.ndarray) -> None:
    labels = np.array([0] * 25 + [1] * 11 + [2] * 2 + [3] * 2)
    mask = split_by_subject(labels, subjects, 0.2, 0)
    assert [int(mask[labels == c].sum()) for c in range(4)] == [5, 2, 1, 1]


def test_clips_without_a_name_are_their_own_subjects() -> None:
    labels = np.zeros(20, dtype=int)
    subjects = np.array([0] * 5 + [1] * 5 + [-1] * 10)
    mask = split_by_subject(labels, subjects, 0.35, 0)
    assert mask.sum() == 7
    assert all(len(set(mask[subjects == s])) == 1 for s in (0, 1))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="one length"):
        split_by_subject([0, 1], [0], 0.5, 0)
    with pytest.raises(ValueError, match="fraction"):
        split_by_subject([0, 1], [0, 1], 1.0, 0)
