"""Hash of a plug-in's source: its file and the modules that it imports from the same folder."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def digest(path: Path, package: str = "") -> str:
    """SHA-256 of a Python file and its direct and indirect imports from the same folder.

    Line ends and the file's name do not count.

    Args:
        package: dotted name of the folder, if it is a package.

    Raises:
        OSError: the file cannot be read.
    """
    whole = hashlib.sha256()
    for file in files(path, package):
        name = "" if file == path else file.relative_to(path.parent).as_posix()
        content = file.read_bytes().replace(b"\r\n", b"\n")
        whole.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return whole.hexdigest()


def files(path: Path, package: str = "") -> list[Path]:
    """A file, then its direct and indirect imports from the same folder, sorted by name."""
    known, waiting = {path}, [path]
    while waiting:
        for module in _imported(waiting.pop(), path.parent, package):
            if module not in known:
                known.add(module)
                waiting.append(module)
    return [path, *sorted(known - {path})]


def _imported(file: Path, folder: Path, package: str) -> Iterator[Path]:
    """Yield the files of a folder that one of its files imports anywhere."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):  # importing it reports the error
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(folder, _local(alias.name, package))
        elif isinstance(node, ast.ImportFrom):
            here, module = folder, node.module or ""
            if node.level:
                for _ in range(node.level - 1):
                    here = here.parent
                here = file.parent if node.level == 1 else here
            else:
                module = _local(module, package)
            yield from _modules(here, module)
            for alias in node.names:
                yield from _modules(here, f"{module}.{alias.name}" if module else alias.name)


def _local(name: str, package: str) -> str:
    """Name of a module within the folder."""
    return name.removeprefix(f"{package}.") if package and name.startswith(f"{package}.") else name


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files that importing a dotted name from a folder executes."""
    at = folder
    for part in filter(None, name.split(".")):
        for file in (at / f"{part}.py", at / part / "__init__.py"):
            if file.is_file():
                yield file
        at = at / part
