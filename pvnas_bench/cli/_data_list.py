"""The command `data list`: data sets that have a name, and those that lie in a folder."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from pvnas_bench.cli import OK
from pvnas_bench.errors import UsageError
from pvnas_bench.video import LAYOUTS, detect, is_manifest, list_datasets, load_description

_Item = dict[str, str]

_DEEPEST = 4
"""Levels below the folder that are looked into."""
_MOST_FOLDERS = 5000


def show(folder: Path, *, formats: bool, as_json: bool) -> int:
    """Print the data sets of the package and those found in a folder, or the layouts that are understood.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"no such folder {str(folder)!r}: check the path")
    items = list(_formats() if formats else [*_named(), *_found(folder)])
    if as_json:
        print(json.dumps(items, indent=1, ensure_ascii=False))
        return OK
    width = max(len(item["name"]) for item in items)
    for item in items:
        words = [item[key] for key in ("format", "description", "licence") if item.get(key)]
        print(f"{item['name']:<{width}}  {'; '.join(words)}")
    return OK


def _formats() -> Iterator[_Item]:
    for layout in LAYOUTS.values():
        yield {"name": layout.name, "description": layout.description}


def _named() -> Iterator[_Item]:
    for name, description in list_datasets():
        yield {"name": name, "description": description}


def _found(folder: Path) -> Iterator[_Item]:
    """What lies in the folder and below, under the words that --dataset takes; only first lines are read.

    A folder that is a data set is not looked into any further, but for the descriptions and manifests beside its clips.
    """
    seen: set[Path] = set()
    waiting = [(folder, 0)]
    while waiting and len(seen) < _MOST_FOLDERS:
        place, depth = waiting.pop()
        real = place.resolve()
        if real in seen:
            continue  # by a link, perhaps into itself
        seen.add(real)
        try:
            entries = sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))
        except OSError:
            continue  # nobody may look into it
        yield from _described(entries)
        layout = _layout(place)
        if layout:
            yield {"name": str(place), "format": layout}
        elif depth < _DEEPEST:
            waiting.extend((entry, depth + 1) for entry in reversed(entries) if entry.is_dir())


def _described(entries: Iterable[Path]) -> Iterator[_Item]:
    for path in entries:
        try:
            if path.suffix == ".toml" and path.is_file():
                found = load_description(path)
                yield {"name": str(path), "format": found.format or "described", "licence": found.licence}
            elif path.suffix == ".csv" and is_manifest(path):
                yield {"name": str(path), "format": "manifest"}
        except UsageError:
            continue  # not a description, or not one that can be used: `data verify` says why


def _layout(folder: Path) -> str:
    """The layout of the data set that a folder is; '' if it is none."""
    try:
        layout, source = detect(folder)
        return layout.name if next(layout.read(source), None) is not None else ""
    except (UsageError, OSError):
        return ""
