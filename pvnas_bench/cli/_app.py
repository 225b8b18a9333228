"""The commands by name. Their bodies import what they need, see the package's docstring."""

import os
from enum import StrEnum
from typing import Annotated

import typer

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

app = typer.Typer(
    help="Compare architecture-search strategies for video recognition.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
data = typer.Typer(help="List, prepare, verify and show data sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
table = typer.Typer(
    help="Build and use tables: every architecture of a small space trained once, for searches in seconds.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(table, name="table")
claims = typer.Typer(
    help="Test what papers claim about searches, on this benchmark's ground.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(claims, name="claims")


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


for command in (
    _commands_run.run,
    _commands_run.profile,
    _commands_run.compare,
    _commands_records.leaderboard,
    _commands_records.plot,
    _commands_records.report,
    _commands_records.learnt,
    _commands_records.check,
    _commands_table.ranks,
    _commands_table.reliability,
    _commands_table.retrain,
    _commands_run.latency,
    _commands_run.test,
    _commands_submission.submit,
    _commands_submission.verify,
    _commands_submission.checklist,
    _commands_deploy.train,
    _commands_deploy.predict,
    _commands_deploy.evaluate,
    _commands_deploy.export,
):
    app.command()(command)
app.command("list")(list_)
data.command("list")(_commands_data.list_)
for command in (_commands_data.prepare, _commands_data.verify, _commands_data.show):
    data.command()(command)
for command in (
    _commands_table.build,
    _commands_table.merge,
    _commands_table.info,
    _commands_table.query,
    _commands_table.verify,
    _commands_table.report,
):
    table.command()(command)
claims.command("list")(_commands_claims.list_)
for command in (_commands_claims.run, _commands_claims.page):
    claims.command()(command)
