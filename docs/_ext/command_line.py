"""The directive `command-line`: every command of `pvnas-bench` with its options, from the program itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_id

import pvnas_bench
from pvnas_bench.cli._app import app as program

PACKAGE = Path(pvnas_bench.__file__).parent
SOURCES = [*sorted((PACKAGE / "cli").glob("*.py")), PACKAGE / "runs" / "request.py"]
"""Files whose changes make the page anew."""


class CommandLine(SphinxDirective):
    """Sections of the commands."""

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of the program's help."""
        for source in SOURCES:
            self.env.note_dependency(str(source))
        command = typer.main.get_command(program)
        return list(self._commands(command, "pvnas-bench"))

    def _commands(self, group: Any, name: str) -> Iterator[nodes.Node]:
        for word in group.list_commands(None):
            command = group.get_command(None, word)
            full = f"{name} {word}"
            if hasattr(command, "commands"):
                yield from self._commands(command, full)
            else:
                yield self._section(command, full)

    def _section(self, command: Any, name: str) -> nodes.Node:
        section = nodes.section(ids=[make_id(self.env, self.state.document, "command", name.partition(" ")[2])])
        section += nodes.title("", "", nodes.literal("", name))
        for paragraph in (command.help or "").split("\n\n"):
            section += nodes.paragraph("", "", *inline(" ".join(paragraph.split())))
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
        section += nodes.literal_block(usage, usage, language="text")
        records = [record for one in command.params if (record := one.get_help_record(context))]
        if records:
            entries = nodes.definition_list()
            for term, text in records:
                entry = nodes.definition_list_item("", nodes.term("", "", nodes.literal("", term)))
                entry += nodes.definition("", nodes.paragraph("", "", *inline(text)))
                entries += entry
            section += entries
        return section


def inline(text: str) -> Iterator[nodes.Node]:
    """Text whose words in backticks are code."""
    for number, part in enumerate(text.split("`")):
        if part:
            yield nodes.literal("", part) if number % 2 else nodes.Text(part)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
