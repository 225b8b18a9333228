"""Opening a data set by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video import _synthetic
from pvnas_bench.video._cache_dir import cache_root
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._folder import open_folder, open_manifest

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
    """Open a data set of the package, a folder or a manifest.

    Args:
        name: a name of `list_datasets`; a folder `ROOT/<class>/<clip>`, or with a `manifest.csv`; or a manifest,
            `path,label[,subject][,split]` with the suffix .csv. A name of the package wins over a folder.
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
    if path.is_file():
        raise UsageError(f"{name!r} is a file but no manifest: give a .csv with the columns path,label, or a folder")
    if path.suffix.lower() == ".csv" or len(path.parts) > 1:
        raise UsageError(f"data set {name!r}: no such file or folder: check the path")
    near = difflib.get_close_matches(name, _DATASETS, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(sorted(_DATASETS))}"
    raise UsageError(f"unknown data set {name!r}: {hint} (a folder or a manifest .csv is given by its path)")
