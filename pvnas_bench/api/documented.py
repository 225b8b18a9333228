"""Docstrings of functions whose arguments are options of a run: each is described once, where it is declared."""

import inspect
from collections.abc import Callable
from typing import TypeVar

from pvnas_bench.runs.request import Command, options

F = TypeVar("F", bound=Callable[..., object])


def documented(command: Command) -> Callable[[F], F]:
    """Add to a function's docstring the options of a command that it takes and does not describe itself."""

    def decorate(function: F) -> F:
        text = inspect.cleandoc(function.__doc__ or "")
        before, heading, after = text.partition("Args:\n")
        described = {line.strip().partition(":")[0] for line in after.splitlines()}
        lines = [
            f"    {field.name}: {option.help}" + (f" Default: {option.default}." if option.default else "")
            for field, option in options(command)
            if field.name in inspect.signature(function).parameters and field.name not in described
        ]
        function.__doc__ = f"{before}{heading}" + "\n".join([*lines, after])
        return function

    return decorate
