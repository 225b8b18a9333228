"""The source of a plug-in as one hash: its file and the neighbouring modules it imports."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def digest(path: Path, package: str = "") -> str:
    """SHA-256 of a Python file and its imports from the same folder, direct or not; line ends do not count.

    The file's name does not count either: a copy is the same source.

    Args:
        package: dotted name of the folder, where it is a package.

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
    """A file, then its imports from the same folder, direct or not, sorted by name."""
    known, waiting = {path}, [path]
    while waiting:
        for found in _imported(waiting.pop(), path.parent, package):
            if found not in known:
                known.add(found)
                waiting.append(found)
    return [path, *sorted(known - {path})]


def _imported(file: Path, folder: Path, package: str) -> Iterator[Path]:
    """The files of a folder imported anywhere in one of its files."""
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
    """The files executed by importing a dotted name from a folder."""
    at = folder
    for part in filter(None, name.split(".")):
        for file in (at / f"{part}.py", at / part / "__init__.py"):
            if file.is_file():
                yield file
        at = at / part
