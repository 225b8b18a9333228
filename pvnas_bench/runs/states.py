"""States as bytes: tensors in a safetensors file, everything else as JSON in its metadata. Reading executes no code.

A state consists of dicts, lists, tuples, tensors, numpy arrays, numbers, strings and None, arbitrarily nested. Reading
returns an equal state; tensors keep dtype and memory order, on which fused optimisers rely.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

TREE = "tree"
"""Metadata key of the JSON. Non-JSON values are single-key objects."""


class Damaged(ValueError):
    """The bytes are not a state."""


def encode(state: Any) -> bytes:
    """Encode a state as a safetensors file.

    Raises:
        TypeError: the state holds a value of another type.
    """
    tensors: dict[str, Tensor] = {}
    tree = _tree(state, tensors, "state")
    return save(tensors, {TREE: json.dumps(tree, separators=(",", ":"))})


def _tree(state: Any, tensors: dict[str, Tensor], where: str) -> Any:
    if state is None or type(state) in (bool, int, float, str):
        return state
    if isinstance(state, Tensor):
        tensor = state.detach()
        order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        if not tensor.permute(order).is_contiguous():
            order = list(range(tensor.ndim))
        name = str(len(tensors))
        tensors[name] = tensor.permute(order).to("cpu", copy=True).contiguous()
        return {"tensor": [name, order, tensor.device.type]}
    if isinstance(state, np.ndarray):
        name = str(len(tensors))
        tensors[name] = torch.from_numpy(np.array(state, order="C"))
        return {"array": name}
    if isinstance(state, Mapping):
        return {
            "dict": [
                [_tree(key, tensors, f"a key of {where}"), _tree(value, tensors, f"{where}[{key!r}]")]
                for key, value in state.items()
            ]
        }
    if type(state) in (list, tuple):
        items = [_tree(value, tensors, f"{where}[{i}]") for i, value in enumerate(state)]
        return items if type(state) is list else {"tuple": items}
    raise TypeError(f"{where} is a {type(state).__name__}: use tensors, numbers, strings, lists and dicts")


def decode(content: bytes, device: torch.device) -> Any:
    """Decode the state in a safetensors file.

    Args:
        device: device of tensors that were not on the CPU.

    Raises:
        Damaged: the file is not a state, or is truncated.
    """
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return _state(json.loads(header["__metadata__"][TREE]), tensors, device)
    except (SafetensorError, ValueError, TypeError, LookupError, RuntimeError, RecursionError) as error:
        raise Damaged(f"not a state: {type(error).__name__}: {error}") from None


def _state(tree: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    if isinstance(tree, list):
        return [_state(item, tensors, device) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tuple":
        return tuple(_state(item, tensors, device) for item in value)
    if kind == "dict":
        return {_state(key, tensors, device): _state(item, tensors, device) for key, item in value}
    if kind == "array":
        return tensors[value].clone().numpy()
    if kind != "tensor":
        raise ValueError(f"unknown kind {kind!r}")
    name, order, where = value
    restored = tensors[name].clone().permute(np.argsort(order).tolist())
    return restored if where == "cpu" else restored.to(device)
