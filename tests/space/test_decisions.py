"""Decisions and architectures, against enumeration of a small space."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvnas_bench.errors import UsageError
from pvnas_bench.space import INACTIVE, Decision, SearchSpace
from pvnas_bench.spaces.st_default import SPACE as ST_DEFAULT


def small_space() -> SearchSpace:
    """Two depths; the second block's operator exists at depth 2, its expansion unless the operator is skip."""
    return SearchSpace(
        "small",
        1,
        [
            Decision("depth", ("1", "2"), "structural", "input"),
            Decision("operator.1", ("a", "b", "c"), "modular", "one"),
            Decision("operator.2", ("a", "skip"), "modular", "two", ("depth", frozenset({"2"}))),
            Decision("expansion.2", ("e2", "e4"), "modular", "two", ("operator.2", frozenset({"a"}))),
        ],
        description="",
        caps={"L": 1},
        reference={"depth": "1", "operator.1": "a"},
        experts={},
    )


SPACE = small_space()
BY_HAND = {f"1/{o}/_" for o in "abc"} | {f"2/{o}/{second}" for o in "abc" for second in ("a-e2", "a-e4", "skip-_")}


def test_enumeration_and_size_match_the_space_written_out_by_hand() -> None:
    assert {str(a) for a in SPACE.enumerate()} == BY_HAND
    assert SPACE.size == len(BY_HAND) == 12


def test_equal_exactly_when_the_network_is_equal() -> None:
    everything = [SPACE.architecture(c) for c in itertools.product(range(2), range(3), range(2), range(2))]
    assert len(set(everything)) == 12
    assert SPACE.architecture([0, 1, 0, 0]) == SPACE.architecture([0, 1, 1, 1])
    assert hash(SPACE.architecture([0, 1, 0, 0])) == hash(SPACE.architecture([0, 1, 1, 1]))
    assert SPACE.architecture([0, 1, 0, 0]).choices == (0, 1, INACTIVE, INACTIVE)


def test_sampling_is_uniform_per_decision() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(str(SPACE.sample(rng)) for _ in range(12_000))
    for string, n in counts.items():
        expected = {"1": 12_000 / 6, "a": 12_000 / 24, "s": 12_000 / 12}[
            "1" if string[0] == "1" else string.split("/")[2][0]
        ]
        assert abs(n - expected) < 5 * np.sqrt(expected)


def test_neighbours_are_the_architectures_that_differ_in_one_decision() -> None:
    architecture = SPACE.parse("2/b/a-e4")
    assert {str(a) for a in SPACE.neighbours(architecture)} == {
        "1/b/_", "2/a/a-e4", "2/c/a-e4", "2/b/skip-_", "2/b/a-e2"
    }  # fmt: skip
    assert [str(a) for a in SPACE.neighbours(SPACE.parse("1/a/_"))] == ["2/a/a-e2", "1/b/_", "1/c/_"]


