"""Kinetics' official CSV: `label,youtube_id,time_start,time_end,split`; clips in any of the usual folders."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    SPLIT_NAMES,
    Layout,
    Source,
    annotation_files,
    by_split,
    csv_header,
    csv_rows,
    inside,
    seconds,
    split_of,
)

_COLUMNS = {"label", "youtube_id", "time_start", "time_end"}
_CUT = "{youtube_id}_{time_start:06d}_{time_end:06d}"
_FOLDERS = (
    "{split}/{label}/",
    "{split}/{label_}/",
    "{split}/",
    "{split}_256/{label_}/",
    "videos_{split}/{label_}/",
    "videos_{split}/",
    "{label}/",
    "{label_}/",
    "videos/",
    "",
)
"""Folders in which download scripts store clips; `label_` has underscores for spaces."""
_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi")
_SAMPLE = 200


def find(root: Path, fold: int) -> Source | None:
    """Find CSV files with Kinetics' columns, named after their split."""
    splits = by_split([file for file in annotation_files(root, "*.csv") if set(csv_header(file)) >= _COLUMNS])
    return Source(root, splits) if "train" in splits and "test" in splits else None


def read(source: Source) -> Iterator[Row]:
    """Iterate over the labelled lines; a clip stored uncut, as `<youtube_id>.mp4`, becomes a part of that file.

    Raises:
        UsageError: no file matches any pattern, or a time is not a number of seconds.
    """
    for split, lists in source.splits.items():
        for file in lists.files:
            if not set(csv_header(file)) >= _COLUMNS:
                raise UsageError(f"{str(file)!r} lacks a column of {', '.join(sorted(_COLUMNS))}: is it Kinetics' CSV?")
            pattern = source.path or _pattern(source.root / lists.folder, file, split)
            for where, values in _values(file, split):
                path = inside(_fill(pattern, values, where), where)
                uncut = "time_start" not in pattern
                yield Row(
                    lists.within(path),
                    str(values["label"]),
                    split=split,
                    start=float(values["time_start"]) if uncut else 0.0,
                    end=float(values["time_end"]) if uncut else float("inf"),
                )


def _values(file: Path, split: str) -> Iterator[tuple[str, dict[str, str | int | float]]]:
    """Fields for path patterns, for each labelled row."""
    for where, row in csv_rows(file):
        if not row["label"]:
            continue
        start, end = (_seconds(row[column], column, where) for column in ("time_start", "time_end"))
        yield (
            where,
            {
                "label": row["label"],
                "label_": row["label"].replace(" ", "_"),
                "youtube_id": row["youtube_id"],
                "time_start": start,
                "time_end": end,
                "split": row.get("split") or split,
            },
        )


def _seconds(text: str, column: str, where: str) -> int | float:
    """Parse seconds; whole seconds become an integer, as in file names."""
    value = seconds(text, column, where)
    return int(value) if value.is_integer() else value


def _fill(pattern: str, values: dict[str, str | int | float], where: str) -> str:
    try:
        return pattern.format(**values)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise UsageError(
            f"{where}: the path pattern {pattern!r} is invalid ({error}): use the fields {', '.join(values)}"
        ) from None


def _pattern(root: Path, file: Path, split: str) -> str:
    """The pattern that finds most of the first clips."""
    sample = list(islice(_values(file, split), _SAMPLE))
    said = {split, split_of(file), *(str(values["split"]) for _, values in sample)}
    words = [word for names in SPLIT_NAMES.values() if said.intersection(names) for word in names]
    best, most = "", 0
    for spelling in ("{split}", *words):  # the row's spelling of the split first, then the other spellings of folders
        for pattern in (
            f"{folder.replace('{split}', spelling)}{name}{end}"
            for name in (_CUT, "{youtube_id}")
            for folder in _FOLDERS
            for end in _SUFFIXES
        ):
            hits = sum(os.path.exists(root / _fill(pattern, values, where)) for where, values in sample)
            if hits > most:
                best, most = pattern, hits
        if most:
            break
    if not most:
        example = _fill("{split}/{label}/" + _CUT + ".mp4", sample[0][1], sample[0][0]) if sample else "train/..."
        raise UsageError(
            f"none of the first {len(sample)} clips of {file.name} is in {str(root)!r} (for example {example!r}): add "
            f'their path to {str(root / "dataset.toml")!r} with a line path = "…/{{label}}/{_CUT}.mp4"'
        )
    return best


LAYOUT = Layout("kinetics", "Kinetics' CSV (label,youtube_id,time_start,time_end,split)", find, read)
