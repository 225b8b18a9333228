"""The command `list`."""

import json
from collections.abc import Callable
from typing import Any


def show(what: str, *, as_json: bool) -> int:
    """Print the names and descriptions of strategies, spaces or data sets."""
    items = _LISTS[what]()
    if as_json:
        print(json.dumps(items, indent=1, ensure_ascii=False))
        return 0
    width = max(len(item["name"]) for item in items)
    for item in items:
        print(f"{item['name']:<{width}}  {item['description']}")
    return 0


def _strategies() -> list[dict[str, Any]]:
    from pvnas_bench import registry

    return [
        {
            "name": kind.info.name,
            "description": f"{kind.info.title} ({kind.info.year})",
            "role": kind.info.role,
            "levels": list(kind.info.levels),
            "families": list(kind.info.families),
            "paper": kind.info.paper,
            "published": kind.info.published,
            "reconstructed": kind.info.reconstructed,
            "settings": _settings(kind.Config),
        }
        for kind in registry.all_strategies()
    ]


def _settings(config: Any) -> dict[str, dict[str, Any]]:
    """Default and description of each hyper-parameter."""
    return {
        name: {"default": field.default, "description": field.description or ""}
        for name, field in config.model_fields.items()
    }


def _spaces() -> list[dict[str, Any]]:
    from pvnas_bench import registry

    return [
        {
            "name": space.name,
            "description": space.description,
            "version": space.version,
            "family": space.family,
            "caps": dict(space.caps),
            "architectures": space.size,
        }
        for space in registry.all_spaces()
    ]


def _datasets() -> list[dict[str, Any]]:
    from pvnas_bench.video import list_datasets

    return [{"name": name, "description": description} for name, description in list_datasets()]


_LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "strategies": _strategies,
    "spaces": _spaces,
    "datasets": _datasets,
}
