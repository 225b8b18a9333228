"""The commands by name. Their bodies import what they need, see the package's docstring."""

import inspect
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from pvnas_bench.cli import (
    _commands_claims,
    _commands_data,
    _commands_deploy,
    _commands_records,
    _commands_run,
    _commands_submission,
    _commands_table,
)
from pvnas_bench.cli._options import Json
from pvnas_bench.errors import UsageError

Command = Callable[..., int] | tuple[str, Mapping[str, Callable[..., int]]]
"""A command's function, or the help of a group and its commands."""


def _built(name: str, command: Command) -> TyperCommand | TyperGroup:
    """The command with its options, or the group with its commands."""
    plain: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None}
    if isinstance(command, tuple):
        help, functions = command
        made = typer.Typer(help=help, no_args_is_help=True, **plain)
        for word, function in functions.items():
            made.command(word)(function)
    else:
        made = typer.Typer(**plain)
        made.command(name)(command)
    return cast(TyperCommand | TyperGroup, typer.main.get_command(made))


class Group(TyperGroup):
    """The top level: builds a command's options when the command is used, which `--help` does not need.

    Attributes:
        commands: the commands by name, with their help only.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._listing = False
        for name, command in _commands.items():
            help = command[0] if isinstance(command, tuple) else inspect.getdoc(command)
            self.commands[name] = TyperCommand(name, help=help)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command with its options, or its help only while all commands are listed; None if there is none."""
        if self._listing or cmd_name not in _commands:
            return self.commands.get(cmd_name)
        return _built(cmd_name, _commands[cmd_name])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands with the first lines of their help."""
        self._listing = True
        try:
            super().format_commands(ctx, formatter)
        finally:
            self._listing = False


app = typer.Typer(
    cls=Group,
    help="Compare architecture-search strategies for video recognition.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


class Listed(StrEnum):
    """Kinds of things that `list` shows."""

    strategies = "strategies"
    spaces = "spaces"
    datasets = "datasets"
    protocols = "protocols"


def _version(wanted: bool) -> None:
    if wanted:
        from pvnas_bench.release import VERSION

        print(VERSION)
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Compare architecture-search strategies for video recognition."""
    # The test of `torch.distributed.is_torchelastic_launched`, without torch.
    if "TORCHELASTIC_RUN_ID" in os.environ and context.invoked_subcommand != "run":
        raise UsageError(f"torchrun works with `run` only: start `{context.invoked_subcommand}` without it")


def list_(
    what: Annotated[
        Listed, typer.Argument(help="Kind of names to list.", metavar="strategies|spaces|datasets|protocols")
    ],
    json: Json = False,
) -> int:
    """List the names of strategies, spaces, data sets or protocols, with their descriptions."""
    from pvnas_bench.cli import _list
    from pvnas_bench.system.quiet import quiet

    with quiet():
        return _list.show(what.value, as_json=json)


_commands: Mapping[str, Command] = {
    "run": _commands_run.run,
    "profile": _commands_run.profile,
    "compare": _commands_run.compare,
    "leaderboard": _commands_records.leaderboard,
    "plot": _commands_records.plot,
    "report": _commands_records.report,
    "learnt": _commands_records.learnt,
    "check": _commands_records.check,
    "tune": _commands_table.tune,
    "ranks": _commands_table.ranks,
    "reliability": _commands_table.reliability,
    "retrain": _commands_table.retrain,
    "latency": _commands_run.latency,
    "test": _commands_run.test,
    "submit": _commands_submission.submit,
    "verify": _commands_submission.verify,
    "checklist": _commands_submission.checklist,
    "train": _commands_deploy.train,
    "predict": _commands_deploy.predict,
    "evaluate": _commands_deploy.evaluate,
    "export": _commands_deploy.export,
    "list": list_,
    "data": (
        "List, prepare, verify and show data sets.",
        {
            "list": _commands_data.list_,
            "prepare": _commands_data.prepare,
            "verify": _commands_data.verify,
            "show": _commands_data.show,
        },
    ),
    "table": (
        "Build and use tables: every architecture of a small space trained once, for searches in seconds.",
        {
            "build": _commands_table.build,
            "merge": _commands_table.merge,
            "info": _commands_table.info,
            "query": _commands_table.query,
            "verify": _commands_table.verify,
            "report": _commands_table.report,
        },
    ),
    "claims": (
        "Test what papers claim about searches, on this benchmark's ground.",
        {"list": _commands_claims.list_, "run": _commands_claims.run, "page": _commands_claims.page},
    ),
}
"""The commands in the order of `--help`: functions, and groups of functions with their help."""
