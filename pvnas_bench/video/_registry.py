"""Opening a data set by name."""

import difflib
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
    _synthetic.NAME: (_synthetic.DESCRIPTION, _synthetic.open_synthetic),
}


def list_datasets() -> list[tuple[str, str]]:
    """Name and description of each data set that comes with the package."""
    return [(name, description) for name, (description, _) in sorted(_DATASETS.items())]


def open_dataset(
    name: str, *, cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Open a data set of the package, a folder, a manifest or a description.

    Args:
        name: a name of `list_datasets`; a folder in one of the layouts of `layouts.LAYOUTS`; a manifest,
            `path,label[,subject][,split]` with the suffix .csv; or a description, with the suffix .toml. A name of
            the package wins over a folder.
        cache_dir: where a data set that is made on first use is kept; by default the environment variable
            PVNAS_BENCH_CACHE, then the user's cache folder.
        progress: called with (clips made, clips in all) while a data set is made.

    Raises:
        UsageError: nothing of that name, with the nearest; or the data is unfit, in one line.
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
            f"{name!r} is a file but no manifest: give a .csv with the columns path,label, a description .toml, "
            "or a folder"
        )
    if path.suffix.lower() in (".csv", ".toml") or len(path.parts) > 1:
        raise UsageError(f"data set {name!r}: no such file or folder: check the path")
    near = difflib.get_close_matches(name, _DATASETS, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(sorted(_DATASETS))}"
    raise UsageError(
        f"unknown data set {name!r}: {hint} (a folder, a manifest .csv or a description .toml is given by its path)"
    )


def open_manifest(path: Path, name: str = "") -> Dataset:
    """Open a CSV with the columns `path,label[,subject][,split]`, paths relative to its folder and inside it.

    Args:
        name: what the data set is called; the stem of the file by default.

    Raises:
        UsageError: the file is no such table, with the number of the first bad line; or the table is unfit.
    """
    source = Source(path.parent, {"": Lists((path,))})
    return read(LAYOUTS["manifest"], source, Description(), name or path.stem)
