"""Look-up of strategies and spaces: built-in, from installed plug-ins, or from a user's file.

A plug-in is code and is loaded only when named: by its path, or by an entry point in the group
``pvnas_bench.strategies`` or ``pvnas_bench.spaces``. A strategy's file defines subclasses of `Strategy`; a space's file
defines `SPACE`.

A built-in strategy is identified by its name, a plug-in by its name and the hash of its source. A plug-in's name must
differ from the built-in names by more than case and separators.
"""

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from pvnas_bench.errors import UsageError
from pvnas_bench.records import Source
from pvnas_bench.space import SearchSpace
from pvnas_bench.system import sources

if TYPE_CHECKING:
    from pvnas_bench.strategy import AnyStrategy

STRATEGIES, SPACES = "pvnas_bench.strategies", "pvnas_bench.spaces"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
"""Names of plug-in strategies: no brackets, spaces or marks of entries, and no letters that look like others."""


def _module_names(package: str) -> list[str]:
    folder = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(folder) if not module.name.startswith("_"))


class _SourceLoader(SourceFileLoader):
    """Loader that compiles a file whenever it is loaded.

    Python takes cached code for current if size and second of the last change agree, so it would run the older of two
    versions written within a second, under the hash of the newer.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_file(path: Path) -> ModuleType:
    """Import a user's file under a module name unique to its path.

    Raises:
        UsageError: the file does not exist, or importing it fails.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    place = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = f"pvnas_bench_plugin_{path.stem}_{place}"
    loader = _SourceLoader(name, str(path)) if path.suffix == ".py" else None
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file: a plug-in's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _named(kind: str, group: str, name: str) -> ModuleType:
    """Import the module with this name or path.

    Raises:
        UsageError: the name is unknown, or the file cannot be imported.
    """
    known = _module_names(group)
    if name.endswith(".py") or "/" in name:
        path = Path(name)
        builtin = Path(*importlib.import_module(group).__path__, path.name)
        if path.stem not in known or not path.is_file() or not path.samefile(builtin):
            return _import_file(path)
        name = path.stem
    if name in known:
        return importlib.import_module(f"{group}.{name}")
    plugins = {point.name: point for point in entry_points(group=group)}
    if name in plugins:
        module: ModuleType = importlib.import_module(plugins[name].module)
        return module
    near = difflib.get_close_matches(name, [*known, *plugins], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join([*known, *plugins])}"
    raise UsageError(f"unknown {kind} {name!r}: {hint}")


def _strategies_of(module: ModuleType) -> "list[type[AnyStrategy]]":
    from pvnas_bench.strategy import Strategy  # imports torch, which spaces do not need

    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value.__module__ == module.__name__
        and "info" in vars(value)
    ]


def _spelled_like_builtin(name: str) -> str | None:
    """Name of the built-in strategy that a name equals apart from case and separators."""

    def plain(name: str) -> str:
        return re.sub(r"[-_.+]", "", name).casefold()

    return next((known for known in _module_names(STRATEGIES) if plain(known) == plain(name)), None)


def is_name_of_package(name: str) -> bool:
    """Return True if a strategy of the package has this name; nothing of it is imported."""
    return name in _module_names(STRATEGIES)


def get_strategy(name: str) -> "type[AnyStrategy]":
    """The strategy with this name, or defined in this file.

    Raises:
        UsageError: the name is unknown (the message suggests one), or the file cannot be imported, does not define
            exactly one strategy, or gives it an invalid name or one that looks like a built-in one.
    """
    kinds = _strategies_of(_named("strategy", STRATEGIES, name))
    if len(kinds) != 1:
        raise UsageError(
            f"{name} defines {len(kinds)} strategies: it needs exactly one subclass of Strategy with an info"
        )
    kind = kinds[0]
    if is_builtin(kind):
        return kind
    if not _NAME.fullmatch(kind.info.name):
        raise UsageError(
            f"{name} names its strategy {kind.info.name!r}: a name begins with a letter and consists of ASCII letters, "
            "digits and the characters _-.+: choose another name in its info"
        )
    if known := _spelled_like_builtin(kind.info.name):
        raise UsageError(
            f"{name} names its strategy {kind.info.name!r}, like the built-in {known}: choose another name in its info"
        )
    return kind


def is_builtin(kind: "type[AnyStrategy]") -> bool:
    """Return True if a strategy is built in."""
    package, _, module = kind.__module__.rpartition(".")
    return package == STRATEGIES and module in _module_names(STRATEGIES)


def source(kind: "type[AnyStrategy]") -> Source | None:
    """Source entry of a record: hash of a strategy's file and of the modules it imports from the same folder.

    None if the file cannot be read.
    """
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        return None
    try:
        return Source(
            builtin=is_builtin(kind), sha256=sources.digest(Path(file), package=kind.__module__.rpartition(".")[0])
        )
    except OSError:
        return None


def source_named(name: str) -> Source | None:
    """`source` of the strategy of the package with this name, without importing it; None if there is none."""
    if not is_name_of_package(name):
        return None
    path = Path(*importlib.import_module(STRATEGIES).__path__, f"{name}.py")
    return Source(builtin=True, sha256=sources.digest(path, package=STRATEGIES))


def get_space(name: str) -> SearchSpace:
    """The space with this name, or defined in this file.

    Raises:
        UsageError: the name is unknown (the message suggests one), or the file cannot be imported or has no `SPACE`.
    """
    space = getattr(_named("space", SPACES, name), "SPACE", None)
    if not isinstance(space, SearchSpace):
        raise UsageError(f"{name} defines no space: it needs SPACE = BlockSpace(...) or CellSpace(...)")
    if not space.family:
        raise UsageError(
            f"space {name} is a {type(space).__name__}, which has no family: use a BlockSpace or a CellSpace"
        )
    return space


def all_strategies() -> "Iterator[type[AnyStrategy]]":
    """Yield every built-in strategy and those of installed plug-ins."""
    for name in [*_module_names(STRATEGIES), *(point.name for point in entry_points(group=STRATEGIES))]:
        yield get_strategy(name)


def all_spaces() -> Iterator[SearchSpace]:
    """Yield every built-in space and those of installed plug-ins."""
    for name in [*_module_names(SPACES), *(point.name for point in entry_points(group=SPACES))]:
        yield get_space(name)
