"""Parsing and checks of a request's values."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.space import SearchSpace
from pvnas_bench.strategy import AnyStrategy, StrategyConfig
from pvnas_bench.system.masking import masked_values

MOST_MACS = 1e18
"""Largest MACs of a network that a record can hold."""


def check_family(kind: type[AnyStrategy], space: SearchSpace) -> None:
    """Check that a strategy works on spaces of this family.

    Raises:
        UsageError: it does not work on them; the message names suitable spaces.
    """
    families = kind.info.families
    if families and space.family not in families:
        fit = ", ".join(known.name for known in registry.all_spaces() if known.family in families)
        raise UsageError(
            f"{kind.info.name} works on spaces of the family {' or '.join(families)} ({fit}), but {space.name} has the "
            f"family {space.family}: change --space or --strategy"
        )


def parse_config(kind: type[AnyStrategy], settings: Mapping[str, str]) -> StrategyConfig:
    """Parse ``key=value`` settings into the strategy's hyper-parameters.

    Raises:
        UsageError: a key is unknown or a value out of range; the message says what is valid.
    """
    for key in settings:
        if key not in kind.Config.model_fields:
            known = ", ".join(kind.Config.model_fields) or "none"
            raise UsageError(f"{kind.info.name} has no hyper-parameter {key!r}: it has {known}")
    try:
        return kind.Config.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f" {key}={settings.get(key)}:" if (key := ".".join(map(str, first["loc"]))) else ""
        raise UsageError(f"{kind.info.name}:{where} {first['msg']}: change --set") from None


def entry_name(kind: type[AnyStrategy], config: StrategyConfig) -> str:
    """Leaderboard row: the strategy's name and its non-default hyper-parameters."""
    defaults = kind.Config().model_dump(mode="json")
    changed = {key: value for key, value in config.model_dump(mode="json").items() if value != defaults[key]}
    settings = ", ".join(f"{key}={value}" for key, value in masked_values(changed).items())
    return f"{kind.info.name}[{settings}]" if settings else kind.info.name


def parse_cap(space: SearchSpace, cap: str | None) -> tuple[str, int]:
    """Parse a cap, a name of the space or a number such as ``L``, ``2.5e7``, into its name and MACs.

    Raises:
        UsageError: the cap is neither, or the number is out of range.
    """
    if cap is None:
        return next(iter(space.caps.items()))
    if cap in space.caps:
        return cap, space.caps[cap]
    known = f"give --cap {' or '.join(space.caps)} of {space.name}, or a number of MACs such as 2.5e7"
    try:
        macs = float(cap)
    except ValueError:
        raise UsageError(f"unknown cap {cap!r}: {known}") from None
    if not 1 <= macs <= MOST_MACS:
        raise UsageError(f"a cap is a number of MACs from 1 to {MOST_MACS:.0e}, got {cap!r}: {known}")
    return f"{int(macs)}", int(macs)


def check_writable(folder: Path, what: str = "results folder", option: str = "--results") -> None:
    """Check that files can be written to a folder, without leaving one there.

    Args:
        what, option: what the folder is called, and the option that names it.

    Raises:
        UsageError: the folder cannot be written.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"the {what} {folder} cannot be written: choose another with {option}")
