"""States come back equal from bytes that execute nothing."""

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pvnas_bench import seeding
from pvnas_bench.runs.states import Damaged, decode, encode

CPU = torch.device("cpu")
numbers = st.floats(allow_nan=False) | st.integers(-(2**200), 2**200) | st.booleans() | st.none()
arrays = npst.arrays(npst.integer_dtypes(endianness="=") | npst.floating_dtypes(sizes=(32, 64), endianness="="), (2, 3))
leaves = numbers | st.text() | arrays
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text(), st.integers()), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    return bool(a == b)


@given(states)
def test_a_state_comes_back_equal(state: Any) -> None:
    assert same(decode(encode(state), CPU), state)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_come_back(value: float) -> None:
    (found,) = decode(encode([value]), CPU)
    assert found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4, 5)])
def test_tensors_keep_dtype_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    found = decode(encode({"t": tensor}), CPU)["t"]
    assert found.dtype == dtype and torch.equal(found, tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(4, 3, 5, 6).contiguous(memory_format=torch.channels_last),
        torch.randn(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d),
        torch.randn(3, 4).t(),
        torch.randn(2, 3, 4).permute(2, 0, 1),
    ],
)
def test_tensors_keep_their_order_in_memory(tensor: torch.Tensor) -> None:
    found = decode(encode(tensor), CPU)
    assert torch.equal(found, tensor) and found.stride() == tensor.stride()


def test_views_of_one_storage_are_kept_apart() -> None:
    base = torch.arange(10.0)
    found = decode(encode([base, base[2:5], base, base.expand(2, 10)]), CPU)
    assert [t.tolist() for t in found] == [t.tolist() for t in (base, base[2:5], base, base.expand(2, 10))]
    found[0][0] = 7
    assert found[2][0] == 0


def test_an_optimiser_goes_on_identically() -> None:
    def network() -> torch.nn.Module:
        with seeding.torch_seeded(0, "test"):
            return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).to(
                memory_format=torch.channels_last
            )

    def step(net: torch.nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
        net(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    first, second = network(), network()
    one, two = (torch.optim.AdamW(net.parameters(), fused=True) for net in (first, second))
    step(first, one, 0)
    state = decode(encode([first.state_dict(), one.state_dict()]), CPU)
    second.load_state_dict(state[0])
    two.load_state_dict(state[1])
    step(first, one, 1)
    step(second, two, 1)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_generators_go_on_identically() -> None:
    for make in (np.random.default_rng, lambda seed: np.random.Generator(np.random.Philox(seed))):
        rng, other = make(3), make(4)
        rng.random(5)
        other.bit_generator.state = decode(encode(rng.bit_generator.state), CPU)
        assert rng.integers(2**62, size=9).tolist() == other.integers(2**62, size=9).tolist()
    generator, another = torch.Generator().manual_seed(1), torch.Generator()
    torch.rand(3, generator=generator)
    another.set_state(decode(encode(generator.get_state()), CPU))
    assert torch.equal(torch.rand(5, generator=generator), torch.rand(5, generator=another))


@pytest.mark.parametrize("state", [{"seen": {1, 2}}, [object()], {"f": print}, np.float64(1), {"a": [1, (2, b"x")]}])
def test_values_that_are_not_a_state_are_refused(state: Any) -> None:
    with pytest.raises(TypeError, match=r"is a .*: use tensors, numbers"):
        encode(state)


@given(st.binary(max_size=200))
def test_bytes_that_are_not_a_state_are_reported_as_damaged(content: bytes) -> None:
    with pytest.raises(Damaged):
        decode(content, CPU)


@given(st.data())
def test_a_state_cut_short_or_bent_does_no_harm(data: st.DataObject) -> None:
    whole = bytearray(encode({"w": torch.ones(3, 4), "n": [1, (2, 3)], "rng": np.arange(4)}))
    place = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Damaged):
        decode(bytes(whole[:place]), CPU)
    whole[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Damaged):  # a flipped bit of a number is detected by the hash in the file's name
        decode(bytes(whole), CPU)


@pytest.mark.parametrize(
    "tree",
    [
        {"object": "os.system"},
        {"tensor": ["nothing", [], "cpu"]},
        {"tensor": ["0", [0, 0, 7], "cpu"]},
        {"dict": [[[1], 2]]},
        {"dict": 3},
        {},
        {"dict": [], "tuple": []},
    ],
)
def test_an_invalid_tree_is_reported_as_damaged(tree: Any) -> None:
    from safetensors.torch import save

    with pytest.raises(Damaged):
        decode(save({"0": torch.zeros(2)}, {"tree": json.dumps(tree)}), CPU)


def test_a_too_deep_tree_is_reported_as_damaged() -> None:
    from safetensors.torch import save

    with pytest.raises(Damaged):
        decode(save({}, {"tree": "[" * 100_000 + "]" * 100_000}), CPU)
