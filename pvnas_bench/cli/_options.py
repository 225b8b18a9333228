"""Command-line options: those of a run, generated from the fields of `Request`, and those shared by commands."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, cast, get_type_hints

import typer

from pvnas_bench.runs.request import (
    Command,
    Option,
    Request,
    default_of,
    flag_of,
    option_of,
    options,
    parse_entry,
    parse_settings,
)

_More = ParamSpec("_More")
_TYPES = get_type_hints(Request)
INTRODUCTION = """\
# Options of a run

Generated from the fields of `pvnas_bench.runs.request.Request`. `--help` of each command lists its other options.

A strategy is written `name` or `name[key=value, …]`, both for `--strategy` and in a grid's file. `compare` takes
`--strategy`, `--space` and `--dataset` several times, or a TOML file with the keys of the second table; an option
overrides the file:

```toml
strategies = ["random_search", "expert[network=tsm]", "path/to/mine.py"]
spaces = ["st_default"]
datasets = ["synthetic_motion"]
seeds = 3
budget = 6.0
```
"""


class PageFormat(StrEnum):
    """Output formats of `learnt` and `ranks`."""

    markdown = "markdown"
    json = "json"


def on_request(function: Callable[Concatenate[Request, _More], int]) -> Callable[..., int]:
    """Decorate a command of one run: replace its `Request` by the options of a request, followed by its other ones."""
    asked = list(options(cast(Command, function.__name__)))

    def given(words: dict[str, Any]) -> Request:
        values = {field.name: _joined(words.pop(field.name), option) for field, option in asked}
        name, settings = parse_entry(values["strategy"])
        return Request(**values | {"strategy": name, "settings": parse_settings(values["settings"] or (), settings)})

    return _with_options(function, [_parameter(*one) for one in asked], given)


def on_grid(function: Callable[Concatenate[Mapping[str, Any], Mapping[str, Any], _More], int]) -> Callable[..., int]:
    """Decorate a command of many runs: replace the keys of a grid and the shared fields of its requests by options."""
    asked = list(options("compare"))

    def given(words: dict[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        keys = {}
        for field, option in asked:
            if option.axis or option.in_grid:
                value = _joined(words.pop(field.name), option)
                if value is not None and value is not False and value != []:
                    keys[option.axis or field.name] = value
        return keys, {field.name: words.pop(field.name) for field, _ in asked if field.name in words}

    return _with_options(function, [_grid_parameter(*one) for one in asked], given)


def _joined(value: Any, option: Option) -> Any:
    """The value of an option that may be repeated, as the field holds it."""
    return (",".join(value) if value else None) if option.joined else value


def _with_options(function: Callable[..., int], asked: list[inspect.Parameter], given: Any) -> Callable[..., int]:
    """Give a function the signature that typer reads; `given` makes its first arguments from the asked options."""
    parameters = inspect.signature(function).parameters.values()
    listed = [*asked, *(one for one in parameters if one.kind is one.KEYWORD_ONLY)]

    @wraps(function)
    def called(**words: Any) -> int:
        first = given(words)
        return function(*(first if isinstance(first, tuple) else (first,)), **words)

    called.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in listed}
    return called


def _parameter(field: "Field[Any]", option: Option) -> inspect.Parameter:
    default = default_of(field)
    kind = _TYPES[field.name]
    if field.name == "settings" or option.joined:
        kind, default = list[str] | None, None
    return _keyword(field.name, kind, default, flag_of(field), option)


def _grid_parameter(field: "Field[Any]", option: Option) -> inspect.Parameter:
    flag = flag_of(field)
    if option.axis_help:
        numbered = Option(option.axis_help, least=1)
        return _keyword(field.name, int | None, None, f"--{option.axis}", numbered)
    if option.axis:
        return _keyword(field.name, list[str] | None, None, flag, option, "; may be repeated")
    if option.joined:
        return _keyword(field.name, list[str] | None, None, flag, option)
    if option.in_grid and _TYPES[field.name] is not bool:  # None: the value in the grid's file
        return _keyword(field.name, _TYPES[field.name] | None, None, flag, option)
    if option.side_by_side is not None:
        alone = Option(option.help, least=option.least)
        return _keyword(field.name, type(option.side_by_side), option.side_by_side, flag, alone)
    return _parameter(field, option)


def _keyword(name: str, kind: Any, default: Any, flag: str, option: Option, more: str = "") -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, _typer(flag, option, more)],
    )


def _typer(flag: str, option: Option, more: str = "") -> Any:
    shown = f"{option.help.removesuffix('.')}{more}." if more else option.help
    if option.default:
        shown += f"  [default: {option.default}]"
    return typer.Option(flag, help=shown, metavar=option.metavar, min=option.least)


def declared(name: str) -> Any:
    """The option of a field of `Request`, for other commands that have it too."""
    (field,) = (field for field, _ in options() if field.name == name)
    return _typer(flag_of(field), option_of(name))


def table() -> str:
    """Content of `docs/options.md`: all options of a run, and all keys of a grid's file."""
    return "\n".join([INTRODUCTION, *_flags(), "", *_keys(), ""])


def _flags() -> Iterator[str]:
    yield from ("| option | commands | description | default |", "|---|---|---|---|")
    for field, option in options():
        flag = flag_of(field).replace("/", "`, `")
        commands = [one for one in option.commands if one != "compare" or not option.axis_help]
        yield f"| `{flag}` | {', '.join(commands)} | {_cell(option.help)} | {_default(field, option)} |"
        if option.axis_help:
            yield f"| `--{option.axis}` | compare | {_cell(option.axis_help)} | 3 |"


def _keys() -> Iterator[str]:
    yield from ("| key of a grid | description |", "|---|---|")
    for field, option in options():
        if option.axis:
            what = option.axis_help or f"A list: {option.help[0].lower()}{option.help[1:]}"
            yield f"| `{option.axis}` | {_cell(what)} |"
        elif option.in_grid:
            yield f"| `{field.name}` | as `{flag_of(field)}` |"


def _default(field: "Field[Any]", option: Option) -> str:
    default = default_of(field)
    if default is MISSING:
        return "required"
    if isinstance(default, bool):
        forms = flag_of(field).split("/")
        apart = f"; in `compare` `{forms[-1]}`" if option.side_by_side is False else ""
        return f"`{forms[0]}`{apart}" if default else "off"
    words = option.default or ("none" if default is None or default == {} else f"`{default}`")
    return f"{words}; in `compare` {option.side_by_side}" if option.side_by_side is not None else words


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Results = Annotated[Path, declared("results")]
Dataset = Annotated[str, declared("dataset")]
Tables = Annotated[Path | None, declared("tables")]
Workers = Annotated[int | None, typer.Option(help="Parallel decoding processes.  [default: one per core]", min=1)]
Reference = Annotated[
    bool, typer.Option("--reference/--no-reference", help="Include the published runs of the same boards.")
]


class Cells(StrEnum):
    """Executors of independent pieces of work."""

    processes = "processes"
    ray = "ray"


RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Address of a Ray cluster, for --executor ray.  [default: RAY_ADDRESS, else a local Ray]",
        metavar="HOST:PORT",
    ),
]
On = Annotated[
    Cells, typer.Option("--executor", help="Run in processes of this machine, or on Ray, local or a cluster.")
]
