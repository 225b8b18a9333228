"""CSV manifests: `path,label[,subject][,split]`, with optional `time_start,time_end`, `frames` and `sha256`."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._dataset import SPLITS
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    SAMPLE,
    Layout,
    Lists,
    Source,
    annotation_files,
    by_split,
    csv_header,
    csv_rows,
    encoding_of,
    inside,
    placed,
    seconds,
    unplaced,
    whole,
)

MANIFEST = "manifest.csv"


def find(root: Path, fold: int) -> Source | None:
    """Find the manifest of a folder, or one per split, such as `train.csv` and `test.csv`."""
    path = root / MANIFEST
    if path.is_file():
        return Source(root, {"": Lists((path,))})
    splits = by_split([file for file in annotation_files(root, "*.csv") if is_manifest(file)])
    if "train" not in splits or "test" not in splits:
        return None
    missing, lists = "", {}
    for split, found in splits.items():
        names = [row["path"] for _, row in islice(csv_rows(found.files[0]), SAMPLE)]
        folder = placed(root, names, split, exact=True)
        missing = missing or (unplaced(root, found.files[0], names) if folder is None else "")
        lists[split] = Lists(found.files, folder or "")
    return Source(root, lists, unplaced=missing)


def is_manifest(path: Path) -> bool:
    """Return True if a file has the columns of a manifest."""
    return path.is_file() and {"path", "label"} <= set(csv_header(path))


def read(source: Source) -> Iterator[Row]:
    """Iterate over the rows; manifests that a description assigns to a split need no column `split`.

    Raises:
        UsageError: the file is not such a table; the message has the first bad line.
    """
    for split, lists in source.splits.items():
        for path in lists.files:
            _check_header(path)
            for where, row in csv_rows(path):
                yield _row(where, row, split, lists.folder)


def _check_header(path: Path) -> None:
    header = csv_header(path)
    for column in ("path", "label"):
        if header.count(column) != 1:
            try:
                path.read_bytes().decode(encoding_of(path))
            except (OSError, UnicodeError) as error:
                raise UsageError(f"cannot read {str(path)!r} ({error}): expected CSV text in UTF-8") from None
            raise UsageError(
                f"the manifest {str(path)!r} needs one column {column!r} but its first line has "
                f"{header.count(column)}: write the columns path,label[,subject][,split]"
            )


def _row(where: str, row: Mapping[str, str], split: str, folder: str) -> Row:
    path, label, named = row["path"], row["label"], row.get("split")
    if not path or not label:
        raise UsageError(f"{where}: the {'label' if path else 'path'} is empty: fill it in or remove the line")
    path = inside(path, where)
    if not split and named is not None and named not in SPLITS:
        near = [name for name in SPLITS if named.lower().startswith(name[:2])]
        hint = f"did you mean {near[0]!r}?" if near else "use train, val or test, or leave the column out"
        raise UsageError(f"{where}: unknown split {named!r}: {hint}")
    if not re.fullmatch("([0-9a-fA-F]{64})?", row.get("sha256", "")):
        raise UsageError(
            f"{where}: sha256 {row['sha256']!r} is not 64 hexadecimal digits: correct it or leave it empty"
        )
    return Row(
        f"{folder}/{path}" if folder else path,
        label,
        row.get("subject", ""),
        split or named or "",
        whole(row.get("frames") or "0", "frames", where),
        _seconds(where, row, "time_start", 0.0),
        _seconds(where, row, "time_end", float("inf")),
        row.get("sha256", ""),
    )


def _seconds(where: str, row: Mapping[str, str], column: str, default: float) -> float:
    text = row.get(column, "")
    endless = column == "time_end" and text.lower() in ("inf", "infinity")
    return seconds(text, column, where) if text and not endless else default


LAYOUT = Layout("manifest", "manifest.csv with path,label[,subject][,split][,time_start,time_end][,sha256]", find, read)
