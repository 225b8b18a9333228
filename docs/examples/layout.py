"""A layout: the JSON file of ActivityNet, whose clips are parts of longer videos in `videos/`."""

import json
from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import Layout, Lists, Source, annotation_files, inside

SPLITS = {"training": "train", "validation": "test"}
"""The labels of the official test split are not published: results are reported on validation."""


def find(root: Path, fold: int) -> Source | None:
    """The annotations, where the folder has them; it looks at names only."""
    files = annotation_files(root, "activity_net*.json")
    return Source(root, {"": Lists((files[0],), "videos")}) if files else None


def read(source: Source) -> Iterator[Row]:
    """One row per annotated segment; the video is the subject, so that no video is in two splits.

    Raises:
        UsageError: the file is not ActivityNet's.
    """
    for lists in source.splits.values():
        for file in lists.files:
            try:
                videos = json.loads(file.read_text(encoding="utf-8"))["database"]
                for name, video in videos.items():
                    path = lists.within(inside(f"v_{name}{source.suffix or '.mp4'}", file.name))
                    for part in video["annotations"] if video["subset"] in SPLITS else ():
                        start, end = map(float, part["segment"])
                        yield Row(path, part["label"], name, SPLITS[video["subset"]], start=start, end=end)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise UsageError(f"cannot read {str(file)!r} ({error!r}): expected ActivityNet's annotations") from None


LAYOUT = Layout("activitynet", "ActivityNet's JSON file, parts of the files in videos/", find, read)
