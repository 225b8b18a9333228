"""Diving48's JSON lists: `[{"vid_name": …, "label": number, …}]` for train and test, and its vocabulary."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    MOST_FRAMES,
    SAMPLE,
    Layout,
    Lists,
    Source,
    annotation_files,
    by_split,
    found_suffix,
    inside,
    json_entries,
    named,
    placed,
    unplaced,
)

_CLIPS = ("rgb", "videos", "rawframes")


def find(root: Path, fold: int) -> Source | None:
    """Find the lists, the vocabulary if present, and the folder of clips."""
    splits = by_split(annotation_files(root, "Diving48*train*.json", "Diving48*test*.json"))
    if "train" not in splits or "test" not in splits:
        return None
    vocabulary = annotation_files(root, "Diving48*vocab*.json")
    train = splits["train"].files[0]
    names = [str(entry.get("vid_name")) for _, entry in islice(json_entries(train), SAMPLE)]
    folder = placed(root, names, likely=[name for name in _CLIPS if (root / name).is_dir()])
    return Source(
        root,
        {split: Lists(lists.files, folder or "") for split, lists in splits.items()},
        _names(vocabulary[0]) if vocabulary else (),
        unplaced=unplaced(root, train, names) if folder is None else "",
    )


def _names(file: Path) -> tuple[str, ...]:
    """Read class names from a vocabulary of lists with the phases of each dive."""
    try:
        return tuple("-".join(phases) for phases in json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"cannot read {str(file)!r} ({error}): expected a JSON array of arrays of words") from None


def read(source: Source) -> Iterator[Row]:
    """Iterate over the entries of the lists.

    Raises:
        UsageError: an entry has another form.
    """
    for split, lists in source.splits.items():
        for file in lists.files:
            names = (str(entry.get("vid_name")) for _, entry in json_entries(file))
            suffix = source.suffix or found_suffix(source, lists.folder, names)
            for where, entry in json_entries(file):
                name, label = entry.get("vid_name"), entry.get("label")
                if not isinstance(name, str) or type(label) is not int or not 0 <= label <= MOST_FRAMES:
                    raise UsageError(f"{where}: no vid_name or no label: expected the entries of Diving48")
                path = inside(name + suffix, where)
                label_name = named(str(label), source.classes, where)
                yield Row(lists.within(path), label_name, split=split)


LAYOUT = Layout("diving48", "Diving48's JSON lists and vocabulary", find, read)
