"""Arguments of Python functions, checked as the command line checks its words."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from pvnas_bench.errors import UsageError
from pvnas_bench.runs.request import Request, flag_of, options, parse_entry, parse_settings

StrPath = str | os.PathLike[str]
Cap = str | float | Iterable[str | float]
"""One cap, or several."""
_TYPES = get_type_hints(Request)


def request_of(strategy: StrPath, settings: Mapping[str, object] | None = None, **values: Any) -> Request:
    """The request of a strategy and the fields of a `Request`.

    Args:
        strategy: a name, ``name[key=value, …]`` or a path.
        settings: hyper-parameters.

    Raises:
        UsageError: a value has the wrong type or is out of range; the words are those of the command line.
    """
    name, bracketed = parse_entry(os.fspath(strategy))
    words = [f"{key}={value}" for key, value in (settings or {}).items()]
    return Request(name, settings=parse_settings(words, bracketed), **fields_of(values))


def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of fields of a `Request`, in their types.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """
    declared = {field.name: (flag_of(field).split("/")[0], option) for field, option in options()}

    def typed(name: str, value: Any) -> Any:
        flag, option = declared.get(name, (f"--{name}", None))
        if option is not None and option.joined and isinstance(value, Iterable) and not isinstance(value, str):
            return ",".join(checked(one, str, flag) for one in value) or None
        return checked(value, _TYPES[name], flag, None if option is None else option.least)

    return {name: typed(name, value) for name, value in values.items()}


def checked(value: Any, kind: Any, flag: str, least: float | None = None) -> Any:
    """A value in its type.

    Args:
        least: the smallest value allowed.

    Raises:
        UsageError: the value does not fit.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind in (str, str | None) and isinstance(value, int | float):
        value = f"{value:.17g}" if isinstance(value, float) else str(value)  # a cap
    if isinstance(value, str) and kind in (Path, Path | None):
        return Path(value)
    try:
        return TypeAdapter(kind if least is None else Annotated[kind, Field(ge=least)]).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"Invalid value for '{flag}': {error.errors(include_url=False)[0]['msg']}") from None


def several(values: StrPath | Iterable[StrPath] | None) -> list[str] | None:
    """One word or several as a list of words."""
    if values is None:
        return None
    return [os.fspath(one) for one in ([values] if isinstance(values, str | os.PathLike) else values)]
