"""Text for people: counts with their nouns, columns of a terminal, cells of CSV files."""

import unicodedata
from collections.abc import Collection

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def counted(number: int, noun: str) -> str:
    """A count with its noun: 1 run, 2 runs, 1,000 entries."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The regular plural of a noun: boards, entries, classes, epochs."""
    if noun.endswith("och"):
        return f"{noun}s"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def either(choices: Collection[str]) -> str:
    """Choices in a sentence: a; a or b; a, b or c; nothing if there are none."""
    *first, last = choices or [""]
    return f"{', '.join(first)} or {last}" if first else last


def width(text: str) -> int:
    """Columns of a text in a terminal: two for wide characters such as Chinese ones, none for combining marks."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def left(text: str, columns: int) -> str:
    """Align text to the left of a number of columns."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """Align text to the right of a number of columns."""
    return " " * (columns - width(text)) + text


def shortened(text: str, columns: int) -> str:
    """Shorten text to at most a number of columns; … replaces the removed end."""
    if width(text) <= columns:
        return text
    used, beginning = 1, ""
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        beginning += character
    return f"{beginning}…"


def no_formula(cell: str) -> str:
    """Make a text cell of a CSV file safe for spreadsheets: prefix an apostrophe if it looks like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def no_apostrophe(cell: str) -> str:
    """Undo `no_formula`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULAS) else cell
