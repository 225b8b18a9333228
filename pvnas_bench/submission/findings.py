"""Disagreements: what is wrong with a submission, one line each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 300
"""Characters of a line; the middle of a longer one is left out."""


@dataclass(frozen=True)
class Disagreement:
    """One thing in a submission that does not agree.

    Attributes:
        where: the file, relative to the submission.
        what: the two things that disagree.
    """

    where: str
    what: str

    def __str__(self) -> str:
        """One printable line."""
        line = "".join(c if c.isprintable() else "�" for c in " ".join(f"{self.where}: {self.what}".split()))
        return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"


def at(where: str, messages: Iterable[str]) -> Iterator[Disagreement]:
    """Disagreements of one file."""
    return (Disagreement(where, what) for what in messages)


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
