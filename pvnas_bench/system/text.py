"""Words and columns: counts with their nouns, and text as wide as a terminal shows it."""

import unicodedata

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def counted(number: int, noun: str) -> str:
    """A count with its noun: 1 run, 2 runs, 1,000 entries."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The regular plural: boards, entries, classes, epochs."""
    if noun.endswith("och"):
        return f"{noun}s"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def width(text: str) -> int:
    """Columns that a terminal needs: two for wide characters such as Chinese ones, none for combining marks."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def left(text: str, columns: int) -> str:
    """The text at the left of so many columns."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """The text at the right of so many columns."""
    return " " * (columns - width(text)) + text


def shortened(text: str, columns: int) -> str:
    """The text in at most so many columns, with … for what is left out."""
    if width(text) <= columns:
        return text
    used, kept = 1, ""
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        kept += character
    return f"{kept}…"


def no_formula(cell: str) -> str:
    """A text cell of a CSV file that no spreadsheet executes: what looks like a formula has an apostrophe before it."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def no_apostrophe(cell: str) -> str:
    """What `no_formula` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULAS) else cell
