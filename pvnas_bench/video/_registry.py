"""Data sets by name or path."""

import difflib
import functools
from collections.abc import Callable
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _synthetic
from pvnas_bench.video._cache_dir import cache_root
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._description import Description, open_description, open_folder, read
from pvnas_bench.video.layouts import LAYOUTS, Lists, Source

_Open = Callable[[Path, Callable[[int, int], None] | None], Dataset]

_DATASETS: dict[str, tuple[str, _Open]] = {
    name: (description, functools.partial(_synthetic.open_synthetic, name))
    for name, description in _synthetic.DESCRIPTIONS.items()
}


def list_datasets() -> list[tuple[str, str]]:
    """Names and descriptions of the package's data sets."""
    return [(name, description) for name, (description, _) in sorted(_DATASETS.items())]


def fingerprint_of(name: str) -> str | None:
    """Fingerprint of a data set of the package, without generating it; None for any other."""
    return _synthetic.fingerprint(name) if name in _DATASETS else None


def open_dataset(
    name: str, *, cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Open a data set of the package, a folder, a manifest or a description.

    Args:
        name: a name of `list_datasets`; a folder in one of the layouts of `layouts.LAYOUTS`; a manifest,
            `path,label[,subject][,split]` with the suffix .csv; or a description, with the suffix .toml. A name of
            the package wins over a folder.
        cache_dir: cache folder for data sets that are generated on first use; default: the environment variable
            PVNAS_BENCH_CACHE, else the user's cache folder.
        progress: callback with (clips done, total clips) while a data set is generated.

    Raises:
        UsageError: the name is unknown, or the data set is unusable (see `check`).
    """
    if name in _DATASETS:
        return _DATASETS[name][1](cache_root(cache_dir), progress)
    path = Path(name).expanduser()
    if path.is_dir():
        return open_folder(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return open_manifest(path)
    if path.is_file() and path.suffix.lower() == ".toml":
        return open_description(path)
    if path.is_file():
        raise UsageError(
            f"{name!r} is a file but not a manifest: give a .csv with the columns path,label, a description .toml, "
            "or a folder"
        )
    if path.suffix.lower() in (".csv", ".toml") or len(path.parts) > 1:
        raise UsageError(f"data set {name!r}: no such file or folder: check the path")
    near = difflib.get_close_matches(name, _DATASETS, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"choose {', '.join(sorted(_DATASETS))}"
    raise UsageError(
        f"unknown data set {name!r}: {hint} (or give the path of a folder, a manifest .csv or a description .toml)"
    )


def open_manifest(path: Path, name: str = "") -> Dataset:
    """Open a CSV with the columns `path,label[,subject][,split]`, paths relative to its folder and inside it.

    Args:
        name: name of the data set; default: the stem of the file.

    Raises:
        UsageError: the file is not such a table (the message has the first bad line), or the data set is unusable (see
            `check`).
    """
    source = Source(path.parent, {"": Lists((path,))})
    return read(LAYOUTS["manifest"], source, Description(), name or path.stem)
