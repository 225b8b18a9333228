"""Every command and code block of the documents runs, in order, in one folder for each document.

The tutorials and the quick start run word for word. In the other documents commands that search get further words that
make them small. Commands that need a cluster or hours are listed in `not_run.py`, and nowhere else.
"""

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench.cli import OK, main

from .blocks import DOCUMENTS, ROOT, Block, blocks, name, words_of
from .miniatures import workplace
from .not_run import EXCEPTIONS

WORD_FOR_WORD = {"quickstart.md", *(path.name for path in (ROOT / "docs" / "tutorials").glob("*.md"))}
CLIPS = ROOT / "docs" / "tutorials" / "2-own-clips.md"
NEED_CLIPS = {"quickstart.md", "5-model-in-use.md"}
"""Documents that begin with the folder `clips` that the first Python block of `CLIPS` makes."""
BUDGET = ["--budget", "2"]
SMALLER = {
    "train": ["--epochs", "1", "--threads", "1"],
    "latency": ["--dataset", "clips", "--threads", "1", "--networks", "2"],
    "reliability": ["--space", "st_micro", "--dataset", "clips", "--architectures", "3", "--workers", "1"],
    "verify": ["--dataset", "clips"],
}
"""Words that make a command small."""
KINDS = {"bash", "python", "toml", "text"}


def smaller(words: list[str]) -> list[str]:
    """The words of a command with others that make it small: the last word of an option counts."""
    for command, more in SMALLER.items():
        if words[0] == command:
            return [*words, *more]
    tabular = "--tabular" in words
    if words[0] == "compare":
        small = ["--seeds", "2", "--workers", "1"] if "--seeds" in words else []
        return [*words, *small, *([] if tabular or "--strategy" not in words else ["--dataset", "clips", *BUDGET])]
    if words[0] not in ("run", "profile") or tabular:
        return words
    named = [] if "--dataset" in words else ["--dataset", "clips"]
    return [*words, *named, *BUDGET, "--threads", "1"]


def run(command: str, small: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command: one of the program, or a Python file."""
    command, _, file = command.partition(" > ")
    words = words_of(command)
    if words is None and command.startswith("python "):
        subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True, timeout=300)
        return
    assert words, f"{command!r} neither runs nor is listed in tests/docs/not_run.py"
    code = main(smaller(words) if small else words)
    out, err = capsys.readouterr()
    assert code == OK, f"{command}: exit code {code}\n{out}\n{err}"
    if file:
        Path(file).write_text(out, encoding="utf-8")


@pytest.mark.docs
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if blocks(d)], ids=name)
def test_the_blocks_of_a_document_run(
    document: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    small = document.name not in WORD_FOR_WORD
    if small:
        workplace(tmp_path, tiny_dataset)
    names: dict[str, Any] = {"__name__": "document"}
    if document.name in NEED_CLIPS:
        execute(CLIPS, next(block for block in blocks(CLIPS) if block.kind == "python"), {})
    for block in blocks(document):
        assert block.kind in KINDS, f"{name(document)}:{block.line}: a block of kind {block.kind!r}"
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        if block.kind == "toml":
            tomllib.loads(block.text)
        elif block.kind == "bash":
            for command in block.commands:
                if command not in EXCEPTIONS:
                    run(command, small, capsys)
        elif block.kind == "python" and not block.file and first_line(block) not in EXCEPTIONS:
            execute(document, block, names)


def execute(document: Path, block: Block, names: dict[str, Any]) -> None:
    exec(compile(block.text, f"{name(document)}:{block.line}", "exec"), names)  # noqa: S102 - our own documents


def first_line(block: Block) -> str:
    return block.text.partition("\n")[0]


def test_every_exception_is_in_a_document() -> None:
    listed = [block for document in DOCUMENTS for block in blocks(document)]
    there = {command for block in listed if block.kind == "bash" for command in block.commands}
    there |= {first_line(block) for block in listed if block.kind == "python"}
    assert EXCEPTIONS.keys() - there == set()
