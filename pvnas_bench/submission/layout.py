"""The files of a submission: their places, and limits that are checked before any file is read."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pvnas_bench import records
from pvnas_bench.submission.findings import Disagreement

MANIFEST, README, CHECKLIST = "manifest.json", "README.md", "checklist.md"
RECORDS, STRATEGY = "records", "strategy"
PAGES = (MANIFEST, README, CHECKLIST)
FOLDERS = (RECORDS, STRATEGY)

MOST_FILES = 10_000
DEEPEST = 4
"""Parts of a path: a module in a package beside the strategy has three."""
MOST_BYTES = 2**29
"""Size of a whole submission."""
MOST_SOURCE, MOST_PAGE = 2**20, 8 * 2**20
"""Sizes of a source file, and of the manifest and pages."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]{0,99}")
"""Names that every file system and shell takes as they are."""


@dataclass(frozen=True)
class Listing:
    """The regular files of a folder by relative path with their sizes, and everything that may not be there."""

    files: dict[str, int]
    disagreements: tuple[Disagreement, ...]


def record_name(identifier: str) -> str:
    """Path of a record, relative to the submission."""
    return f"{RECORDS}/{identifier}.{records.FILE_NAME}"


def limit(path: str) -> int:
    """Largest size of a file, by its relative path."""
    if path in PAGES:
        return MOST_PAGE
    return records.MAX_BYTES if path.startswith(f"{RECORDS}/") else MOST_SOURCE


def listing(folder: Path) -> Listing:
    """List a submission without following a link or opening a file.

    Raises:
        OSError: a folder cannot be read.
    """
    files: dict[str, int] = {}
    wrong: list[Disagreement] = []
    for path, status in _walk(folder, ""):
        if len(files) + len(wrong) >= MOST_FILES:
            wrong.append(Disagreement(".", f"more than {MOST_FILES:,} files"))
            break
        reason = _refused(path, status)
        if reason is not None:
            wrong.append(Disagreement(path, reason))
        elif stat.S_ISREG(status.st_mode):
            files[path] = status.st_size
    if sum(files.values()) > MOST_BYTES:
        wrong.append(Disagreement(".", f"larger than {MOST_BYTES / 2**20:g} MiB together"))
    wrong += _namesakes(files)
    wrong += [Disagreement(name, "is missing") for name in PAGES if name not in files]
    if not any(path.startswith(f"{RECORDS}/") for path in files):
        wrong.append(Disagreement(RECORDS, "holds no record"))
    return Listing(files, tuple(wrong))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths with their status, links as links, folders before their files; too deep ones are not entered."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{prefix}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        yield path, status
        if stat.S_ISDIR(status.st_mode) and path.count("/") < DEEPEST and NAME.fullmatch(entry.name):
            yield from _walk(folder / entry.name, f"{path}/")


def _refused(path: str, status: os.stat_result) -> str | None:
    """Why something may not be in a submission."""
    top, _, rest = path.partition("/")
    name = path.rpartition("/")[2]
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return "is no regular file"
    if not NAME.fullmatch(name):
        return "has a name that is not made of letters, digits and . _ = - only, or begins with a dot"
    if path.count("/") >= DEEPEST:
        return "lies too deep"
    if stat.S_ISDIR(status.st_mode):
        return None if top in FOLDERS and (top != RECORDS or not rest) else "is not part of a submission"
    if path in PAGES:
        expected = True
    elif top == RECORDS:
        expected = name.endswith(f".{records.FILE_NAME}") and "/" not in rest
    else:
        expected = top in FOLDERS and bool(rest) and name.endswith(".py")
    if not expected:
        return "is not part of a submission"
    if status.st_size > limit(path):
        return f"is larger than {limit(path) / 2**20:g} MiB"
    return None


def _namesakes(files: dict[str, int]) -> Iterator[Disagreement]:
    """Files that are one on a file system without upper and lower case."""
    seen: dict[str, str] = {}
    for path in files:
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            yield Disagreement(path, f"differs from {other} in upper and lower case only")
