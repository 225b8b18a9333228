"""Parsing and checks of a request's values."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.network.families import Costs
from pvnas_bench.network.sums import least, lightest
from pvnas_bench.runs.request import Request
from pvnas_bench.space import Caps, SearchSpace
from pvnas_bench.strategy import AnyStrategy, StrategyConfig
from pvnas_bench.system.masking import masked, masked_values
from pvnas_bench.system.text import either

MLFLOW_SCHEMES = ("http", "https", "databricks", "sqlite", "mysql", "postgresql", "mssql")
"""Schemes of MLflow's tracking URIs; a database may name its driver, as in ``mysql+pymysql``."""


def check_family(kind: type[AnyStrategy], space: SearchSpace) -> None:
    """Check that a strategy works on spaces of this family.

    Raises:
        UsageError: it does not work on them; the message names suitable spaces.
    """
    families = kind.info.families
    if families and space.family not in families:
        fit = ", ".join(known.name for known in registry.all_spaces() if known.family in families)
        raise UsageError(
            f"{kind.info.name} works on spaces of the family {either(families)} ({fit}), but {space.name} has the "
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


def check_trackers(request: Request) -> None:
    """Check that the trackers of a request are installed, and that MLflow has stores of the URI's scheme.

    Raises:
        UsageError: a package is missing, or the URI names no server and no database.
    """
    for name, wanted in (("tensorboard", request.tensorboard), ("mlflow", request.mlflow)):
        if wanted is not None and find_spec(name) is None:
            raise UsageError(f"--{name} needs a package: install it with pip install 'pvnas-bench[{name}]'")
    if request.mlflow is not None and _scheme(request.mlflow) not in MLFLOW_SCHEMES:
        raise UsageError(
            f"--mlflow {masked(request.mlflow)} names no server and no database: "
            "give http://HOST:PORT or sqlite:///FILE.db"
        )


def _scheme(uri: str) -> str:
    """Scheme of a URI, without the driver of a database; empty where there is none or the URI is malformed."""
    try:
        return urlsplit(uri).scheme.partition("+")[0]
    except ValueError:
        return ""


def check_caps(costs: Costs, caps: Caps) -> None:
    """Check that an architecture of the space is under all caps.

    Raises:
        UsageError: there is none; the message names the least cost.
    """
    space = costs.space
    for limit in caps.limits:
        cheapest = costs.cheapest().macs if limit.key == "macs" else least(costs, limit.key, Caps())
        if cheapest > limit.most:
            raise UsageError(
                f"no architecture of {space.name} is under the cap of {limit.written(limit.most)}, "
                f"the cheapest has {limit.written(cheapest)}: raise --cap"
            )
    if len(caps.limits) > 1 and lightest(costs, caps) is None:
        raise UsageError(f"no architecture of {space.name} is under {caps} at once: {_nearest(costs, caps)}")


def _nearest(costs: Costs, caps: Caps) -> str:
    """The least of a quantity under the other caps."""
    for limit in caps.limits:
        others = caps.without(limit.key)
        if lightest(costs, others) is not None:
            cheapest = limit.written(least(costs, limit.key, others))
            return f"under {others} the cheapest has {cheapest}: raise --cap"
    return "raise --cap"


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
