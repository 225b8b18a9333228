"""A strategy in its own words, for the verification of a submission: its info, and its entry for given settings.

`python -m pvnas_bench.submission._describe STRATEGY` reads a JSON list of settings from standard input and writes a
JSON object. It runs the strategy's file, therefore in a process of its own.
"""

import json
import sys
from typing import Any

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.words import entry_name, parse_config


def describe(strategy: str, settings: list[dict[str, str]]) -> dict[str, Any]:
    """Describe a strategy; an error in one of the settings stands in place of its description.

    Raises:
        UsageError: there is no such strategy, or it does not import.
    """
    kind = registry.get_strategy(strategy)
    info = kind.info
    described: list[dict[str, Any]] = []
    for one in settings:
        try:
            config = parse_config(kind, one)
            described.append({"config": config.model_dump(mode="json"), "entry": entry_name(kind, config)})
        except UsageError as error:
            described.append({"error": str(error)})
    about = {"name": info.name, "title": info.title, "levels": list(info.levels), "role": info.role}
    return {**about, "families": list(info.families), "settings": described}


def main() -> int:
    """Describe; the exit code is 1 where there is no such strategy."""
    try:
        content = describe(sys.argv[1], json.load(sys.stdin))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
