"""The command `data list`: data sets that have a name, and those that lie in a folder."""

import json
from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.cli import OK
from pvnas_bench.errors import UsageError
from pvnas_bench.video import LAYOUTS, detect, is_manifest, list_datasets, load_description

_Item = dict[str, str]


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
    """What lies in the folder, under the words that --dataset takes; nothing is opened but for its first lines."""
    for path in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        try:
            if path.suffix == ".toml" and path.is_file():
                found = load_description(path)
                yield {"name": str(path), "format": found.format or "described", "licence": found.licence}
            elif path.suffix == ".csv" and is_manifest(path):
                yield {"name": str(path), "format": "manifest"}
            elif path.is_dir():
                layout, source = detect(path)
                if next(layout.read(source), None) is not None:
                    yield {"name": str(path), "format": layout.name}
        except UsageError:
            continue  # not a data set, or not one that can be used: `data verify` says why
