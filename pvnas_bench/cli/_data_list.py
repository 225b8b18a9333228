"""The command `data list`: built-in data sets, and those in a folder."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from pvnas_bench.cli import OK
from pvnas_bench.errors import UsageError
from pvnas_bench.video import LAYOUTS, detect, is_manifest, list_datasets, load_description

_Item = dict[str, str]

_DEEPEST = 4
"""Largest depth of searched subfolders."""
_MOST_FOLDERS = 5000


def show(folder: Path, *, formats: bool, as_json: bool) -> int:
    """Print the built-in data sets and those in a folder, or the supported layouts.

    Raises:
        UsageError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(f"no such folder {str(folder)!r}: check the path")
    items = list(_formats() if formats else [*_named(), *_in_folder(folder)])
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


def _in_folder(folder: Path) -> Iterator[_Item]:
    """Yield the data sets in a folder and its subfolders, named as for --dataset; only first lines are read.

    The subfolders of a data set are not searched; descriptions and manifests next to its clips are listed.
    """
    seen: set[Path] = set()
    waiting = [(folder, 0)]
    while waiting and len(seen) < _MOST_FOLDERS:
        place, depth = waiting.pop()
        real = place.resolve()
        if real in seen:
            continue  # reached again by a link, perhaps to a parent
        seen.add(real)
        try:
            entries = sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))
        except OSError:
            continue  # not readable
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
                described = load_description(path)
                yield {"name": str(path), "format": described.format or "described", "licence": described.licence}
            elif path.suffix == ".csv" and is_manifest(path):
                yield {"name": str(path), "format": "manifest"}
        except UsageError:
            continue  # not a description, or an invalid one: `data verify` reports the reason


def _layout(folder: Path) -> str:
    """Layout of the data set in a folder; empty if it is not a data set."""
    try:
        layout, source = detect(folder)
        return layout.name if next(layout.read(source), None) is not None else ""
    except (UsageError, OSError):
        return ""
