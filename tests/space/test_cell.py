"""Spaces of temporal cells, against counts and strings written by hand."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvnas_bench.errors import UsageError
from pvnas_bench.space import CELL_OPERATORS, INACTIVE, CellSpace, cell_options
from pvnas_bench.spaces.st_default import SPACE as BLOCKS
from pvnas_bench.spaces.st_kinetics import SPACE as LARGE_BLOCKS
from pvnas_bench.spaces.st_temporal_cell import BACKBONE, SPACE


def small(**changes: object) -> CellSpace:
    settings = {
        "description": "",
        "backbone": BACKBONE,
        "steps": (4, 8),
        "cells": (1, 2),
        "channels": (8,),
        "operators": ("t3", "skip", "none"),
        "caps": {"L": 10**9},
        "reference": cell_options(steps=4, cells=1, channels=8, operators=("t3", "skip", "none")),
        "experts": {},
    }
    return CellSpace("small", 1, **settings | changes)  # type: ignore[arg-type]


def test_enumeration_matches_the_space_written_out_by_hand() -> None:
    cells = [f"{a}-{b}-{c}" for a in ("t3", "skip") for b in ("t3", "skip") for c in ("t3", "skip", "none")]
    cells += ["none-t3-_", "none-skip-_"]
    by_hand = {f"{t}-1-8/{one}/_" for t in (4, 8) for one in cells}
    by_hand |= {f"{t}-2-8/{one}/{two}" for t in (4, 8) for one in cells for two in cells}
    assert {str(a) for a in small().enumerate()} == by_hand
    assert small().size == len(by_hand)


def test_size_is_the_product_over_edges() -> None:
    a_cell = 8 * 8 * 9 + 1 * 8  # edge 01 real: all of 12's options; none: no edge 12
    assert len(CELL_OPERATORS) == 9
    assert SPACE.size == 6 * 3 * (a_cell + a_cell**2 + a_cell**3)


@given(st.integers(0, 2**32 - 1))
def test_strings_and_options_round_trip_and_moves_stay_in_the_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = SPACE.sample(rng), SPACE.sample(rng)
    for architecture in (one, SPACE.mutate(one, rng), SPACE.crossover(one, other, rng), *SPACE.neighbours(one)):
        assert SPACE.parse(str(architecture)) == architecture
        assert SPACE.from_options(SPACE.options(architecture)) == architecture
        spec = SPACE.spec(architecture)
        for cell, name in zip(spec.cells, ("1", "2", "3"), strict=False):
            chosen = [SPACE.option(architecture, f"operator.{name}.{edge}") for edge in ("01", "02", "12")]
            assert cell.operators == tuple(option or "none" for option in chosen)
            assert (chosen[2] is None) == (chosen[0] == "none")


def test_a_network_is_what_its_string_says() -> None:
    spec = SPACE.spec(SPACE.parse("64-2-128/t7-avg3-t3d2/none-t5-_/_"))
    assert (spec.steps, spec.channels, spec.features) == (64, 128, 4 * 32)
    assert [cell.operators for cell in spec.cells] == [("t7", "avg3", "t3d2"), ("none", "t5", "none")]
    assert SPACE.parse("64-2-128/t7-avg3-t3d2/none-t5-_/_").choices[-3:] == (INACTIVE,) * 3


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("8-1-32/none-t3-t3/_/_", "operator.1.12 does not exist here: write _"),
        ("8-1-32/t3-none-t3/_/_", "operator.1.02 has no option 'none'"),
        ("8-1-32/t3-t3-t9/_/_", "operator.1.12 has no option 't9'"),
        ("8-1-32/t3-t3/_/_", "must have 3 options: operator.1.01-operator.1.02-operator.1.12"),
    ],
)
def test_an_invalid_string_is_refused_with_the_valid_options(string: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SPACE.parse(string)


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown operator t9: use t3, "):
        small(operators=("t9", "skip", "none"))


def test_a_grid_that_does_not_divide_the_feature_map_is_refused() -> None:
    assert math.ceil(BACKBONE.network.size / 8) == 4
    with pytest.raises(ValueError, match="a grid of 3 does not divide the feature map of 4 x 4"):
        dataclasses.replace(BACKBONE, grid=3)


def test_the_backbone_is_part_of_the_fingerprint() -> None:
    other = dataclasses.replace(BACKBONE, grid=1)
    assert small().fingerprint == small().fingerprint != small(backbone=other).fingerprint


def test_spaces_of_blocks_are_what_they_were() -> None:
    assert BLOCKS.fingerprint == "st_default@1:aec4c8a24a3f"
    assert LARGE_BLOCKS.fingerprint == "st_kinetics@1:0ecfd5b613ae"