@given(st.integers(0, 2**32 - 1))
def test_moves_stay_in_the_space_and_change_something(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = ST_DEFAULT.sample(rng), ST_DEFAULT.sample(rng)
    for moved in (ST_DEFAULT.mutate(one, rng), ST_DEFAULT.mutate(one, rng, rate=0.1)):
        assert moved != one
        assert ST_DEFAULT.architecture(moved.choices) == moved
    child = ST_DEFAULT.crossover(one, other, rng)
    for a, b, c in zip(one.choices, other.choices, child.choices, strict=True):
        assert c in (a, b) or INACTIVE in (a, b)


@given(st.integers(0, 2**32 - 1))
def test_a_single_mutation_changes_one_existing_decision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = ST_DEFAULT.sample(rng)
    moved = ST_DEFAULT.mutate(one, rng)
    both = [(a, b) for a, b in zip(one.choices, moved.choices, strict=True) if INACTIVE not in (a, b)]
    assert sum(a != b for a, b in both) == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_mutation_of_one_level_leaves_the_other(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    one = ST_DEFAULT.sample(rng)
    for level, other in (("modular", "structural"), ("structural", "modular")):
        moved = ST_DEFAULT.mutate_level(one, rng, level, most)
        changed = [
            decision.level
            for decision, a, b in zip(ST_DEFAULT.decisions, one.choices, moved.choices, strict=True)
            if a != b and INACTIVE not in (a, b)
        ]
        assert other not in changed and len(changed) <= most
        assert moved != one


def test_mutations_of_a_level_reach_every_number_and_option() -> None:
    rng, parent = np.random.default_rng(0), SPACE.parse("2/a/a-e2")
    reached = {str(SPACE.mutate_level(parent, rng, "modular", 2)) for _ in range(500)}
    assert reached == {a for a in BY_HAND if a.startswith("2/")} - {"2/a/a-e2"}
    assert {str(SPACE.mutate_level(parent, rng, "modular")) for _ in range(500)} == {
        "2/b/a-e2",
        "2/c/a-e2",
        "2/a/skip-_",
        "2/a/a-e4",
    }


def test_an_architecture_without_another_option_of_a_level_is_returned() -> None:
    space = SearchSpace(
        "one",
        1,
        [Decision("depth", ("1",), "structural", "input"), Decision("operator", ("a", "b"), "modular", "one")],
        description="",
        caps={},
        reference={"depth": "1", "operator": "a"},
        experts={},
    )
    assert space.mutate_level(space.reference, np.random.default_rng(0), "structural") == space.reference


@given(st.integers(0, 2**32 - 1))
def test_strings_and_options_round_trip(seed: int) -> None:
    architecture = ST_DEFAULT.sample(np.random.default_rng(seed))
    assert ST_DEFAULT.parse(str(architecture)) == architecture
    assert ST_DEFAULT.from_options(ST_DEFAULT.options(architecture)) == architecture
    code = ST_DEFAULT.encode(architecture)
    assert code.sum() == sum(choice != INACTIVE for choice in architecture.choices)


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("2/d/a-e2", "operator.1 has no option 'd': choose one of a, b, c"),
        ("2/a/a-e3", "expansion.2 has no option 'e3': choose one of e2, e4"),
        ("1/a/a-e2", "operator.2 does not exist here: write _"),
        ("2/a/_", "operator.2 exists here: choose one of a, skip"),
        ("2/a", "has 2 groups, but space small has 3"),
        ("2/a/a", "must have 2 options"),
    ],
)
def test_an_invalid_string_is_refused_with_the_valid_options(string: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SPACE.parse(string)


def test_a_missing_or_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError, match=r"decision operator\.1 needs one of: a, b, c"):
        SPACE.from_options({"depth": "1"})
    with pytest.raises(UsageError, match="no decision 'width'"):
        SPACE.from_options({"width": "1"})


def test_st_default_is_large_and_named_by_its_content() -> None:
    assert ST_DEFAULT.size >= 10**9
    assert ST_DEFAULT.fingerprint != SPACE.fingerprint
    frames, sizes = 3, 3
    stages = [(3, (6, False)), (3, (6, False))]
    total = frames * sizes
    for depth, (operators, first_may_skip) in stages:
        block = operators * 2 * 2
        first = block + first_may_skip
        total *= sum(first * (block + 1) ** (d - 1) for d in range(1, depth + 1))
    assert ST_DEFAULT.size == total


def test_a_uniform_network_has_one_operator_per_stage_and_one_expansion() -> None:
    network = ST_DEFAULT.uniform(frames=8, size=24, depths=(1, 2), operators=("s3", "t5"), expansion=4)
    assert str(network) == "8-24-1-2/s3-e4-no/_/_/t5-e4-no/t5-e4-no/_"
    with pytest.raises(UsageError, match=r"decision expansion\.1\.1 has no option 'e3'"):
        ST_DEFAULT.uniform(frames=8, size=24, depths=(1, 2), operators=("s3", "t5"), expansion=3)
