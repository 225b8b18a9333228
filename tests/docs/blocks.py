"""Code blocks of a Markdown document, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w./-]+\.\w+)`:$")
PROGRAMS = (["pvnas-bench"], [".venv/bin/pvnas-bench"], ["python", "-m", "pvnas_bench"])


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        kind: its language.
        line: number of its first line in the document.
        file: name of the file that the sentence before it says it is: "Save this as `mine.py`:".
    """

    kind: str
    text: str
    line: int
    file: str | None = None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := " ".join(line.partition(" #")[0].split())) and line[0] != "#"]


def name(document: Path) -> str:
    """A document in the names of tests."""
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path) -> list[Block]:
    """The code blocks of a document in order; directives of Sphinx are none."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        indent, kind, content = match.groups()
        if kind.startswith("{"):
            continue
        before = text[: match.start()].rstrip().splitlines()[-1:]
        file = NAMED.search(before[0]) if before else None
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(kind, re.sub(rf"^{indent}", "", content, flags=re.MULTILINE), line, file and file[1]))
    return found


def words_of(command: str) -> list[str] | None:
    """The words after the program's name; None if the command is of another program."""
    words = shlex.split(command)
    for program in PROGRAMS:
        if words[: len(program)] == program:
            return words[len(program) :]
    return None
