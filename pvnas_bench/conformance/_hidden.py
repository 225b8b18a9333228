"""Hidden state of a strategy, which cannot be saved: in objects without a state, closures, classes and modules."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from pvnas_bench.state import CannotBeKept, keep
from pvnas_bench.strategy import GIVEN, AnyStrategy, Strategy

LARGEST = 20_000
"""Largest number of values inspected in one place."""


@dataclass
class Hidden:
    """Contents, after `setup`, of every place where a strategy could hide state.

    Attributes:
        attributes: by name, the attributes that cannot be saved.
        contents: by place, a comparable form of the content.
    """

    attributes: dict[str, object] = field(default_factory=dict)
    contents: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, strategy: AnyStrategy) -> "Hidden":
        """Inspect a strategy after `setup`."""
        hidden = cls(_unsaved(strategy))
        for place, value in _places(strategy, hidden.attributes):
            hidden.contents[place] = _content(value)
        return hidden

    def lost(self, strategy: AnyStrategy) -> list[str]:
        """List the changes since `setup` that a resumed strategy would lack, one message each."""
        now = _unsaved(strategy)
        reasons = [
            f"step sets the attribute {name} to {_a(value)}, which cannot be saved: "
            "build it in setup, or give it state_dict and load_state_dict"
            for name, value in now.items()
            if value is not self.attributes.get(name)
        ] + [
            f"the attribute {name} is an iterator ({_a(value)}), whose position cannot be saved: "
            "use a list and an index"
            for name, value in now.items()
            if value is self.attributes.get(name) and isinstance(value, Iterator) and not hasattr(value, "__dict__")
        ]
        if reasons:
            return reasons
        return [
            f"step changes {place}, which is not saved: use an attribute with plain data"
            for place, value in _places(strategy, now)
            if place in self.contents and self.contents[place] != _content(value)
        ]


def _a(value: object) -> str:
    return f"a {type(value).__name__}"


def _unsaved(strategy: AnyStrategy) -> dict[str, object]:
    """The attributes that automatic state leaves out, by name."""
    attributes: dict[str, object] = {}
    for name, value in vars(strategy).items():
        if name not in GIVEN:
            try:
                keep(value, name)
            except CannotBeKept:
                attributes[name] = value
    return attributes


def _places(strategy: AnyStrategy, unsaved: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield every place that could hold state, with its value: unsaved attributes, classes, modules of the classes."""
    for name, value in unsaved.items():
        inside = list(_functions(f"the function in the attribute {name}", value))
        yield from inside or [(f"the attribute {name} ({_a(value)})", value)]
    modules: dict[str, ModuleType] = {}
    for kind in type(strategy).__mro__:
        module = sys.modules.get(kind.__module__)
        if kind in Strategy.__mro__ or module is None or _harness(module):
            continue
        modules[module.__name__] = module
        for name, value in vars(kind).items():
            yield from _functions(f"the method {name} of {kind.__name__}", value)
            if not callable(value) and not name.startswith("__"):
                yield f"the class attribute {kind.__name__}.{name}", value
    for module in modules.values():
        for name, value in vars(module).items():
            if name.startswith("__") or isinstance(value, type | ModuleType):
                continue
            if isinstance(value, FunctionType):
                if value.__module__ == module.__name__:
                    yield from _functions(f"the function {name}", value)
            elif not callable(value):
                yield f"the module's global {name}", value


def _harness(module: ModuleType) -> bool:
    name = module.__name__
    return name.partition(".")[0] == "pvnas_bench" and not name.startswith("pvnas_bench.strategies")


def _functions(where: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the values that a function holds: closure, defaults and attributes."""
    function = getattr(value, "__func__", value)
    function = getattr(function, "fget", None) or function
    if not isinstance(function, FunctionType):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # an empty cell
            continue
        if name != "__class__":
            yield f"{name} in the closure of {where}", content
    if function.__defaults__ or function.__kwdefaults__:
        yield f"a default of {where}", [function.__defaults__, function.__kwdefaults__]
    if vars(function):
        yield f"an attribute of {where}", dict(vars(function))


def _content(value: object) -> object:
    """A form of a value for comparison: equal if and only if the visible content is equal."""
    seen: dict[int, int] = {}

    def look(value: object) -> object:
        if isinstance(value, bool | int | float | str | bytes | None):
            return value
        if id(value) in seen or len(seen) > LARGEST:
            return ("again", seen.get(id(value), -1))
        seen[id(value)] = len(seen)
        if isinstance(value, torch.Tensor):
            return ("tensor", id(value), value._version)
        if isinstance(value, np.ndarray):
            return ("array", value.shape, value.tobytes())
        if isinstance(value, Mapping):
            return ("mapping", [(look(key), look(item)) for key, item in value.items()])
        if isinstance(value, list | tuple):
            return ("sequence", [look(item) for item in value])
        if isinstance(value, set | frozenset):
            return ("set", sorted(map(repr, value)))
        if isinstance(value, FunctionType | MethodType):
            return ("function", [look(held) for _, held in _functions("", value)])
        if isinstance(value, type | ModuleType | GeneratorType) or _of_library(value):
            return ("object", id(value))
        inside: dict[str, Any] = getattr(value, "__dict__", {})
        return ("object", id(value), [(name, look(attribute)) for name, attribute in inside.items()])

    return look(value)


def _of_library(value: object) -> bool:
    """Return True if an object's class belongs to the harness or to a library, which hold no state of a search."""
    module = sys.modules.get(type(value).__module__)
    if module is None:
        return True
    file = getattr(module, "__file__", None) or ""
    return _harness(module) or "site-packages" in file or not file
