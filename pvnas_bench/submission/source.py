"""The source of a submission's strategy: where it is, and its hash. Nothing of it runs."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Source
from pvnas_bench.submission.manifest import Manifest
from pvnas_bench.system import sources


@dataclass(frozen=True)
class StrategySource:
    """The source of a strategy on this machine.

    Attributes:
        path: its file.
        builtin: True if it is one of the package.
        sha256: hash of the file and of the neighbouring files it imports.
    """

    path: Path
    builtin: bool
    sha256: str

    @property
    def source(self) -> Source:
        """The entry of a record."""
        return Source(builtin=self.builtin, sha256=self.sha256)


def strategy_source(strategy: str) -> StrategySource:
    """The source of a strategy by its file or its name in the package; nothing of it runs.

    Raises:
        UsageError: there is no such file or name.
    """
    if strategy.endswith(".py") or "/" in strategy:
        path, package = Path(strategy), ""
        if not path.is_file():
            raise UsageError(f"no such file: {path}: give --strategy the file that the runs were made with")
        own = _packaged(path.stem)
        builtin = own is not None and path.samefile(own)
        if builtin and own is not None:
            path, package = own, registry.STRATEGIES
    else:
        found = _packaged(strategy)
        if found is None:
            raise UsageError(
                f"the package has no strategy {strategy!r}: give --strategy a name of `list strategies`, or the file "
                "that the runs were made with"
            )
        path, package, builtin = found, registry.STRATEGIES, True
    return StrategySource(path, builtin, sources.digest(path, package))


def _packaged(name: str) -> Path | None:
    """File of a strategy of the package, None if there is none of that name; nothing of it runs."""
    if not name.isidentifier() or name.startswith("_"):
        return None
    spec = importlib.util.find_spec(f"{registry.STRATEGIES}.{name}")
    return Path(spec.origin) if spec is not None and spec.origin else None


def where_source(manifest: Manifest) -> str:
    """Where the source of a submission is, for the checklist."""
    return f"`{manifest.strategy.file}`" if manifest.strategy.file else "strategies of the package"
