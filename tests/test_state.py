"""Automatic state: saved attributes are restored, and attributes that cannot be saved are named."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pvnas_bench import Evaluation
from pvnas_bench.runs.states import decode, encode
from pvnas_bench.spaces.st_micro import SPACE
from pvnas_bench.state import CannotBeKept, keep, restore

ONE, OTHER = SPACE.reference, SPACE.experts["c2d"]
RESULT = Evaluation(ONE, 0.5, 1.25, 4, 100, 10, ({"epoch": 1.0, "train_loss": 2.0},))


def through_a_file(value: object, built: object = None) -> Any:
    """The value after a round trip through a checkpoint file."""
    return restore(decode(encode(keep(value)), torch.device("cpu")), built, SPACE.parse)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        float("inf"),
        "text",
        ONE,
        RESULT,
        [1, [ONE, (OTHER, "x")]],
        (RESULT, None),
        {ONE: 0.5, OTHER: [RESULT]},
        {(ONE, 4): RESULT, "plain": {1: {2: ()}}},
        {ONE, OTHER},
        frozenset({1, 2}),
        deque([ONE, 2], maxlen=5),
        {"dict": [1], "object": {}, "architecture": "s3"},
    ],
)
def test_data_comes_back_equal_and_with_its_type(value: object) -> None:
    back = through_a_file(value)
    assert back == value and type(back) is type(value)


def test_properties_that_equality_ignores_come_back_too() -> None:
    assert through_a_file(RESULT).curve == RESULT.curve
    assert through_a_file(deque([1], maxlen=3)).maxlen == 3


@pytest.mark.parametrize("number", [np.float32(2.5), np.float64(0.1), np.int64(-3), np.bool_(True)])
def test_a_numpy_number_comes_back_as_one(number: np.generic) -> None:
    back = through_a_file({number: [number]})
    assert back == {number: [number]} and {type(n) for n in (*back, *back[number])} == {type(number)}


def test_a_trained_tensor_stays_the_one_of_its_optimiser() -> None:
    def made() -> tuple[list[torch.Tensor], torch.optim.Optimizer]:
        tensors = [torch.zeros(2, requires_grad=True), nn.Parameter(torch.zeros(3))]
        return tensors, torch.optim.SGD(tensors, lr=1.0, momentum=0.9)

    def step(tensors: list[torch.Tensor], optimiser: torch.optim.Optimizer) -> list[list[float]]:
        optimiser.zero_grad()
        sum((tensor - 1).square().sum() for tensor in tensors).backward()
        optimiser.step()
        return [tensor.tolist() for tensor in tensors]

    first, other = made(), made()
    step(*first)
    assert step(*through_a_file(first, other)) == step(*first)
    assert [tensor.tolist() for tensor in other[0]] == [tensor.tolist() for tensor in first[0]]


@pytest.mark.parametrize("built", [None, torch.zeros(3), 0.0])
def test_a_trained_tensor_that_setup_did_not_build_is_named(built: object) -> None:
    with pytest.raises(ValueError, match=r"^(setup does not create alphas|alphas from setup is not .*): create"):
        restore(keep(torch.zeros(2, requires_grad=True)), built, SPACE.parse, "alphas")


def test_a_tensor_with_a_graph_is_kept_as_numbers() -> None:
    loss = (torch.ones(2, requires_grad=True) * 3).sum()
    assert through_a_file(loss) == 6 and not through_a_file(loss).requires_grad


def test_tensors_and_arrays() -> None:
    back = through_a_file([torch.arange(3.0), np.arange(6).reshape(2, 3), np.float32(2.5)])
    assert torch.equal(back[0], torch.arange(3.0))
    assert np.array_equal(back[1], np.arange(6).reshape(2, 3))
    assert float(back[2]) == 2.5


def test_an_object_with_a_state_is_restored() -> None:
    def made() -> tuple[nn.Linear, torch.optim.Optimizer]:
        layer = nn.Linear(2, 2)
        return layer, torch.optim.Adam(layer.parameters(), lr=0.1)

    layer, optimiser = made()
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    other, others = made()
    back = through_a_file([layer, optimiser], [other, others])
    assert back[0] is other and back[1] is others
    assert torch.equal(other.weight, layer.weight)
    assert others.state_dict()["state"][0]["step"] == 1


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda: np.random.default_rng(0), lambda rng: rng.random()),
        (lambda: torch.Generator().manual_seed(0), lambda rng: float(torch.rand((), generator=rng))),
    ],
)
def test_a_generator_resumes_where_it_was(make: Callable[[], Any], draw: Callable[[Any], float]) -> None:
    rng = make()
    draw(rng)
    other = through_a_file(rng, make())
    assert other is not rng and [draw(other) for _ in range(3)] == [draw(rng) for _ in range(3)]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "thing is a object"),
        ([1, {"a": (lambda: 0)}], r"thing\[1\]\['a'\] is a function"),
        ({iter([]): 1}, "a key of thing is a list_iterator"),
        ((x for x in ()), "thing is a generator"),
        (nn.Linear, "thing is a type"),
        ({"names": np.array(["a"])}, r"thing\['names'\] is a numpy array of <U1"),
        (np.array([None]), "thing is a numpy array of object"),
    ],
)
def test_attributes_that_cannot_be_saved_are_named(value: object, where: str) -> None:
    with pytest.raises(CannotBeKept, match=where):
        keep(value, "thing")


def test_an_object_that_setup_did_not_build_is_named() -> None:
    with pytest.raises(ValueError, match="setup does not create layers"):
        restore(keep(nn.Linear(1, 1)), None, SPACE.parse, "layers")
