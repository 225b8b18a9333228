"""The command `list`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from pvnas_bench.api import listing


def show(what: str, *, as_json: bool) -> int:
    """Print the strategies, spaces, data sets or protocols that have a name."""
    items = _LISTS[what]()
    if as_json:
        print(json.dumps([asdict(item) for item in items], indent=1, ensure_ascii=False))
        return 0
    width = max(len(item.name) for item in items)
    for item in items:
        print(f"{item.name:<{width}}  {item.description}")
    return 0


_LISTS: dict[str, Callable[[], Sequence[Any]]] = {
    "strategies": listing.list_strategies,
    "spaces": listing.list_spaces,
    "datasets": listing.list_datasets,
    "protocols": listing.list_protocols,
}
