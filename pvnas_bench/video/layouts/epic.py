"""EPIC-KITCHENS-100: `EPIC_100_train.csv` and `EPIC_100_validation.csv`; clips are parts of long videos, by verb."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    SAMPLE,
    Layout,
    Source,
    annotation_files,
    by_split,
    csv_header,
    csv_rows,
    inside,
    seconds,
    unplaced,
    whole,
)

_COLUMNS = {"participant_id", "video_id", "start_timestamp", "stop_timestamp", "verb_class"}
_PLACES = (
    "{person}/videos/{video}",
    "EPIC-KITCHENS/{person}/videos/{video}",
    "videos/{person}/{video}",
    "{person}/{video}",
    "videos/{video}",
    "{video}",
)
"""Paths of videos after the official download script and others."""
_SUFFIXES = (".MP4", ".mp4")


def find(root: Path, fold: int) -> Source | None:
    """Find the published lists, the names of the verbs, and the folder of videos."""
    files = [file for file in annotation_files(root, "EPIC_100_*.csv") if set(csv_header(file)) >= _COLUMNS]
    splits = by_split([file for file in files if "test" not in file.stem])
    if "train" not in splits or "test" not in splits:
        return None
    train = splits["train"].files[0]
    sample = [(row["participant_id"], row["video_id"]) for _, row in islice(csv_rows(train), SAMPLE)]
    patterns = [f"{place}{suffix}" for place in _PLACES for suffix in _SUFFIXES]
    counts = {
        pattern: sum((root / pattern.format(person=person, video=video)).is_file() for person, video in sample)
        for pattern in patterns
    }
    best = max(patterns, key=lambda pattern: counts[pattern])
    names = [patterns[0].format(person=person, video=video) for person, video in sample]
    missing = unplaced(root, train, names) if names and not counts[best] else ""
    verbs = annotation_files(root, "EPIC_100_verb_classes.csv")
    classes = tuple(row.get("key", "") for _, row in csv_rows(verbs[0])) if verbs else ()
    return Source(root, splits, classes, path=best, unplaced=missing)


def read(source: Source) -> Iterator[Row]:
    """Iterate over the actions; the subject is the person.

    Raises:
        UsageError: a column is missing, or a line has another form.
    """
    pattern = source.path or f"{_PLACES[0]}{_SUFFIXES[0]}"
    for split, lists in source.splits.items():
        for file in lists.files:
            if not set(csv_header(file)) >= _COLUMNS:
                raise UsageError(
                    f"{str(file)!r} lacks a column of {', '.join(sorted(_COLUMNS))}: is it EPIC-KITCHENS'?"
                )
            for where, row in csv_rows(file):
                person = row["participant_id"]
                try:
                    filled = pattern.format(person=person, video=row["video_id"])
                except (KeyError, ValueError, IndexError, AttributeError) as error:
                    raise UsageError(
                        f"path pattern {pattern!r} is invalid ({error}): use {{person}}, {{video}}"
                    ) from None
                number = whole(row["verb_class"], "verb_class", where)
                if source.classes and number >= len(source.classes):
                    raise UsageError(f"{where}: verb_class {number}, but there are {len(source.classes)}: correct one")
                yield Row(
                    lists.within(inside(filled, where)),
                    source.classes[number] if source.classes else str(number),
                    person,
                    split,
                    start=_clock(row["start_timestamp"], "start_timestamp", where),
                    end=_clock(row["stop_timestamp"], "stop_timestamp", where),
                )


def _clock(text: str, column: str, where: str) -> float:
    """Parse `hours:minutes:seconds.hundredths` into seconds."""
    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError(f"{where}: {column} {text[:40]!r} is not hours:minutes:seconds: correct it")
    hours, minutes = (whole(part, column, where, 10_000) for part in parts[:2])
    return round(3600 * hours + 60 * minutes + seconds(parts[2], column, where), 3)


LAYOUT = Layout("epic", "EPIC-KITCHENS-100's EPIC_100_train.csv and EPIC_100_validation.csv, by verb", find, read)
