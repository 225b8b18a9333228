"""Something-Something V1 and V2, and Jester: lists for train and validation; clips are videos or folders of images."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    SAMPLE,
    Layout,
    Lists,
    Source,
    annotation_files,
    by_split,
    found_suffix,
    inside,
    json_entries,
    placed,
    text_lines,
    unplaced,
)

_FILES = re.compile(r"(something-something-v\d|jester-v\d)-(train|validation|test-answers)\.(json|csv)", re.IGNORECASE)
_PLAIN = re.compile(r"(train|validation)\.(json|csv)", re.IGNORECASE)
"""Later downloads contain the lists of V2 as `labels/train.json`."""
_CLIPS = ("20bn-{0}", "{0}", "videos", "frames", "rawframes")


def find(root: Path, fold: int) -> Source | None:
    """Find the published files and the folder of clips; validation serves as test, whose labels are not published."""
    files = [file for file in annotation_files(root, "*.json", "*.csv") if _FILES.fullmatch(file.name)]
    files = files or [file for file in annotation_files(root, "*.json", "*.csv") if _is_plain(file)]
    splits = by_split([file for file in files if "test" not in file.stem])
    if "train" not in splits or "test" not in splits:
        return None
    train = splits["train"].files[0]
    match = _FILES.fullmatch(train.name)
    likely = (name.format(match[1] if match else "something-something-v2") for name in _CLIPS)
    names = [name for _, name, _ in islice(_entries(train), SAMPLE)]
    folder = placed(root, names, likely=[name for name in likely if (root / name).is_dir()])
    lists = {split: Lists(found.files, folder or "") for split, found in splits.items()}
    return Source(root, lists, unplaced=unplaced(root, train, names) if folder is None else "")


def _is_plain(file: Path) -> bool:
    """Return True if a file with a common list name begins like those of this data set."""
    try:
        return bool(_PLAIN.fullmatch(file.name)) and next(_entries(file), None) is not None
    except UsageError:
        return False


def read(source: Source) -> Iterator[Row]:
    """Iterate over the entries: objects with id and template (V2), or lines `id;label` (V1, Jester).

    Raises:
        UsageError: an entry has another form.
    """
    for split, lists in source.splits.items():
        for file in lists.files:
            suffix = source.suffix or found_suffix(source, lists.folder, (name for _, name, _ in _entries(file)))
            for where, name, label in _entries(file):
                path = inside(name + suffix, where)
                yield Row(lists.within(path), label, split=split)


def _entries(file: Path) -> Iterator[tuple[str, str, str]]:
    """Iterate over the entries: location, clip and class."""
    if file.suffix.lower() == ".json":
        for where, entry in json_entries(file):
            name, template = entry.get("id"), entry.get("template")
            if not isinstance(name, str | int) or not isinstance(template, str):
                raise UsageError(f"{where}: no id or no template: expected the entries of Something-Something V2")
            yield where, str(name), re.sub(r"[\[\]]", "", template)
        return
    for where, line in text_lines(file):
        name, separator, label = line.partition(";")
        if not separator or not name or not label:
            raise UsageError(f"{where}: expected 'id;label', found {line[:80]!r}")
        yield where, name, label


LAYOUT = Layout("something", "Something-Something V1/V2 and Jester as published (train, validation)", find, read)
