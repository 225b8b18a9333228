"""Automatic state: saving and restoring the attributes of a strategy.

The state covers every stateful attribute (modules, optimisers, distributions, generators), every attribute that is
plain data, an `Architecture` or an `Evaluation`, and every list, tuple, set, deque or dict of these. Stateful objects
are not replaced: `setup` builds them again and they load their states. The same holds for trainable tensors (leaves
that require a gradient), since an optimiser refers to the tensor object.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from pvnas_bench.problem import Evaluation
from pvnas_bench.space import Architecture

State: TypeAlias = (
    bool | int | float | str | torch.Tensor | npt.NDArray[Any] | Sequence["State"] | Mapping[Any, "State"] | None
)
"""Content of a checkpoint: tensors, arrays, numbers, strings, None, and lists, tuples and dicts of these."""
Parse: TypeAlias = Callable[[str], Architecture]

PLAIN = (bool, int, float, str, type(None))
NUMBERS = "biufc"
"""Kinds of numpy dtypes that a checkpoint can hold."""
SEQUENCES = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class CannotBeKept(TypeError):
    """The value is neither stateful nor data."""


def keep(value: object, where: str = "the value") -> State:
    """Convert a value to a state: a number, string, None, tensor or array as is, else a dict with one key.

    Args:
        where: name of the value, for messages.

    Raises:
        CannotBeKept: the value, or a part of it, is neither stateful nor data.
    """
    if type(value) in PLAIN:
        return value  # type: ignore[return-value]
    if isinstance(value, torch.Tensor):
        return {"trained": value.detach()} if value.requires_grad and value.is_leaf else value.detach()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in NUMBERS:
            raise CannotBeKept(f"{where} is a numpy array of {value.dtype}: only numbers can be saved")
        return np.asarray(value) if isinstance(value, np.ndarray) else {"scalar": np.asarray(value)}
    if isinstance(value, Architecture):
        return {"architecture": str(value)}
    if isinstance(value, Evaluation):
        numbers = [value.top1, value.loss, value.epochs, value.macs, value.parameters]
        return {"evaluation": [str(value.architecture), *numbers, [dict(row) for row in value.curve]]}
    if isinstance(value, np.random.Generator):
        return {"numpy": dict(value.bit_generator.state)}
    if isinstance(value, torch.Generator):
        return {"torch": value.get_state()}
    for name, kind in SEQUENCES.items():
        if type(value) is kind:
            members = sorted(value, key=repr) if name.endswith("set") else value
            return {name: [keep(member, f"{where}[{i}]") for i, member in enumerate(members)]}
    if type(value) is deque:
        return {"deque": [value.maxlen, [keep(member, f"{where}[{i}]") for i, member in enumerate(value)]]}
    if type(value) is dict:
        return {
            "dict": [[keep(key, f"a key of {where}"), keep(item, f"{where}[{key!r}]")] for key, item in value.items()]
        }
    if has_state(value):
        return {"object": value.state_dict()}  # type: ignore[attr-defined]
    raise CannotBeKept(f"{where} is a {type(value).__name__}, which has no state_dict and is not data")


def has_state(value: object) -> bool:
    """Return True if an object is stateful: it has `state_dict` and `load_state_dict`."""
    return not isinstance(value, type) and all(
        callable(getattr(value, name, None)) for name in ("state_dict", "load_state_dict")
    )


def restore(state: Any, built: object, parse: Parse, where: str = "the value") -> Any:
    """Restore a value from a state returned by `keep`.

    Args:
        built: the value built by `setup`; its stateful objects load their states.
        parse: converts an architecture's string to the architecture.
        where: name of the value, for messages.

    Raises:
        ValueError: `setup` built no object that can load the state.
    """
    if not isinstance(state, Mapping):
        return state
    ((kind, content),) = state.items()
    if kind == "architecture":
        return parse(content)
    if kind == "evaluation":
        string, top1, loss, epochs, macs, parameters, curve = content
        rows = tuple(dict(row) for row in curve)
        return Evaluation(parse(string), top1, loss, epochs, macs, parameters, rows)
    if kind == "scalar":
        return content[()]
    if kind in SEQUENCES:
        return SEQUENCES[kind](_members(content, built, parse, where))
    if kind == "deque":
        return deque(_members(content[1], built, parse, where), content[0])
    if kind == "dict":
        known = built if isinstance(built, Mapping) else {}
        pairs = ((restore(key, None, parse, where), value) for key, value in content)
        return {key: restore(value, known.get(key), parse, f"{where}[{key!r}]") for key, value in pairs}
    if built is None:
        raise ValueError(f"setup does not create {where}: create it there, or override load_state_dict")
    if kind == "trained":
        if not isinstance(built, torch.Tensor) or built.shape != content.shape:
            raise ValueError(
                f"{where} from setup is not a tensor of shape {tuple(content.shape)}: create that one, "
                "or override load_state_dict"
            )
        with torch.no_grad():
            built.copy_(content)
    elif kind == "numpy":
        built.bit_generator.state = content  # type: ignore[attr-defined]
    elif kind == "torch":
        built.set_state(content)  # type: ignore[attr-defined]
    else:
        built.load_state_dict(content)  # type: ignore[attr-defined]
    return built


def _members(content: Sequence[Any], built: object, parse: Parse, where: str) -> list[Any]:
    known = (
        list(built) if isinstance(built, list | tuple | deque) and len(built) == len(content) else [None] * len(content)
    )
    pairs = zip(content, known, strict=True)
    return [restore(member, built_member, parse, f"{where}[{i}]") for i, (member, built_member) in enumerate(pairs)]
